use std::sync::LazyLock;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use krakend_proto::node::manager_message::Message as In;
use krakend_proto::node::node_message::Message as Out;
use krakend_proto::node::{self as wire, ManagerMessage, NodeMessage};
use krakend_proto::uuid_from;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use uuid::Uuid;

use super::End;
use super::follow::{Follower, Phase};
use crate::applier::acknowledgement;
use crate::cluster::{Membership, Route, should_move};
use crate::orders::Order;
use crate::runtime::RuntimeKind;
use crate::status::Connection as Shown;
use crate::store::{Enrolled, GossipKeys};
use crate::trust::{Connection, renew};

const HEARTBEAT: Duration = Duration::from_secs(1);
/// Managers send a heartbeat each second.
const SILENT_AFTER: Duration = Duration::from_secs(3);
/// The registration is committed before the first answer.
const WELCOME_WITHIN: Duration = Duration::from_secs(8);
/// How long the end waits for acknowledged statistics, then for the farewell.
const STATISTICS_WITHIN: Duration = Duration::from_secs(3);
const FAREWELL_WITHIN: Duration = Duration::from_secs(2);
const OUTGOING: usize = 64;
/// This side turns to its messages at least with each heartbeat.
const STILL_AFTER_MS: u64 = 2_000;

/// Tells this process from another one with the same store, on a cloned machine.
static RUN: LazyLock<Uuid> = LazyLock::new(Uuid::new_v4);

/// One session with one manager.
pub struct Exchange<'a> {
    pub follower: &'a Follower,
    pub enrolled: Enrolled,
    pub membership: Option<&'a Membership>,
    pub route: &'a mut Route,
    pub address: &'a str,
    pub connection: Connection,
}

struct State {
    out: mpsc::Sender<NodeMessage>,
    /// Of the manager that welcomed us.
    term: Option<u64>,
    /// It keeps our question until there is a seat.
    kept: bool,
    began: Instant,
    /// The boot clock when this side last turned to its messages, and before it last stood still.
    turned_boot_ms: u64,
    stood_still: Option<StoodStill>,
    heard: Instant,
    /// The batch without an answer: one at a time.
    in_flight: Option<(Uuid, u64)>,
    renewing: Option<JoinHandle<()>>,
    leaving_since: Option<Instant>,
    goodbye_at: Option<Instant>,
    /// What was last said of the gateway's file.
    file_told: Option<wire::FileState>,
}

/// From when until when this process did nothing, by the boot clock.
#[derive(Clone, Copy)]
struct StoodStill {
    from_ms: u64,
    until_ms: u64,
}

impl State {
    /// Notices that the process was paused: what is read now may have waited for it.
    fn turn(&mut self, boot_ms: u64) {
        if boot_ms.saturating_sub(self.turned_boot_ms) > STILL_AFTER_MS {
            self.stood_still = Some(StoodStill {
                from_ms: self.turned_boot_ms,
                until_ms: boot_ms,
            });
        }
        self.turned_boot_ms = boot_ms;
    }

    /// The boot clock at a moment after which a lease that is read now was issued. A manager that knows says it; otherwise it
    /// is no longer under way than a silence may last, but for a pause of this process.
    fn lease_heard_ms(&self, said_ms: u64, boot_ms: u64) -> u64 {
        if said_ms > 0 {
            return said_ms;
        }
        let usual_ms = boot_ms.saturating_sub(SILENT_AFTER.as_millis() as u64);
        match self.stood_still {
            Some(still) if still.until_ms >= usual_ms => still.from_ms.min(usual_ms),
            _ => usual_ms,
        }
    }

    fn send(&self, message: Out) -> Result<(), End> {
        let message = NodeMessage {
            message: Some(message),
        };
        let full = |_| End::Lost("the manager takes no messages".into());
        self.out.try_send(message).map_err(full)
    }
}

