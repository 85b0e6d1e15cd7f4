//! A successor within a fraction of an election timeout, when the leader's process has ended.
//!
//! A kernel closes the connections of a process that ends, so a follower that keeps one open to the leader hears of its
//! death at once. Alone that proves nothing: it dials again, and only a refused connection, or an answer from another
//! run of the process, counts. When a majority of the voters has seen the same, the one whose log reaches furthest
//! takes over as if the leader had named it (Raft's leadership transfer; Ongaro's thesis, 3.10). Everything else,
//! silent partitions above all, is left to the election timeout: a living leader must not be deposed by mistake.

use std::{
    cmp::Reverse,
    io,
    sync::{Arc, Weak},
    time::Duration,
};

use futures::future::join_all;
use krakend_proto::manager::Reply;
use openraft::{async_runtime::WatchReceiver, raft::TransferLeaderRequest};
use tonic::Streaming;

use super::Inner;
use crate::{
    network::{AskError, DeathQuestion, DeathReply, Peers, Run},
    rt,
    types::{LogId, Member, MemberId},
};

const OPEN_WITHIN: Duration = Duration::from_secs(1);
const REDIAL_WITHIN: Duration = Duration::from_millis(300);
/// How long another voter may take to notice what we have noticed.
const CONFIRM_WITHIN: Duration = Duration::from_millis(150);
const ASK_WITHIN: Duration = Duration::from_millis(400);
/// The others leave so much time to the one whose turn it is.
const TURN: Duration = Duration::from_millis(100);
/// A kernel closes the sockets of a process one after the other: a redial may reach a listener that is about to go.
const AGAIN: Duration = Duration::from_millis(10);
/// So often in a row, then every [`RETRY`].
const QUICKLY: u32 = 50;
const RETRY: Duration = Duration::from_millis(500);

