use std::collections::BTreeSet;
use std::net::SocketAddr;

use rand::seq::{IndexedRandom, IteratorRandom};

use super::Engine;
use crate::hint::OrderedHint;
use crate::identity::Identity;
use crate::message::Control;
use crate::roster::MemberState;

/// Seeds that are kept; further ones are ignored.
const MAX_SEEDS: usize = 64;

/// Addresses we were told to try.
#[derive(Debug, Default)]
pub(crate) struct Contacts {
    seeds: BTreeSet<SocketAddr>,
}

impl Engine {
    /// Contacts the seeds now, and again as long as they are not living members.
    pub fn join(&mut self, now_ms: u64, seeds: &[SocketAddr]) {
        self.timers.observe(now_ms);
        for seed in seeds {
            if self.contacts.seeds.len() < MAX_SEEDS && *seed != self.identity().addr {
                self.contacts.seeds.insert(*seed);
            }
        }
        for seed in seeds.iter().take(MAX_SEEDS) {
            self.hello(*seed);
        }
        self.settle();
    }

    fn hello(&mut self, to: SocketAddr) {
        let from = self.identity();
        if to != from.addr {
            self.send_control(to, &Control::Hello { from });
        }
    }

    pub(super) fn handle_hello(&mut self, from: Identity) {
        if self.leaving.is_some() {
            return;
        }
        let answer = Control::HelloAck {
            from: self.identity(),
            your_bump: self.roster.identity(from.id).map(|known| known.bump),
            hint: self.board.lock().hint.clone(),
        };
        self.send_control(from.addr, &answer);
    }

    pub(super) fn handle_hello_ack(
        &mut self,
        from: Identity,
        your_bump: Option<u64>,
        hint: &OrderedHint,
    ) {
        if self.leaving.is_some() {
            return;
        }
        self.board.lock().merge_hint(hint);
        self.renewal.outdone_by(your_bump);
        if self.active_identity(from.id) != Some(from) {
            self.with_foca("announce", |foca, outbox| foca.announce(from, outbox));
        }
    }

    /// Seeds that are no living members, and members that are down: that is how
    /// a lonely member finds company and how partitions of any length heal.
    pub(super) fn contact_absent(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        let alone = self.foca.num_members() == 0;
        let absent = |seed: &&SocketAddr| !self.roster.active_at(**seed);
        let seeds: Vec<SocketAddr> = self.contacts.seeds.iter().copied().collect();
        let mut targets: Vec<SocketAddr> = match alone {
            true => seeds,
            false => {
                let one = seeds.choose(&mut self.rng);
                one.filter(absent).copied().into_iter().collect()
            }
        };
        let down = self.roster.identities(|state| state == MemberState::Down);
        let wanted = self.config.fan_out * if alone { 3 } else { 1 };
        let down = down.sample(&mut self.rng, wanted);
        targets.extend(down.into_iter().map(|member| member.addr));
        targets.sort_unstable();
        targets.dedup();
        for target in targets {
            self.hello(target);
        }
    }
}
