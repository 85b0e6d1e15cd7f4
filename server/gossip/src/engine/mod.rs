//! The pure core: what arrives, what the clock says and what the caller wants
//! go in; packets, events and changed hints come out.

mod contact;
mod doubt;
mod exchange;
mod hints;
mod judge;
mod leave;
mod probe;
mod refute;
mod spread;
mod twins;

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use uuid::Uuid;

use crate::config::{Config, transmissions};
use crate::counters::Counters;
use crate::error::GossipError;
use crate::health::Health;
use crate::hint::Hint;
use crate::identity::Identity;
use crate::keys::KeyRing;
use crate::member::{Duplicate, Member, MemberEvent};
use crate::message::{Body, Message};
use crate::peers::{MAX_MEMBERS, Peer, Peers};
use crate::queue::Queue;
use crate::record::Record;
use crate::seal::{Refusal, Seal};
use crate::suspicion::Suspicion;
use crate::timers::{Timer, Timers};

use contact::Contacts;
use hints::Board;
use judge::Via;
use leave::Leaving;
use probe::Probes;
use refute::Outbidding;
use twins::Twins;

/// What an engine needs to begin.
#[derive(Debug, Clone)]
pub struct Start {
    /// Who we are; `bump` should be higher than in any life before.
    pub identity: Identity,
    /// Keys of the pool.
    pub keys: KeyRing,
    /// Periods and fan-outs.
    pub config: Config,
    /// Seed of all choices. Not secret.
    pub seed: u64,
    /// Random, drawn anew at each start: names this sender to replay windows.
    pub instance: u64,
    /// Monotonic milliseconds, any origin.
    pub now_ms: u64,
}

/// What the caller must do after any call.
#[derive(Debug, Default)]
pub struct Output {
    /// Datagrams to send. One that cannot be sent may be dropped.
    pub packets: Vec<(SocketAddr, Bytes)>,
    /// Members that are new or have changed, in order.
    pub events: Vec<MemberEvent>,
    /// The hint, when it has changed.
    pub hint: Option<Hint>,
}

/// One member's protocol state. See [`Start`] and [`Output`].
#[derive(Debug)]
pub struct Engine {
    config: Config,
    /// Ourselves, always alive here: who leaves says so in `leaving`.
    me: Record,
    peers: Peers,
    suspicions: BTreeMap<Uuid, Suspicion>,
    news: Queue,
    board: Board,
    probes: Probes,
    health: Health,
    contacts: Contacts,
    leaving: Option<Leaving>,
    outbidding: Outbidding,
    twins: Twins,
    timers: Timers,
    rng: StdRng,
    seal: Seal,
    counters: Counters,
    output: Output,
}

impl Engine {
    /// Refuses settings that do not fit and an address nobody could reach.
    pub fn new(start: Start) -> Result<Self, GossipError> {
        start.config.validate()?;
        let me = start.identity;
        if me.addr.ip().is_unspecified() || me.addr.port() == 0 {
            return Err(GossipError::Advertise(me.addr));
        }
        let pause_ms = start.config.probe_period_ms.saturating_mul(2).max(500);
        let instance = short_instance(start.instance);
        let mut engine = Self {
            me: Record::alive(me, instance),
            peers: Peers::new(MAX_MEMBERS),
            suspicions: BTreeMap::new(),
            news: Queue::default(),
            board: Board::default(),
            probes: Probes::default(),
            health: Health::default(),
            contacts: Contacts::default(),
            leaving: None,
            outbidding: Outbidding::new(me.bump),
            twins: Twins::default(),
            timers: Timers::new(pause_ms, start.now_ms),
            rng: StdRng::seed_from_u64(start.seed),
            seal: Seal::new(start.keys, start.instance),
            counters: Counters::default(),
            output: Output::default(),
            config: start.config,
        };
        engine.begin();
        Ok(engine)
    }

    /// Members begin at different moments of their periods.
    fn begin(&mut self) {
        let config = &self.config;
        let periodic = [
            (Timer::Probe, config.probe_period_ms),
            (Timer::Gossip, config.gossip_period_ms),
            (Timer::Contact, config.contact_period_ms / 4),
            (Timer::Exchange, config.exchange_period_ms / 8),
            (Timer::Sweep, 60_000),
        ];
        for (timer, period) in periodic {
            let first = self.rng.random_range(1..=period);
            self.timers.schedule(timer, first);
        }
    }

