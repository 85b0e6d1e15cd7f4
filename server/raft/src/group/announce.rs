//! How members that moved find each other again: each tells the others where it is, and asks where they are.

use std::time::Duration;

use futures::future::join_all;

use super::Inner;
use crate::{
    network::{AskError, ProbeReply, ProbeRequest},
    types::MemberId,
};

const ANSWER_WITHIN: Duration = Duration::from_millis(1500);
/// Addresses that are asked at once.
const MAX_ADDRESSES: usize = 64;

impl Inner {
    pub(super) async fn announce(&self, addresses: &[String]) -> usize {
        let own = &self.local.node().raft_address;
        let question = ProbeRequest {
            here: Some(self.local.node().clone()),
        };
        let question = &question;
        let ask = |address: String| async move {
            let answer: Result<ProbeReply, AskError> = self
                .peers
                .ask(
                    &address,
                    None,
                    question,
                    ANSWER_WITHIN,
                    |mut client, request| async move { client.probe(request).await },
                )
                .await;
            answer.ok()
        };
        let others = addresses.iter().filter(|address| *address != own);
        let asked = others.take(MAX_ADDRESSES).cloned().map(ask);
        let answers = join_all(asked).await;
        let ours = self.group_id();
        let mut members = 0;
        for answer in answers.into_iter().flatten() {
            if answer.group_id.is_none() || answer.group_id != ours {
                continue;
            }
            // Hearsay first, so that what a member says of itself goes before it.
            for (id, node) in answer.moved {
                if !self.local.book.all().contains_key(&id) {
                    self.local.note_address(id, None, node);
                }
            }
            let id = MemberId(answer.manager_id);
            members += usize::from(self.is_member(answer.manager_id));
            self.local
                .note_address(id, Some(answer.store_id), answer.node);
        }
        members
    }
}
