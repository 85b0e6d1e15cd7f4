use std::collections::BTreeSet;
use std::net::SocketAddr;

use rand::seq::IteratorRandom;

use super::Engine;
use crate::member::MemberState;
use crate::message::Message;
use crate::record::Record;
use crate::timers::Timer;

/// Seeds that are kept; further ones are ignored.
const MAX_SEEDS: usize = 64;

/// Addresses we were told to try.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    seeds: BTreeSet<SocketAddr>,
}

impl Engine {
    /// Contacts the seeds that are not living members now, and again as long
    /// as they are not.
    pub fn join(&mut self, now_ms: u64, seeds: &[SocketAddr]) {
        self.observe(now_ms);
        for seed in seeds {
            if self.contacts.seeds.len() < MAX_SEEDS && *seed != self.me.addr {
                self.contacts.seeds.insert(*seed);
            }
        }
        for seed in seeds.iter().take(MAX_SEEDS) {
            if !self.peers.active_at(*seed) {
                self.hello(*seed, None);
            }
        }
    }

    fn hello(&mut self, to: SocketAddr, about: Option<Record>) {
        if to != self.me.addr && self.leaving.is_none() {
            self.send(to, &Message::Hello { from: self.me }, about);
        }
    }

    pub(super) fn handle_hello(&mut self, from: &Record) {
        let first = self.buddy_news(from);
        self.send(from.addr, &Message::HelloAck { from: self.me }, first);
    }

    /// Seeds that are no living members, and members that are down: that is how
    /// a lonely member finds company and how partitions of any length heal.
    pub(super) fn contact_absent(&mut self) {
        let period = self.jittered(self.config.contact_period_ms);
        self.timers.schedule(Timer::Contact, period);
        if self.leaving.is_some() {
            return;
        }
        let alone = self.peers.active() == 0;
        let seeds = if alone { MAX_SEEDS } else { 1 };
        let seeds = self
            .contacts
            .seeds
            .iter()
            .copied()
            .sample(&mut self.rng, seeds);
        for seed in seeds {
            if !self.peers.active_at(seed) {
                self.hello(seed, None);
            }
        }
        let wanted = self.config.fan_out * if alone { 3 } else { 1 };
        let down = |record: &Record| record.state() == MemberState::Down;
        for member in self.peers.sample(&mut self.rng, wanted, down) {
            // It hears at once what it has to refute.
            self.hello(member.addr, Some(member));
        }
    }
}
