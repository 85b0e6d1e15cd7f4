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

/// Who is alone asks this often in a row sooner: one of two greetings gets no
/// answer where a fifth of the packets is lost.
const HASTY_GREETINGS: u8 = 20;
/// The first comparisons come sooner for the same reason.
const HASTY_COMPARISONS: u8 = 3;
const HASTE: u64 = 4;

/// Addresses we were told to try.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    seeds: BTreeSet<SocketAddr>,
    lonely: u8,
    compared: u8,
}

impl Contacts {
    fn period(&mut self, period_ms: u64, alone: bool) -> u64 {
        self.lonely = if alone {
            self.lonely.saturating_add(1)
        } else {
            0
        };
        let hasty = (1..=HASTY_GREETINGS).contains(&self.lonely);
        if hasty { period_ms / HASTE } else { period_ms }
    }

    /// When what is known is compared again.
    pub(super) fn comparison(&mut self, period_ms: u64, alone: bool) -> u64 {
        self.compared = self.compared.saturating_add(u8::from(!alone));
        let hasty = self.compared <= HASTY_COMPARISONS;
        if hasty {
            period_ms / HASTE / 2
        } else {
            period_ms
        }
    }
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
        let alone = self.peers.active() == 0;
        let period = self.contacts.period(self.config.contact_period_ms, alone);
        let period = self.jittered(period);
        self.timers.schedule(Timer::Contact, period);
        if self.leaving.is_some() {
            return;
        }
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
