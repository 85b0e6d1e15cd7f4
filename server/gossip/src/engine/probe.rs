use std::collections::HashMap;
use std::net::SocketAddr;

use super::Engine;
use crate::identity::Identity;
use crate::message::Message;
use crate::record::Record;
use crate::timers::Timer;

/// Probes under way at most: our own, and for others.
const MAX_PROBES: usize = 1_024;
/// Attempts in one probe, the first one included.
const ATTEMPTS: u8 = 3;

/// Probes that have no answer yet.
#[derive(Debug, Default)]
pub(super) struct Probes {
    own: HashMap<u32, Probe>,
    relays: HashMap<u32, Relay>,
    last_seq: u32,
}

#[derive(Debug)]
struct Probe {
    target: Record,
    attempts: u8,
    helpers: usize,
    nacks: usize,
}

/// Somebody's probe that we pass on.
#[derive(Debug)]
struct Relay {
    seq: u32,
    asker: SocketAddr,
}

impl Probes {
    fn next_seq(&mut self) -> u32 {
        self.last_seq = self.last_seq.wrapping_add(1);
        self.last_seq
    }

    fn is_probed(&self, target: &Record) -> bool {
        self.own.values().any(|probe| probe.target.id == target.id)
    }

    pub(super) fn nack(&mut self, seq: u32) {
        if let Some(probe) = self.own.get_mut(&seq) {
            probe.nacks += 1;
        }
    }
}

impl Engine {
    pub(super) fn probe_next(&mut self) {
        let period = self.health.stretch(self.config.probe_period_ms);
        self.timers.schedule(Timer::Probe, period);
        if self.leaving.is_some() {
            return;
        }
        if let Some(target) = self.peers.next_to_probe(&mut self.rng) {
            self.probe(&target);
        }
    }

    /// Begins a probe, unless one of this member is under way.
    pub(super) fn probe(&mut self, target: &Record) {
        if self.probes.own.len() >= MAX_PROBES || self.probes.is_probed(target) {
            return;
        }
        let seq = self.probes.next_seq();
        let probe = Probe {
            target: *target,
            attempts: 1,
            helpers: 0,
            nacks: 0,
        };
        self.probes.own.insert(seq, probe);
        self.ping(target, seq, None);
        let timeout = self.health.stretch(self.config.probe_timeout_ms);
        let period = self.health.stretch(self.config.probe_period_ms);
        self.timers.schedule(Timer::ProbeAgain(seq), timeout);
        self.timers.schedule(Timer::ProbeEnd(seq), period);
    }

    fn ping(&mut self, target: &Record, seq: u32, from: Option<Record>) {
        let message = Message::Ping {
            seq,
            to: Identity::tag(target.id),
            from,
        };
        let first = self.buddy_news(target);
        self.send(target.addr, &message, first);
    }

    /// A ping whose answer matters by the news that it brings.
    pub(super) fn ping_untracked(&mut self, target: &Record) {
        let seq = self.probes.next_seq();
        self.ping(target, seq, Some(self.me));
    }

    /// No answer yet: the ping or the ack may have been lost, or our own way to
    /// the target is broken.
    pub(super) fn probe_again(&mut self, seq: u32) {
        let Some(probe) = self.probes.own.get_mut(&seq) else {
            return;
        };
        probe.attempts += 1;
        let (target, attempts) = (probe.target, probe.attempts);
        self.ping(&target, seq, Some(self.me));
        if attempts == 2 {
            self.ask_others(&target, seq);
        }
        if attempts < ATTEMPTS {
            let timeout = self.health.stretch(self.config.probe_timeout_ms);
            self.timers.schedule(Timer::ProbeAgain(seq), timeout);
        }
    }

    fn ask_others(&mut self, target: &Record, seq: u32) {
        let fits = |record: &Record| record.id != target.id && record.state().is_active();
        let wanted = self.config.indirect_probes;
        let helpers = self.peers.sample(&mut self.rng, wanted, fits);
        if let Some(probe) = self.probes.own.get_mut(&seq) {
            probe.helpers = helpers.len();
        }
        let message = Message::PingReq {
            seq,
            to: Identity::tag(target.id),
            addr: target.addr,
            from: self.me,
        };
        for helper in helpers {
            let first = self.buddy_news(&helper);
            self.send(helper.addr, &message, first);
        }
    }

    pub(super) fn probe_ended(&mut self, seq: u32) {
        let Some(probe) = self.probes.own.remove(&seq) else {
            return;
        };
        self.counters.probes_failed += 1;
        // Helpers that answer "neither had I" show that the fault is not here.
        if probe.nacks == 0 {
            self.health.worse();
        }
        self.accuse(&probe.target);
    }

    pub(super) fn handle_ping(&mut self, seq: u32, to: u32, from: &Record, behind: bool) {
        if to != Identity::tag(self.me.id) {
            // Somebody else lived at our address: say who does now.
            return self.send(from.addr, &Message::Hello { from: self.me }, None);
        }
        let first = match behind {
            true => Some(self.me),
            false => self.buddy_news(from),
        };
        self.send(from.addr, &Message::Ack { seq }, first);
    }

    pub(super) fn handle_ack(&mut self, seq: u32) {
        if self.probes.own.remove(&seq).is_some() {
            self.health.better();
        } else if let Some(relay) = self.probes.relays.remove(&seq) {
            self.send(relay.asker, &Message::Ack { seq: relay.seq }, None);
        }
    }

    pub(super) fn handle_ping_req(&mut self, seq: u32, to: u32, addr: SocketAddr, from: &Record) {
        if self.probes.relays.len() >= MAX_PROBES {
            return;
        }
        let own_seq = self.probes.next_seq();
        let relay = Relay {
            seq,
            asker: from.addr,
        };
        self.probes.relays.insert(own_seq, relay);
        let message = Message::Ping {
            seq: own_seq,
            to,
            from: Some(self.me),
        };
        self.send(addr, &message, None);
        let timeout = self.config.probe_timeout_ms;
        self.timers.schedule(Timer::RelayEnd(own_seq), timeout);
    }

    /// The asker hears that we live, though the target does not answer.
    pub(super) fn relay_ended(&mut self, seq: u32) {
        if let Some(relay) = self.probes.relays.get(&seq) {
            let (asker, asked) = (relay.asker, relay.seq);
            self.send(asker, &Message::Nack { seq: asked }, None);
            self.probes.relays.remove(&seq);
        }
    }
}
