//! Questions that only the leader can answer and that are no business of Raft: who runs above the group asks and answers.

use std::{fmt, sync::OnceLock, time::Duration};

use futures::future::BoxFuture;

use super::Inner;
use crate::network::{RelayReply, RelayRequest};

/// Answers a question that another manager has relayed to this one, the leader.
pub type RelayHandler = Box<dyn Fn(Vec<u8>) -> BoxFuture<'static, Vec<u8>> + Send + Sync>;

/// Set once, after the group is open.
#[derive(Default)]
pub(super) struct Relay(OnceLock<RelayHandler>);

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay").finish_non_exhaustive()
    }
}

/// The leader has not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError {
    #[error("there is no leader at the moment")]
    NoLeader,
    #[error("the leader does not answer: {0}")]
    Unanswered(String),
}

impl Inner {
    pub(super) fn set_relay(&self, handler: RelayHandler) {
        // The first one stays: there is one program above a group.
        let _ = self.relay.0.set(handler);
    }

    /// Asks the leader; on the leader itself the handler is asked.
    pub(super) async fn relay(
        &self,
        body: Vec<u8>,
        within: Duration,
    ) -> Result<Vec<u8>, RelayError> {
        if self.is_leader() {
            return match self.handle_relay(RelayRequest { body }).await {
                RelayReply::Answered(answer) => Ok(answer),
                RelayReply::NotLeader => Err(RelayError::NoLeader),
            };
        }
        let (leader, member) = self.other_leader().ok_or(RelayError::NoLeader)?;
        let question = RelayRequest { body };
        let answer = self.peers.ask(
            &member.node.raft_address,
            Some((leader, member.store_id)),
            &question,
            within,
            |mut client, request| async move { client.relay(request).await },
        );
        match answer.await {
            Ok(RelayReply::Answered(answer)) => Ok(answer),
            Ok(RelayReply::NotLeader) => Err(RelayError::NoLeader),
            Err(error) => Err(RelayError::Unanswered(error.to_string())),
        }
    }

    pub(crate) async fn handle_relay(&self, question: RelayRequest) -> RelayReply {
        let handler = self.relay.0.get().filter(|_| self.is_leader());
        match handler {
            Some(handler) => RelayReply::Answered(handler(question.body).await),
            None => RelayReply::NotLeader,
        }
    }
}