/// Watches each leader that is somebody else, for as long as the group is open.
pub(super) async fn keep(inner: Weak<Inner>) {
    let Some(mut leadership) = inner.upgrade().map(|it| it.leadership.subscribe()) else {
        return;
    };
    loop {
        let now = *leadership.borrow_and_update();
        let watching = async {
            match now.leader {
                Some(leader) if !now.is_me => watch(&inner, MemberId(leader), now.term).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            changed = leadership.changed() => if changed.is_err() { return },
            () = watching => {}
        }
    }
}

/// Follows one leader of one term to its end. Never returns while this manager believes in that leader.
async fn watch(inner: &Weak<Inner>, leader: MemberId, term: u64) {
    let mut known = None;
    let mut failures = 0;
    loop {
        match attend(inner, leader).await {
            // Another run: it does not lead any more, but does not say so before the election timeout.
            Seen::Alive(run, _) if known.is_some_and(|it| it != run) => break,
            Seen::Alive(run, mut stream) => {
                (known, failures) = (Some(run), 0);
                note_attended(inner, Some(leader));
                while let Ok(Some(_)) = stream.message().await {}
                note_attended(inner, None);
            }
            // The machine answers that nobody listens there.
            Seen::Gone => break,
            Seen::Unknown => {
                failures += 1;
                rt::sleep(if failures < QUICKLY { AGAIN } else { RETRY }).await;
            }
        }
    }
    let Some(inner) = inner.upgrade() else { return };
    tracing::debug!(%leader, term, "the leader's process has ended");
    inner.dead.send_replace(Some((leader, term)));
    while inner.follows(leader, term) {
        inner.succeed(leader, term).await;
        rt::sleep(AGAIN).await;
    }
}

fn note_attended(inner: &Weak<Inner>, leader: Option<MemberId>) {
    if let Some(inner) = inner.upgrade() {
        inner.attended.send_replace(leader);
    }
}

enum Seen {
    /// Its run, and the connection that tells of its end.
    Alive(Run, Box<Streaming<Reply>>),
    Gone,
    Unknown,
}

async fn attend(inner: &Weak<Inner>, leader: MemberId) -> Seen {
    let found = inner.upgrade().and_then(|inner| {
        let (address, member) = inner.place_of(leader)?;
        Some((inner.peers.dialer(), inner.local.clone(), address, member))
    });
    let Some((dialer, local, address, member)) = found else {
        return Seen::Unknown;
    };
    match rt::timeout(REDIAL_WITHIN, rt::dial(&address)).await {
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Seen::Gone,
        Ok(Ok(())) => {}
        _ => return Seen::Unknown,
    }
    let opening = Peers::attend(&dialer, &local, &address, (leader, member.store_id));
    match rt::timeout(OPEN_WITHIN, opening).await {
        Ok(Some((run, stream))) => Seen::Alive(run, Box::new(stream)),
        _ => Seen::Unknown,
    }
}

impl Inner {
    fn place_of(&self, id: MemberId) -> Option<(String, Member)> {
        let metrics = self.raft.server_metrics();
        let member = metrics
            .borrow_watched()
            .membership_config
            .get_node(&id)?
            .clone();
        Some((self.local.book.raft_address(id, &member), member))
    }

    fn last_log(&self) -> Option<LogId> {
        self.raft.data_metrics().borrow_watched().last_log
    }

    /// Whether this manager still follows that leader of that term.
    fn follows(&self, leader: MemberId, term: u64) -> bool {
        let now = self.leadership_now();
        now.term == term && now.leader == Some(leader.0) && !now.is_me
    }

    /// What this manager has seen of the leader; it waits a moment for seeing it too.
    pub(crate) async fn handle_confirm_death(&self, asked: DeathQuestion) -> DeathReply {
        let mut dead = self.dead.subscribe();
        let wanted = Some((asked.leader, asked.term));
        let seen = dead.wait_for(|it| *it == wanted);
        let seen = rt::timeout(CONFIRM_WITHIN, seen).await;
        DeathReply {
            seen: matches!(seen, Ok(Ok(_))),
            last_log: self.last_log(),
        }
    }

    /// Takes over from a leader whose process has ended, when that is this manager's turn.
    async fn succeed(self: &Arc<Self>, leader: MemberId, term: u64) {
        let status = self.status();
        let me = self.local.id();
        let voters: Vec<MemberId> = status
            .members
            .iter()
            .filter(|it| it.voter)
            .map(|it| MemberId(it.id))
            .collect();
        if status.joint || !voters.contains(&me) || !self.follows(leader, term) {
            return;
        }
        let others = voters.iter().filter(|id| **id != leader && **id != me);
        let asked = join_all(others.map(|id| self.ask_death(*id, leader, term))).await;
        let mut seen: Vec<_> = asked.into_iter().flatten().collect();
        seen.push((me, self.last_log()));
        if seen.len() <= voters.len() / 2 {
            return;
        }
        if chosen(&seen) != Some(me) {
            rt::sleep(TURN).await;
        }
        if self.follows(leader, term) {
            tracing::info!("the leader's process has ended: taking over without waiting");
            self.take_over(&seen).await;
        }
    }

    async fn ask_death(
        &self,
        id: MemberId,
        leader: MemberId,
        term: u64,
    ) -> Option<(MemberId, Option<LogId>)> {
        let (address, member) = self.place_of(id)?;
        let question = DeathQuestion { leader, term };
        let answer: Result<DeathReply, AskError> = self
            .peers
            .ask(
                &address,
                Some((id, member.store_id)),
                &question,
                ASK_WITHIN,
                |mut client, request| async move { client.confirm_death(request).await },
            )
            .await;
        let answer = answer.ok().filter(|it| it.seen)?;
        Some((id, answer.last_log))
    }

    /// Tells the others, then this manager's own Raft, that the dead leader's lease is over and who comes next.
    async fn take_over(&self, seen: &[(MemberId, Option<LogId>)]) {
        let me = self.local.id();
        let vote = self.raft.server_metrics().borrow_watched().vote;
        let request = TransferLeaderRequest::new(vote, me, self.last_log());
        let others = seen.iter().map(|(id, _)| *id).filter(|id| *id != me);
        let told = others.map(|id| {
            let request = request.clone();
            async move {
                let (address, member) = self.place_of(id)?;
                let told: Result<openraft::raft::TransferLeaderResponse<_>, AskError> = self
                    .peers
                    .ask(
                        &address,
                        Some((id, member.store_id)),
                        &request,
                        ASK_WITHIN,
                        |mut client, request| async move { client.transfer_leader(request).await },
                    )
                    .await;
                let _: openraft::raft::TransferLeaderResponse<crate::types::TypeConfig> =
                    told.ok()?;
                Some(())
            }
        });
        join_all(told).await;
        if let Err(error) = self.raft.handle_transfer_leader(request).await {
            tracing::debug!("taking over failed: {error}");
        }
    }
}

/// Whose turn it is: the longest log, and among equals the lowest id.
fn chosen(seen: &[(MemberId, Option<LogId>)]) -> Option<MemberId> {
    seen.iter()
        .max_by_key(|(id, last)| (*last, Reverse(*id)))
        .map(|(id, _)| *id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use openraft::vote::RaftLeaderId;

    fn log(index: u64) -> Option<LogId> {
        let leader = openraft::impls::leader_id_std::LeaderId::new(1, MemberId::from(9));
        Some(LogId::new(leader.to_committed(), index))
    }

    #[test]
    fn the_longest_log_is_next_and_among_equals_the_lowest_id() {
        let [a, b] = [MemberId::from(1), MemberId::from(2)];
        assert_eq!(chosen(&[(a, log(5)), (b, log(6))]), Some(b));
        assert_eq!(chosen(&[(b, log(6)), (a, log(6))]), Some(a));
        assert_eq!(chosen(&[(a, None), (b, log(0))]), Some(b));
        assert_eq!(chosen(&[]), None);
    }
}