impl Exchange<'_> {
    /// Lives until the session ends.
    pub async fn run(mut self) -> End {
        match self.live().await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn live(&mut self) -> Result<std::convert::Infallible, End> {
        let (out, outgoing) = mpsc::channel(OUTGOING);
        let mut state = State {
            out,
            term: None,
            kept: false,
            began: Instant::now(),
            turned_boot_ms: self.follower.lease.boot_ms(),
            stood_still: None,
            heard: Instant::now(),
            in_flight: None,
            renewing: None,
            leaving_since: None,
            goodbye_at: None,
            file_told: None,
        };
        state.send(Out::Hello(self.hello()))?;
        let mut incoming = self.open(ReceiverStream::new(outgoing)).await?;
        let follower = self.follower;
        let mut beat = tokio::time::interval(HEARTBEAT);
        let mut waiting = follower.spool.waiting();
        let mut answers = follower.applier.answers();
        let mut phase = follower.phase.clone();
        let mut hint = follower.hint(self.membership);
        let mut file = follower.desk.file_state();
        loop {
            state.turn(follower.lease.boot_ms());
            tokio::select! {
                message = incoming.message() => {
                    let message = message.map_err(|status| End::Lost(status.message().into()))?;
                    let message = message.ok_or_else(|| End::Lost("the manager ended it".into()))?;
                    state.heard = Instant::now();
                    state.turn(follower.lease.boot_ms());
                    if let Some(message) = message.message {
                        self.handle(message, &mut state)?;
                    }
                }
                _ = beat.tick() => self.beat(&state)?,
                Ok(()) = waiting.changed() => {}
                Ok(()) = phase.changed() => {}
                Ok(()) = file.changed() => {}
                Ok(()) = answers.changed() => {
                    let answer = answers.borrow_and_update().clone();
                    if let Some(answer) = answer {
                        state.send(Out::Acknowledgement(answer))?;
                    }
                }
                Ok(()) = hint.changed() => {
                    let newest = hint.borrow_and_update().clone();
                    if state.term.is_some_and(|term| should_move(term, self.address, &newest)) {
                        return Err(End::Moved);
                    }
                }
            }
            if state.kept && *phase.borrow() != Phase::Running {
                return Err(End::unseated());
            }
            if state.term.is_some() {
                self.tell_file(&file.borrow_and_update(), &mut state)?;
                self.send_statistics(&mut state)?;
                self.leave_when_done(&mut state)?;
            }
        }
    }

    async fn open(
        &mut self,
        outgoing: ReceiverStream<NodeMessage>,
    ) -> Result<Streaming<ManagerMessage>, End> {
        let opening = self.connection.client.session(outgoing);
        match tokio::time::timeout(SILENT_AFTER, opening).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(End::Lost(status.message().into())),
            Err(_) => Err(End::Lost("the manager does not answer".into())),
        }
    }

    fn hello(&self) -> wire::Hello {
        let follower = self.follower;
        let mut gateway = follower.runtime.local_addr();
        if gateway.ip().is_unspecified() {
            gateway.set_ip(self.connection.local_ip);
        }
        let (kind, version) = match follower.runtime.kind() {
            RuntimeKind::Krakend { version } => ("krakend", version),
            RuntimeKind::Embedded => ("embedded", krakend_gateway::GATEWAY_VERSION.to_owned()),
        };
        let gossip = self
            .membership
            .map(|membership| membership.advertise().to_string());
        let mut metrics = follower.settings.api_listen;
        if metrics.ip().is_unspecified() {
            metrics.set_ip(self.connection.local_ip);
        }
        wire::Hello {
            metrics_address: metrics.to_string(),
            store_id: follower.store_id.as_bytes().to_vec().into(),
            name: follower.settings.name.clone(),
            gateway_address: gateway.to_string(),
            gossip_address: gossip.unwrap_or_default(),
            gateway_kind: kind.into(),
            gateway_version: version,
            version: env!("CARGO_PKG_VERSION").into(),
            applied: follower.applier.applied().as_ref().map(acknowledgement),
            ready: follower.runtime.is_ready(),
            sent_ms: follower.lease.boot_ms(),
            run_id: RUN.as_bytes().to_vec().into(),
        }
    }

    fn handle(&mut self, message: In, state: &mut State) -> Result<(), End> {
        match message {
            In::Welcome(welcome) => self.welcome(&welcome, state),
            // The free version gets no orders.
            In::Desired(_) if !self.follower.lease.check() => {}
            In::Desired(desired) => match Order::from_wire(&desired) {
                Ok(order) => {
                    let client = self.connection.client.clone();
                    self.follower.applier.order(order, client);
                }
                Err(error) => return Err(End::Lost(error.to_string())),
            },
            In::Lease(lease) => self.take_lease(&lease, state)?,
            In::StatisticsAcknowledged(said) => {
                let stream = uuid_from("stream", &said.stream);
                let stream = stream.map_err(|error| End::Lost(error.to_string()))?;
                self.follower.spool.acknowledge(stream, said.through_seq);
                // One that committed less than it got would get the same batch for ever, without a pause.
                if let Some((sent, through)) = state.in_flight.take()
                    && (sent != stream || said.through_seq < through)
                {
                    return Err(End::Lost("the manager did not take the statistics".into()));
                }
            }
            In::Redirect(redirect) => {
                return Err(End::Redirect {
                    leader: redirect.leader,
                    managers: redirect.managers,
                });
            }
            In::Refused(refused) => {
                return Err(End::Refused {
                    code: refused.code,
                    message: refused.message,
                });
            }
            In::GossipKeys(ring) => return self.take_keys(&ring, state),
            In::Trust(trust) => self.take_trust(&trust, state),
            In::Heartbeat(beat) => {
                let level = &self.follower.group_level;
                level.store(beat.feature_level, Ordering::Relaxed);
                state.kept = state.term.is_none();
            }
            In::Drain(drain) => self.follower.desk.obey(&drain),
            In::Question(question) => self.answer(question, state),
            In::Farewell(_) => return Err(End::Left),
        }
        Ok(())
    }

    /// Answered when it is done; meanwhile the session goes on.
    fn answer(&self, question: wire::Question, state: &State) {
        let (desk, out) = (self.follower.desk.clone(), state.out.clone());
        tokio::spawn(async move {
            let message = Some(Out::Answer(desk.answer(question).await));
            // Who has hung up asks again over the next session.
            let _ = out.send(NodeMessage { message }).await;
        });
    }

    fn tell_file(&self, file: &wire::FileState, state: &mut State) -> Result<(), End> {
        if state.file_told.as_ref() == Some(file) {
            return Ok(());
        }
        state.file_told = Some(file.clone());
        state.send(Out::FileState(file.clone()))
    }

    fn welcome(&mut self, welcome: &wire::Welcome, state: &mut State) {
        state.term = Some(welcome.term);
        self.route.welcomed();
        self.follower.store.is_no_copy();
        self.route.learn(&welcome.managers);
        self.follower.remember_managers(&welcome.managers);
        let (address, term) = (self.address.to_owned(), welcome.term);
        tracing::info!("joined: the manager at {address} leads in term {term}");
        self.follower
            .status
            .update(|status| status.connection = Shown::Joined { address, term });
    }

    fn take_lease(&mut self, lease: &wire::Lease, state: &State) -> Result<(), End> {
        let boot_ms = self.follower.lease.boot_ms();
        let heard_ms = state.lease_heard_ms(lease.heard_ms, boot_ms);
        // The group that it names may be another since the last one.
        if let Ok(Some(enrolled)) = self.follower.store.change_enrolled(|_| {}) {
            self.enrolled = enrolled;
        }
        match self.follower.lease.accept(&self.enrolled, lease, heard_ms) {
            // Gossip first: the session tells the manager where this node is.
            Ok(true) if self.membership.is_none() => Err(End::Granted),
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::error!("the lease from {} is not accepted: {error}", self.address);
                Ok(())
            }
        }
    }

    /// Authorities that are no longer sent are no longer believed.
    fn take_trust(&mut self, trust: &wire::Trust, state: &mut State) {
        let first = self.follower.time.set(trust.time_ms);
        if first || !self.follower.lease.is_valid() {
            self.follower.lease.told_time(trust.time_ms);
        }
        let keys = trust.lease_verifying_keys.iter();
        let keys: Option<Vec<_>> = keys.map(|key| key.as_ref().try_into().ok()).collect();
        let Some(keys) = keys.filter(|keys| !keys.is_empty() && !trust.ca_pem.is_empty()) else {
            tracing::error!("the manager at {} sent no usable authorities", self.address);
            return;
        };
        let changed = self.follower.store.change_enrolled(|enrolled| {
            enrolled.ca_pem.clone_from(&trust.ca_pem);
            enrolled.lease_verifying_key = keys[0];
            enrolled.lease_verifying_keys = keys;
        });
        match changed {
            Ok(Some(enrolled)) => self.enrolled = enrolled,
            Ok(None) => {}
            Err(error) => tracing::error!("the group's authorities are not stored: {error}"),
        }
        let busy = state.renewing.as_ref().is_some_and(|it| !it.is_finished());
        if trust.renew && !busy {
            state.renewing = Some(self.renew(trust.spread_ms, state.out.clone()));
        }
    }

    /// Fetches a new certificate over this session's connection; it counts from the next one on.
    fn renew(&self, spread_ms: u64, out: mpsc::Sender<NodeMessage>) -> JoinHandle<()> {
        let (store, client) = (self.follower.store.clone(), self.connection.client.clone());
        let pause = Duration::from_millis(rand::random_range(0..=spread_ms));
        tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            match renew(&store, client).await {
                Ok(certificate_pem) => {
                    tracing::info!("the node's certificate is renewed");
                    let kept = wire::CertificateKept { certificate_pem };
                    let message = Some(Out::CertificateKept(kept));
                    let _ = out.send(NodeMessage { message }).await;
                }
                Err(error) => tracing::warn!("the node's certificate is not renewed: {error}"),
            }
        })
    }

    /// Acknowledged once it is on disk and in use: then the others may rely on it.
    fn take_keys(&self, ring: &wire::KeyRing, state: &State) -> Result<(), End> {
        let Some(keys) = GossipKeys::from_wire(ring) else {
            tracing::error!(
                "the manager at {} sent an unusable gossip key ring",
                self.address
            );
            return Ok(());
        };
        if let (Some(membership), Some(ring)) = (self.membership, keys.ring()) {
            membership.gossip().set_keys(ring);
        }
        if let Err(error) = self.follower.store.set_gossip_keys(&keys) {
            tracing::error!("the gossip keys are not stored: {error}");
            return Ok(());
        }
        let revision = ring.revision;
        state.send(Out::KeyringHeld(wire::KeyringHeld { revision }))
    }

    fn beat(&self, state: &State) -> Result<(), End> {
        let (since, limit) = match state.term {
            Some(_) => (state.heard, SILENT_AFTER),
            None => (state.heard, WELCOME_WITHIN),
        };
        if since.elapsed() > limit {
            return Err(End::Lost(format!("no word for {} s", limit.as_secs())));
        }
        // A manager of an older version gives a lease with each registration, and none later.
        let session_ms = state.began.elapsed().as_millis() as u64;
        if state.term.is_some() && self.follower.lease.runs_out(session_ms) {
            return Err(End::Unrenewed);
        }
        let ready = self.follower.runtime.is_ready();
        let sent_ms = self.follower.lease.boot_ms();
        match state.term {
            Some(_) => {
                let beat = wire::Heartbeat {
                    ready,
                    sent_ms,
                    ..Default::default()
                };
                state.send(Out::Heartbeat(beat))
            }
            None => Ok(()),
        }
    }

    fn send_statistics(&self, state: &mut State) -> Result<(), End> {
        let busy = state.in_flight.is_some() || state.goodbye_at.is_some();
        if busy || !self.follower.lease.is_valid() {
            return Ok(());
        }
        let Some(batch) = self.follower.spool.next_batch() else {
            return Ok(());
        };
        state.in_flight = Some((batch.stream, batch.through_seq));
        state.send(Out::Statistics(wire::StatisticsBatch {
            stream: batch.stream.as_bytes().to_vec().into(),
            samples: batch.samples.into_iter().map(Into::into).collect(),
        }))
    }

    /// Says goodbye once the final statistics are committed, or have had their time.
    fn leave_when_done(&self, state: &mut State) -> Result<(), End> {
        let Phase::Leaving { for_good, .. } = *self.follower.phase.borrow() else {
            return Ok(());
        };
        if let Some(said) = state.goodbye_at {
            return match said.elapsed() > FAREWELL_WITHIN {
                true => Err(End::Lost("no farewell came".into())),
                false => Ok(()),
            };
        }
        let since = *state.leaving_since.get_or_insert_with(Instant::now);
        let done = *self.follower.spool.waiting().borrow() == 0;
        if done || since.elapsed() > STATISTICS_WITHIN {
            state.goodbye_at = Some(Instant::now());
            state.send(Out::Goodbye(wire::Goodbye { for_good }))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            out: mpsc::channel(1).0,
            term: None,
            kept: false,
            began: Instant::now(),
            turned_boot_ms: 100_000,
            stood_still: None,
            heard: Instant::now(),
            in_flight: None,
            renewing: None,
            leaving_since: None,
            goodbye_at: None,
            file_told: None,
        }
    }

    #[test]
    fn a_lease_that_waited_for_a_paused_process_is_as_old_as_the_pause() {
        let mut state = state();
        state.turn(101_000);
        assert_eq!(state.lease_heard_ms(0, 101_000), 98_000);
        // Stopped for an hour; other messages are read before the lease.
        state.turn(3_701_000);
        state.turn(3_701_010);
        assert_eq!(state.lease_heard_ms(0, 3_701_010), 101_000);
        state.turn(3_702_000);
        assert_eq!(state.lease_heard_ms(0, 3_702_000), 101_000);
        // The manager's word goes first.
        assert_eq!(state.lease_heard_ms(100_500, 3_702_000), 100_500);
        // Long after it, nothing is old any more.
        for second in 3_703..3_720 {
            state.turn(second * 1_000);
        }
        assert_eq!(state.lease_heard_ms(0, 3_719_000), 3_716_000);
    }
}
