use std::sync::LazyLock;
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
use crate::lease::Lease;
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
    began: Instant,
    heard: Instant,
    /// The batch without an answer: one at a time.
    in_flight: Option<(Uuid, u64)>,
    renewing: Option<JoinHandle<()>>,
    leaving_since: Option<Instant>,
    goodbye_at: Option<Instant>,
}

impl State {
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
            began: Instant::now(),
            heard: Instant::now(),
            in_flight: None,
            renewing: None,
            leaving_since: None,
            goodbye_at: None,
        };
        state.send(Out::Hello(self.hello()))?;
        let mut incoming = self.open(ReceiverStream::new(outgoing)).await?;
        let follower = self.follower;
        let mut beat = tokio::time::interval(HEARTBEAT);
        let mut waiting = follower.spool.waiting();
        let mut answers = follower.applier.answers();
        let mut phase = follower.phase.clone();
        let mut hint = follower.hint(self.membership);
        loop {
            tokio::select! {
                message = incoming.message() => {
                    let message = message.map_err(|status| End::Lost(status.message().into()))?;
                    let message = message.ok_or_else(|| End::Lost("the manager ended it".into()))?;
                    state.heard = Instant::now();
                    if let Some(message) = message.message {
                        self.handle(message, &mut state)?;
                    }
                }
                _ = beat.tick() => self.beat(&state)?,
                Ok(()) = waiting.changed() => {}
                Ok(()) = phase.changed() => {}
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
            if state.term.is_some() {
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
        wire::Hello {
            store_id: follower.store_id.as_bytes().to_vec().into(),
            name: follower.settings.name.clone(),
            gateway_address: gateway.to_string(),
            gossip_address: gossip.unwrap_or_default(),
            gateway_kind: kind.into(),
            gateway_version: version,
            version: env!("CARGO_PKG_VERSION").into(),
            applied: follower.applier.applied().as_ref().map(acknowledgement),
            ready: follower.runtime.is_ready(),
            run_id: RUN.as_bytes().to_vec().into(),
        }
    }

    fn handle(&mut self, message: In, state: &mut State) -> Result<(), End> {
        match message {
            In::Welcome(welcome) => self.welcome(&welcome, state),
            In::Desired(desired) => match Order::from_wire(&desired) {
                Ok(order) => {
                    let client = self.connection.client.clone();
                    self.follower.applier.order(order, client);
                }
                Err(error) => return Err(End::Lost(error.to_string())),
            },
            In::Lease(lease) => match Lease::accept(&self.follower.store, &self.enrolled, &lease) {
                Ok(lease) => self.follower.status.update(|s| s.lease = Some(lease)),
                Err(error) => {
                    tracing::error!("the lease from {} is not accepted: {error}", self.address)
                }
            },
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
            In::Heartbeat(_) => {}
            In::Farewell(_) => return Err(End::Left),
        }
        Ok(())
    }

    fn welcome(&mut self, welcome: &wire::Welcome, state: &mut State) {
        state.term = Some(welcome.term);
        self.route.welcomed();
        self.route.learn(&welcome.managers);
        self.follower.remember_managers(&welcome.managers);
        let (address, term) = (self.address.to_owned(), welcome.term);
        tracing::info!("joined: the manager at {address} leads in term {term}");
        self.follower
            .status
            .update(|status| status.connection = Shown::Joined { address, term });
    }

    /// Authorities that are no longer sent are no longer believed.
    fn take_trust(&mut self, trust: &wire::Trust, state: &mut State) {
        self.follower.time.set(trust.time_ms);
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
            None => (state.began, WELCOME_WITHIN),
        };
        if since.elapsed() > limit {
            return Err(End::Lost(format!("no word for {} s", limit.as_secs())));
        }
        let ready = self.follower.runtime.is_ready();
        match state.term {
            Some(_) => state.send(Out::Heartbeat(wire::Heartbeat { ready })),
            None => Ok(()),
        }
    }

    fn send_statistics(&self, state: &mut State) -> Result<(), End> {
        if state.in_flight.is_some() || state.goodbye_at.is_some() {
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
        if !matches!(*self.follower.phase.borrow(), Phase::Leaving(_)) {
            return Ok(());
        }
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
            state.send(Out::Goodbye(wire::Goodbye { for_good: false }))?;
        }
        Ok(())
    }
}
