use std::collections::BTreeSet;

use uuid::Uuid;

use super::Engine;
use crate::message::Message;
use crate::record::{Claim, Record};
use crate::timers::Timer;

/// A leave is told to this many members, each time to others.
const TOLD_AT_ONCE: usize = 4;
/// Confirmations that are enough.
const ENOUGH_ACKS: usize = 3;
/// Pause between two rounds.
const ROUND_MS: u64 = 60;

/// Our own leave, under way.
#[derive(Debug)]
pub(super) struct Leaving {
    acks: BTreeSet<Uuid>,
    wanted: usize,
}

impl Engine {
    /// Begins to leave: from now on we answer nobody. Idempotent.
    pub fn begin_leave(&mut self, now_ms: u64) {
        self.observe(now_ms);
        if self.leaving.is_some() {
            return;
        }
        self.leaving = Some(Leaving {
            acks: BTreeSet::new(),
            wanted: self.peers.active().min(ENOUGH_ACKS),
        });
        self.continue_leave();
    }

    /// Members that have confirmed to have heard; None while not leaving.
    pub fn leave_acks(&self) -> Option<usize> {
        self.leaving.as_ref().map(|leaving| leaving.acks.len())
    }

    /// Enough members (three, or all when there are fewer) have confirmed.
    pub fn has_left(&self) -> bool {
        let enough = |leaving: &Leaving| leaving.acks.len() >= leaving.wanted;
        self.leaving.as_ref().is_some_and(enough)
    }

    /// Spreads that a member ended on purpose, as somebody who must know. A
    /// member that still lives refutes it.
    pub fn leave_notice(&mut self, now_ms: u64, id: Uuid) {
        self.observe(now_ms);
        if let Some(known) = self.peers.get(id).copied() {
            let left = known.record.claiming(Claim::Left);
            if left.order() > known.record.order() {
                self.conclude(&known, &left);
            }
        }
    }

    pub(super) fn continue_leave(&mut self) {
        if self.leaving.is_none() || self.has_left() {
            return;
        }
        self.timers.schedule(Timer::Leave, ROUND_MS);
        let active = |record: &Record| record.state().is_active();
        for member in self.peers.sample(&mut self.rng, TOLD_AT_ONCE, active) {
            self.send(member.addr, &Message::Leave { from: self.me }, None);
        }
    }

    pub(super) fn handle_leave(&mut self, from: &Record) {
        if from.id == self.me.id {
            return;
        }
        let left = from.claiming(Claim::Left);
        match self.peers.get(from.id).copied() {
            Some(known) if left.order() > known.record.order() => self.conclude(&known, &left),
            Some(_) => {}
            None => {
                self.set(left, 0);
                self.news.add(left);
            }
        }
        let ack = Message::LeaveAck {
            from: self.me.id,
            bump: from.bump,
        };
        self.send(from.addr, &ack, None);
    }

    pub(super) fn handle_leave_ack(&mut self, from: Uuid, bump: u64) {
        let bump_fits = self.me.bump == bump;
        if let Some(leaving) = self.leaving.as_mut().filter(|_| bump_fits) {
            leaving.acks.insert(from);
        }
    }
}
