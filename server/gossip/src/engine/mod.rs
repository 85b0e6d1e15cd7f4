//! The pure core: what arrives, what the clock says and what the caller wants
//! go in; packets, events and changed hints come out.

mod contact;
mod leave;
mod news;
mod renew;
mod suspect;
mod ticks;

use std::net::SocketAddr;

use bytes::Bytes;
use foca::{Foca, OwnedNotification, PostcardCodec};
use rand::SeedableRng;
use rand::rngs::StdRng;
use uuid::Uuid;

use crate::board::Board;
use crate::config::Config;
use crate::counters::Counters;
use crate::error::GossipError;
use crate::hint::Hint;
use crate::identity::Identity;
use crate::keys::KeyRing;
use crate::message::{Body, Control, MAX_FOCA_BYTES};
use crate::outbox::Outbox;
use crate::roster::{MAX_MEMBERS, Member, MemberEvent, MemberState, Roster};
use crate::seal::{Refusal, Seal};
use crate::timers::Timers;

use contact::Contacts;
use leave::Leaving;
use renew::Renewal;
use suspect::Accused;
use ticks::Ticks;

/// What an engine needs to begin.
#[derive(Debug, Clone)]
pub struct Start {
    /// Who we are; `bump` must be higher than in any life before.
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
pub struct Engine {
    pub(crate) foca: Foca<Identity, PostcardCodec, StdRng, Board>,
    pub(crate) config: Config,
    pub(crate) board: Board,
    pub(crate) roster: Roster,
    pub(crate) timers: Timers,
    pub(crate) rng: StdRng,
    pub(crate) contacts: Contacts,
    pub(crate) ticks: Ticks,
    pub(crate) renewal: Renewal,
    pub(crate) leaving: Option<Leaving>,
    pub(crate) accused: Accused,
    outbox: Outbox,
    seal: Seal,
    counters: Counters,
    output: Output,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({:?})", self.foca.identity())
    }
}

impl Engine {
    /// Refuses settings that do not fit and an address nobody could reach.
    pub fn new(start: Start) -> Result<Self, GossipError> {
        start.config.validate()?;
        let me = start.identity;
        if me.addr.ip().is_unspecified() || me.addr.port() == 0 {
            return Err(GossipError::Advertise(me.addr));
        }
        let mut rng = StdRng::seed_from_u64(start.seed);
        let board = Board::default();
        let foca = Foca::with_custom_broadcast(
            me,
            start.config.for_foca(1, MAX_FOCA_BYTES),
            StdRng::from_rng(&mut rng),
            PostcardCodec,
            board.clone(),
        );
        let pause_ms = start.config.probe_period_ms.saturating_mul(2).max(1_000);
        let timers = Timers::new(pause_ms, start.now_ms);
        Ok(Self {
            foca,
            ticks: Ticks::new(&start.config, timers.now()),
            board,
            roster: Roster::new(me.id, MAX_MEMBERS),
            timers,
            rng,
            contacts: Contacts::default(),
            renewal: Renewal::new(me.bump),
            leaving: None,
            accused: Accused::default(),
            outbox: Outbox::default(),
            seal: Seal::new(start.keys, start.instance),
            counters: Counters::default(),
            output: Output::default(),
            config: start.config,
        })
    }

    /// Our own identity in its present life.
    pub fn identity(&self) -> Identity {
        *self.foca.identity()
    }

    /// Everybody ever seen but ourselves, in no order.
    pub fn members(&self) -> Vec<Member> {
        self.roster.members().collect()
    }

    /// What was sent, received and refused so far.
    pub fn counters(&self) -> Counters {
        self.counters
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
        let mut known = self.board.lock();
        if std::mem::take(&mut known.hint_changed) {
            self.output.hint = Some(known.hint.hint.clone());
        }
        drop(known);
        std::mem::take(&mut self.output)
    }

    /// Monotonic time at which [`Engine::poll`] has something to do.
    pub fn next_deadline_ms(&self) -> u64 {
        let own = self.next_tick();
        let next = self.timers.next().map_or(own, |foca| foca.min(own));
        self.timers.monotonic(next)
    }

    /// Does what is due. Call at [`Engine::next_deadline_ms`], later is fine.
    pub fn poll(&mut self, now_ms: u64) {
        self.timers.observe(now_ms);
        while let Some(timer) = self.timers.pop_due() {
            if self.is_moot(&timer) {
                continue;
            }
            if let Err(error) = self.foca.handle_timer(timer, &mut self.outbox) {
                tracing::debug!(%error, "a gossip timer came to nothing");
            }
            self.settle();
        }
        self.run_ticks();
        self.settle();
    }

