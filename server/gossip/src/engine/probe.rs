use std::collections::HashMap;
use std::net::SocketAddr;

use super::Engine;
use super::doubt::Doubt;
use crate::identity::Identity;
use crate::message::Message;
use crate::record::Record;
use crate::timers::Timer;

/// Probes under way at most: our own, and for others.
pub(super) const MAX_PROBES: usize = 1_024;
/// Pings of our own in one probe, the first one included.
const ATTEMPTS: u8 = 4;
/// With this one others are asked, too. Not earlier: of what is lost by chance most is found by asking again, which costs a
/// fifth of three questions to others.
const ASK_OTHERS: u8 = 3;

/// So many bits of a probe's number count the probes of a round; the others are the round. What is more counts as the next round.
const SEQ_BITS: u32 = 4;
const MAX_ROUND: u32 = u32::MAX >> SEQ_BITS;

/// Probes that have no answer yet.
#[derive(Debug, Default)]
pub(super) struct Probes {
    pub(super) own: HashMap<u32, Probe>,
    pub(super) relays: HashMap<u32, Relay>,
    /// The round in the upper bits.
    last_seq: u32,
    /// The newest round that anybody has probed in.
    heard: u32,
}

#[derive(Debug)]
pub(super) struct Probe {
    pub(super) target: Record,
    attempts: u8,
    nacks: usize,
    /// Others are asked whether they have an answer.
    pub(super) doubt: Option<Doubt>,
}

/// Somebody's probe that we pass on.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) seq: u32,
    pub(super) asker: SocketAddr,
    /// What is asked again: tag, address and how often still. None for one ping.
    pub(super) again: Option<(u32, SocketAddr, u8)>,
}

impl Probes {
    /// The number of the next round: one more than our own, or the one that
    /// others are in. All are in the same round by that and need no clock in
    /// common; who takes what it hears only when its own round is over drives
    /// nobody on.
    fn begin_round(&mut self) -> u32 {
        let own = ((self.last_seq >> SEQ_BITS) + 1) & MAX_ROUND;
        let ahead = self.heard.wrapping_sub(own) & MAX_ROUND;
        let round = if ahead <= MAX_ROUND / 2 {
            self.heard
        } else {
            own
        };
        self.last_seq = round << SEQ_BITS;
        self.heard = round;
        round
    }

    /// A ping's number tells the round of who sent it.
    fn hear_round(&mut self, seq: u32) {
        let round = seq >> SEQ_BITS;
        let ahead = round.wrapping_sub(self.heard) & MAX_ROUND;
        if ahead <= MAX_ROUND / 2 {
            self.heard = round;
        }
    }

    pub(super) fn next_seq(&mut self) -> u32 {
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
        let round = self.probes.begin_round();
        if let Some(target) = self.peers.to_probe(self.me.id, round) {
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
            nacks: 0,
            doubt: None,
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
        let target = probe.target;
        if probe.doubt.is_some() {
            let again = self.config.accuse_period_ms;
            self.timers.schedule(Timer::ProbeAgain(seq), again);
            return self.ping(&target, seq, Some(self.me));
        }
        if probe.attempts >= ATTEMPTS {
            return;
        }
        probe.attempts += 1;
        let attempts = probe.attempts;
        self.ping(&target, seq, Some(self.me));
        let timeout = self.health.stretch(self.config.probe_timeout_ms);
        if attempts == ASK_OTHERS {
            self.ask_others(&target, seq);
            // What is left of the period is for both.
            self.timers
                .schedule(Timer::ProbeAgain(seq), timeout * 2 / 3);
        } else if attempts < ATTEMPTS {
            self.timers.schedule(Timer::ProbeAgain(seq), timeout);
        }
    }

    fn ask_others(&mut self, target: &Record, seq: u32) {
        let fits = |record: &Record| record.id != target.id && record.state().is_active();
        let wanted = self.config.indirect_probes;
        let helpers = self.peers.sample(&mut self.rng, wanted, fits);
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
        let Some(probe) = self.probes.own.get(&seq) else {
            return;
        };
        self.counters.probes_failed += 1;
        // Helpers that answer "neither had I" show that the fault is not here.
        if probe.nacks == 0 {
            self.health.worse();
        }
        self.doubt(seq);
    }

    pub(super) fn handle_ping(&mut self, seq: u32, to: u32, from: &Record, behind: bool) {
        self.probes.hear_round(seq);
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
            again: None,
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
        if let Some(relay) = self.probes.relays.remove(&seq) {
            let seq = relay.seq;
            let answer = match relay.again {
                Some(_) => Message::Doubt { seq },
                None => Message::Nack { seq },
            };
            self.send(relay.asker, &answer, None);
        }
    }
}