    /// Takes members for alive that were never heard: for simulations of pools
    /// so large that joining would take longer than what is simulated.
    pub fn assume(&mut self, members: &[(Identity, u64)]) {
        let now = self.timers.now();
        self.peers.reserve(members.len());
        for (member, instance) in members {
            let instance = short_instance(*instance);
            if member.id != self.me.id {
                self.peers.put(Peer {
                    record: Record::alive(*member, instance),
                    since: now,
                    before: 0,
                });
            }
        }
    }

    /// Ourselves, in our present incarnation.
    pub fn identity(&self) -> Identity {
        self.me.identity()
    }

    /// Everybody ever seen but ourselves, in no order.
    pub fn members(&self) -> Vec<Member> {
        self.peers.iter().map(Peer::member).collect()
    }

    /// What is known of one member.
    pub fn member(&self, id: Uuid) -> Option<Member> {
        self.peers.get(id).map(Peer::member)
    }

    /// Ids under which two processes were seen lately, at most 256.
    pub fn duplicates(&self) -> Vec<Duplicate> {
        self.twins.list(self.timers.now())
    }

    /// What was sent, received and refused so far.
    pub fn counters(&self) -> Counters {
        Counters {
            health: u64::from(self.health.score()),
            ..self.counters
        }
    }

    /// Counts a datagram that the socket did not take.
    pub fn count_send_failure(&mut self) {
        self.counters.send_failed += 1;
    }

    /// From the next packet on.
    pub fn set_keys(&mut self, keys: KeyRing) {
        self.seal.set_keys(keys);
    }

    /// Takes what is to be done since the last call.
    pub fn take_output(&mut self) -> Output {
        self.output.hint = self.board.take_changed();
        std::mem::take(&mut self.output)
    }

    /// Monotonic time at which [`Engine::poll`] has something to do.
    pub fn next_deadline_ms(&self) -> u64 {
        self.timers
            .next()
            .map_or(u64::MAX, |at| self.timers.monotonic(at))
    }

    /// Does what is due. Call at [`Engine::next_deadline_ms`], later is fine.
    pub fn poll(&mut self, now_ms: u64) {
        self.observe(now_ms);
        while let Some(timer) = self.timers.pop_due() {
            self.handle_timer(timer);
        }
    }

    fn observe(&mut self, now_ms: u64) {
        if self.timers.observe(now_ms) {
            // Who was starved once is likely to be so again.
            self.health.worse();
        }
    }

    fn handle_timer(&mut self, timer: Timer) {
        match timer {
            Timer::Probe => self.probe_next(),
            Timer::ProbeAgain(seq) => self.probe_again(seq),
            Timer::ProbeEnd(seq) => self.probe_ended(seq),
            Timer::RelayAgain(seq) => self.relay_again(seq),
            Timer::RelayEnd(seq) => self.relay_ended(seq),
            Timer::DoubtEnd(seq) => self.doubt_ended(seq),
            Timer::Suspicion { id, bump } => self.suspicion_due(id, bump),
            Timer::Accuse { id, bump } => self.accuse_again(id, bump),
            Timer::Verify { id, bump } => self.verify(id, bump),
            Timer::Gossip => self.gossip(),
            Timer::Contact => self.contact_absent(),
            Timer::Exchange => self.exchange(),
            Timer::Leave => self.continue_leave(),
            Timer::Outbid => self.outbid(),
            Timer::Sweep => self.sweep(),
        }
    }

    /// Takes a datagram in. Anything that is not authentic, new and well formed
    /// is counted and changes nothing else.
    pub fn handle_packet(&mut self, now_ms: u64, packet: &[u8]) {
        self.observe(now_ms);
        self.counters.packets_in += 1;
        self.counters.bytes_in += packet.len() as u64;
        let body = match self.seal.open(packet) {
            Ok(body) => body,
            Err(refusal) => return self.count_refusal(refusal),
        };
        match Body::parse(&body) {
            Some(body) => self.handle_body(instance_of(packet), body),
            None => self.counters.malformed += 1,
        }
    }