    /// Takes a datagram in. Anything that is not authentic, new and well formed
    /// is counted and changes nothing else.
    pub fn handle_packet(&mut self, now_ms: u64, packet: &[u8]) {
        self.timers.observe(now_ms);
        self.counters.packets_in += 1;
        self.counters.bytes_in += packet.len() as u64;
        let body = match self.seal.open(packet) {
            Ok(body) => body,
            Err(refusal) => return self.count_refusal(refusal),
        };
        match Body::parse(body) {
            Some(Body::Foca(data)) => self.handle_foca(data),
            Some(Body::Control(control)) => self.handle_control(control),
            None => self.counters.malformed += 1,
        }
        self.settle();
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

    fn handle_foca(&mut self, data: &[u8]) {
        match self.foca.handle_data(data, &mut self.outbox) {
            Ok(()) => self.ticks.heard(),
            Err(foca::Error::DataFromOurselves) => self.count_same_id(),
            Err(error) => {
                tracing::debug!(%error, "an authentic gossip packet could not be used");
                self.counters.malformed += 1;
            }
        }
    }

    fn handle_control(&mut self, control: Control) {
        match control {
            Control::Hello { from } if from.id == self.identity().id => self.count_same_id(),
            Control::Hello { from } => self.handle_hello(from),
            Control::HelloAck { from, .. } if from.id == self.identity().id => self.count_same_id(),
            Control::HelloAck {
                from,
                your_bump,
                hint,
            } => self.handle_hello_ack(from, your_bump, &hint),
            Control::Suspected {
                from,
                life,
                incarnation,
            } => self.handle_suspected(from, life, incarnation),
            Control::Leave { from } => self.handle_leave(from),
            Control::LeaveAck { from, bump } => self.handle_leave_ack(from, bump),
        }
    }

    fn count_same_id(&mut self) {
        self.counters.same_id += 1;
        if self.counters.same_id.is_power_of_two() {
            let id = self.identity().id;
            tracing::warn!(%id, "another process gossips with our id: was a data directory copied?");
        }
    }

    /// Turns what foca wants into output until nothing is left.
    pub(crate) fn settle(&mut self) {
        self.apply_new_leaves();
        while !self.outbox.is_empty() {
            let outbox = std::mem::take(&mut self.outbox);
            for (timer, after) in outbox.timers {
                self.follow_up(&timer);
                self.timers.schedule(timer, after);
            }
            for (to, data) in outbox.sends {
                self.send(to.addr, &Body::foca(&data));
            }
            for notice in outbox.notices {
                self.handle_notice(notice);
            }
        }
    }

    fn handle_notice(&mut self, notice: OwnedNotification<Identity>) {
        match notice {
            OwnedNotification::MemberUp(member) => self.note(member, MemberState::Alive),
            OwnedNotification::MemberDown(member) => self.note(member, MemberState::Down),
            OwnedNotification::Rename(_, member) => {
                let state = self.roster.state(member.id).unwrap_or(MemberState::Alive);
                self.note(member, state);
            }
            OwnedNotification::Defunct => self.declared_down(),
            OwnedNotification::Active | OwnedNotification::Idle | OwnedNotification::Rejoin(_) => {}
        }
    }

    /// Roster and event; down and left are told apart here.
    pub(crate) fn note(&mut self, member: Identity, state: MemberState) {
        let ended = !state.is_active();
        let state = match ended && self.board.lock().has_left(&member) {
            true => MemberState::Left,
            false => state,
        };
        self.output.events.extend(self.roster.note(member, state));
    }

    pub(crate) fn send_control(&mut self, to: SocketAddr, control: &Control) {
        self.send(to, &Body::control(control));
    }

    fn send(&mut self, to: SocketAddr, body: &[u8]) {
        let Some(packet) = self.seal.seal(body) else {
            tracing::debug!(bytes = body.len(), "a gossip body does not fit a packet");
            return;
        };
        self.counters.packets_out += 1;
        self.counters.bytes_out += packet.len() as u64;
        self.output.packets.push((to, packet));
    }

    /// Tells foca that a member has ended.
    pub(crate) fn apply_down(&mut self, member: Identity) {
        let down = std::iter::once(foca::Member::down(member));
        if let Err(error) = self.foca.apply_many(down, true, &mut self.outbox) {
            tracing::debug!(%error, "an ended member could not be passed on");
        }
    }

    pub(crate) fn with_foca<T>(
        &mut self,
        what: &'static str,
        act: impl FnOnce(
            &mut Foca<Identity, PostcardCodec, StdRng, Board>,
            &mut Outbox,
        ) -> Result<T, foca::Error>,
    ) -> Option<T> {
        match act(&mut self.foca, &mut self.outbox) {
            Ok(value) => Some(value),
            Err(error) => {
                tracing::debug!(%error, what, "gossip step came to nothing");
                None
            }
        }
    }

    /// The identity under which a living member is known, if it is.
    pub(crate) fn active_identity(&self, id: Uuid) -> Option<Identity> {
        let active = self.roster.state(id).is_some_and(MemberState::is_active);
        active.then(|| self.roster.identity(id)).flatten()
    }
}
