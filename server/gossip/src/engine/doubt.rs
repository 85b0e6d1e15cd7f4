use std::net::SocketAddr;

use super::Engine;
use super::probe::{MAX_PROBES, Relay};
use crate::identity::Identity;
use crate::message::Message;
use crate::record::Record;
use crate::timers::Timer;

/// Pings of a member that is asked for its opinion, and the time between two.
const CONFIRM_PINGS: u8 = 5;
const CONFIRM_EVERY_MS: u64 = 80;

/// What was asked about a member that answers no probe, before anything is said
/// about it in public.
///
/// Every suspicion travels to the whole pool, and so does its refutation. Where
/// packets are lost by chance each member would begin one now and then, so what
/// each has to carry would grow with the pool. Eight questions do not, and one
/// answer of the member to anybody ends the doubt.
#[derive(Debug)]
pub(super) struct Doubt {
    asked: usize,
    /// Tags of those who had no answer either.
    confirmed_by: Vec<u32>,
}

impl Engine {
    /// A probe has failed. Where the pool knows a suspicion already, ours is
    /// one more.
    pub(super) fn doubt(&mut self, seq: u32) {
        let Some(target) = self.probes.own.get(&seq).map(|probe| probe.target) else {
            return;
        };
        let suspected = self.suspicions.get(&target.id);
        let suspected = suspected.is_some_and(|it| it.bump == target.bump);
        let fits = |record: &Record| record.id != target.id && record.state().is_active();
        let wanted = self.config.confirmations * 2 + 2;
        let helpers = match suspected {
            true => Vec::new(),
            false => self.peers.sample(&mut self.rng, wanted, fits),
        };
        if helpers.is_empty() {
            self.probes.own.remove(&seq);
            return self.accuse(&target, &[]);
        }
        if let Some(probe) = self.probes.own.get_mut(&seq) {
            probe.doubt = Some(Doubt {
                asked: helpers.len(),
                confirmed_by: Vec::new(),
            });
        }
        let message = Message::Confirm {
            seq,
            to: Identity::tag(target.id),
            addr: target.addr,
            from: self.me,
        };
        for helper in helpers {
            let first = self.buddy_news(&helper);
            self.send(helper.addr, &message, first);
        }
        let end = self.health.stretch_suspicion(self.config.doubt_ms);
        self.timers.schedule(Timer::DoubtEnd(seq), end);
        self.probe_again(seq);
    }

    /// Somebody asks for our opinion: pings as close as a doubt has time for.
    pub(super) fn handle_confirm(&mut self, seq: u32, to: u32, addr: SocketAddr, from: &Record) {
        if self.probes.relays.len() >= MAX_PROBES {
            return;
        }
        let own_seq = self.probes.next_seq();
        let relay = Relay {
            seq,
            asker: from.addr,
            again: Some((to, addr, CONFIRM_PINGS)),
        };
        self.probes.relays.insert(own_seq, relay);
        self.relay_again(own_seq);
        let end = CONFIRM_EVERY_MS * u64::from(CONFIRM_PINGS);
        self.timers.schedule(Timer::RelayEnd(own_seq), end);
    }

    pub(super) fn relay_again(&mut self, seq: u32) {
        let relay = self.probes.relays.get_mut(&seq);
        let Some((to, addr, left)) = relay.and_then(|relay| relay.again.as_mut()) else {
            return;
        };
        let (to, addr) = (*to, *addr);
        *left = left.saturating_sub(1);
        if *left > 0 {
            self.timers
                .schedule(Timer::RelayAgain(seq), CONFIRM_EVERY_MS);
        }
        let from = Some(self.me);
        self.send(addr, &Message::Ping { seq, to, from }, None);
    }

    pub(super) fn handle_doubt(&mut self, instance: u32, seq: u32) {
        let peer = self.peers.by_instance(instance);
        let Some(tag) = peer.map(|peer| Identity::tag(peer.record.id)) else {
            return;
        };
        let probe = self.probes.own.get_mut(&seq);
        let Some(doubt) = probe.and_then(|probe| probe.doubt.as_mut()) else {
            return;
        };
        if !doubt.confirmed_by.contains(&tag) {
            doubt.confirmed_by.push(tag);
        }
        if doubt.confirmed_by.len() >= self.config.confirmations.min(doubt.asked) {
            self.doubt_ended(seq);
        }
    }

    /// Enough have no answer either, or there is no time to hear more.
    pub(super) fn doubt_ended(&mut self, seq: u32) {
        let Some(probe) = self.probes.own.remove(&seq) else {
            return;
        };
        let confirmed_by = probe.doubt.map(|doubt| doubt.confirmed_by);
        self.accuse(&probe.target, &confirmed_by.unwrap_or_default());
    }
}
