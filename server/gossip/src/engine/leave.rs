use std::collections::BTreeSet;
use std::net::SocketAddr;

use rand::seq::IteratorRandom;
use uuid::Uuid;

use super::Engine;
use crate::board::News;
use crate::identity::Identity;
use crate::message::Control;
use crate::roster::MemberState;

/// A leave is told to this many members, each time to others.
const TOLD_AT_ONCE: usize = 4;
/// Confirmations that are enough.
const ENOUGH_ACKS: usize = 3;
/// Pause between two rounds.
const ROUND_MS: u64 = 60;

/// Our own leave, under way.
#[derive(Debug)]
pub(crate) struct Leaving {
    life: Identity,
    acks: BTreeSet<Uuid>,
    wanted: usize,
    pub(crate) next_round_ms: u64,
}

impl Engine {
    /// Begins to leave: from now on we answer nobody. Idempotent.
    pub fn begin_leave(&mut self, now_ms: u64) {
        let now = self.timers.observe(now_ms);
        if self.leaving.is_some() {
            return;
        }
        let life = self.identity();
        self.leaving = Some(Leaving {
            life,
            acks: BTreeSet::new(),
            wanted: self.foca.num_members().min(ENOUGH_ACKS),
            next_round_ms: now + ROUND_MS,
        });
        self.publish(&News::Left(life));
        self.tell_leave(life);
        self.with_foca("leave", |foca, outbox| foca.leave_cluster(outbox));
        self.settle();
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
    /// member that still lives comes back by itself with a new life.
    pub fn leave_notice(&mut self, now_ms: u64, id: Uuid) {
        self.timers.observe(now_ms);
        if let Some(member) = self.roster.identity(id) {
            self.publish(&News::Left(member));
            self.settle();
        }
    }

    pub(super) fn continue_leave(&mut self, now: u64) {
        let Some(leaving) = &mut self.leaving else {
            return;
        };
        if now < leaving.next_round_ms {
            return;
        }
        leaving.next_round_ms = now + ROUND_MS;
        let life = leaving.life;
        if !self.has_left() {
            self.tell_leave(life);
        }
    }

    fn tell_leave(&mut self, life: Identity) {
        let active = self.roster.identities(MemberState::is_active);
        let chosen = active.sample(&mut self.rng, TOLD_AT_ONCE);
        let told: BTreeSet<SocketAddr> = chosen.into_iter().map(|member| member.addr).collect();
        for addr in told {
            self.send_control(addr, &Control::Leave { from: life });
        }
    }

    pub(super) fn handle_leave(&mut self, from: Identity) {
        if from.id == self.identity().id {
            return;
        }
        if !self.board.lock().has_left(&from) {
            self.publish(&News::Left(from));
        }
        let ack = Control::LeaveAck {
            from: self.identity().id,
            bump: from.bump,
        };
        self.send_control(from.addr, &ack);
    }

    pub(super) fn handle_leave_ack(&mut self, from: Uuid, bump: u64) {
        if let Some(leaving) = &mut self.leaving
            && leaving.life.bump == bump
        {
            leaving.acks.insert(from);
        }
    }

    /// Leaves heard as news: known to foca and roster at once.
    pub(super) fn apply_new_leaves(&mut self) {
        let left = std::mem::take(&mut self.board.lock().new_left);
        for member in left {
            if member.id == self.identity().id {
                continue;
            }
            self.apply_down(member);
            self.note(member, MemberState::Down);
        }
    }
}