    fn count_refusal(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::Oversized => self.counters.oversized += 1,
            Refusal::Malformed => self.counters.malformed += 1,
            Refusal::BadMac => self.counters.bad_mac += 1,
            Refusal::Replayed => self.counters.replayed += 1,
            Refusal::Echo => {}
        }
    }

    fn handle_body(&mut self, instance: u32, body: Body) {
        if self.leaving.is_some() {
            // Who leaves answers nobody, so that nobody brings it back.
            if let Message::LeaveAck { from, bump } = body.message {
                self.handle_leave_ack(from, bump);
            }
            return;
        }
        if let Some(hint) = &body.hint {
            self.merge_hint(hint);
        }
        let via = match body.message {
            Message::Known | Message::Want { .. } => Via::Exchange,
            _ => Via::News,
        };
        let mut behind = false;
        for record in &body.records {
            behind |= self.is_behind(record);
            self.learn(record, via);
        }
        if let Some(from) = sender(&body.message) {
            if from.id == self.me.id {
                return self.meet_twin(from);
            }
            self.learn(from, Via::News);
        }
        self.handle_message(instance, body.message, behind);
    }

    fn handle_message(&mut self, instance: u32, message: Message, behind: bool) {
        match message {
            Message::News | Message::Known => {}
            Message::Ping { seq, to, from } => {
                // Nobody we know: the next ping of the probe says who it is.
                let known = || self.peers.by_instance(instance).map(|peer| peer.record);
                if let Some(from) = from.or_else(known) {
                    self.handle_ping(seq, to, &from, behind);
                }
            }
            Message::Ack { seq } => self.handle_ack(seq),
            Message::PingReq {
                seq,
                to,
                addr,
                from,
            } => self.handle_ping_req(seq, to, addr, &from),
            Message::Nack { seq } => self.probes.nack(seq),
            Message::Hello { from } => self.handle_hello(&from),
            Message::HelloAck { from } => self.compare_with(&from),
            Message::Compare { from, whole } => self.handle_compare(&from, whole),
            Message::Buckets { from, parts } => self.handle_buckets(&from, &parts),
            Message::Want { from, mask } => self.tell_known(&from, mask),
            Message::Leave { from } => self.handle_leave(&from),
            Message::LeaveAck { .. } => {}
            Message::Confirm {
                seq,
                to,
                addr,
                from,
            } => self.handle_confirm(seq, to, addr, &from),
            Message::Doubt { seq } => self.handle_doubt(instance, seq),
        }
    }

    /// Members that live, ourselves included.
    fn pool_size(&self) -> usize {
        self.peers.active() + 1
    }

    fn transmissions(&self) -> u8 {
        transmissions(self.pool_size())
    }

    /// Ourselves, for digests: who leaves does not count any more.
    fn living_me(&self) -> Option<&Record> {
        self.leaving.is_none().then_some(&self.me)
    }

    /// Within a fifth, so that members do not fall into step.
    fn jittered(&mut self, period_ms: u64) -> u64 {
        let fifth = period_ms / 5;
        self.rng.random_range(period_ms - fifth..=period_ms + fifth)
    }

    /// Forgets who is gone for long.
    fn sweep(&mut self) {
        self.timers.schedule(Timer::Sweep, 60_000);
        let now = self.timers.now();
        let limit = self.config.forget_after_s.saturating_mul(1_000);
        let gone = |peer: &&Peer| {
            !peer.record.state().is_active() && now.saturating_sub(peer.since) > limit
        };
        let gone: Vec<Uuid> = self
            .peers
            .iter()
            .filter(gone)
            .map(|p| p.record.id)
            .collect();
        for id in gone {
            self.peers.remove(id);
            self.news.forget(id);
        }
    }
}

/// The instance of a packet's sender, as records have it.
fn instance_of(packet: &[u8]) -> u32 {
    short_instance(crate::seal::instance_of(packet))
}

fn short_instance(instance: u64) -> u32 {
    (crate::identity::mix(instance) >> 32) as u32
}

/// Who a message is from, where it says so.
fn sender(message: &Message) -> Option<&Record> {
    match message {
        Message::Ping { from, .. } => from.as_ref(),
        Message::PingReq { from, .. }
        | Message::Confirm { from, .. }
        | Message::Hello { from }
        | Message::HelloAck { from }
        | Message::Compare { from, .. }
        | Message::Buckets { from, .. }
        | Message::Want { from, .. } => Some(from),
        // A leave is judged by its own rule.
        Message::Leave { .. }
        | Message::News
        | Message::Known
        | Message::Ack { .. }
        | Message::Nack { .. }
        | Message::Doubt { .. }
        | Message::LeaveAck { .. } => None,
    }
}
