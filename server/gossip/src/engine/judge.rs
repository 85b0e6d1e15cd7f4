use rand::RngExt;
use uuid::Uuid;

use super::Engine;
use crate::identity::Identity;
use crate::member::MemberState;
use crate::peers::Peer;
use crate::record::{Claim, Record};
use crate::suspicion::Suspicion;
use crate::timers::Timer;

/// How we came to hear something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Via {
    /// It has just happened, or somebody speaks for itself.
    News,
    /// It is what somebody holds for true, perhaps for long.
    Exchange,
}

impl Engine {
    /// Whether this is an accusation of ours that we have answered already.
    pub(super) fn is_behind(&self, record: &Record) -> bool {
        record.id == self.me.id
            && record.bump < self.me.bump
            && record.state() != MemberState::Alive
    }

    /// Takes in what is said about a member.
    pub(super) fn learn(&mut self, record: &Record, via: Via) {
        if record.id == self.me.id {
            return self.hear_of_ourselves(record);
        }
        let Some(known) = self.peers.get(record.id).copied() else {
            return self.learn_new(record, via);
        };
        self.watch_for_twins(&known, record);
        match record.claim {
            Claim::Alive => self.learn_alive(&known, record),
            Claim::Suspect { by } => self.learn_suspect(&known, record, by),
            Claim::Down { by } => self.learn_down(&known, record, by, via),
            Claim::Left => self.learn_left(&known, record),
        }
    }

    fn learn_new(&mut self, record: &Record, via: Via) {
        match record.claim {
            Claim::Suspect { by } => {
                self.set(record.claiming(Claim::Alive), 0);
                if let Some(known) = self.peers.get(record.id).copied() {
                    self.learn_suspect(&known, record, by);
                }
            }
            _ => self.set(*record, 0),
        }
        // A member that nobody misses is no news.
        if via == Via::News || record.claim == Claim::Alive {
            self.news.add(*record);
        }
    }

    fn learn_alive(&mut self, known: &Peer, record: &Record) {
        let old = &known.record;
        let tie = record.bump == old.bump && old.claim == Claim::Alive;
        let wins = |new: &Record| (new.instance, new.addr) > (old.instance, old.addr);
        if record.bump > old.bump || (tie && wins(record)) {
            self.suspicions.remove(&record.id);
            self.set(*record, self.before(known, record));
            self.news.add(*record);
        }
    }

    fn learn_suspect(&mut self, known: &Peer, record: &Record, by: u32) {
        let old = &known.record;
        let ended = !old.state().is_active();
        if record.bump < old.bump || (ended && record.bump == old.bump) {
            return;
        }
        let present = self.suspicions.get(&record.id).map(|it| it.bump);
        let first = present != Some(record.bump);
        let fresh = || Suspicion::new(record.bump);
        let suspicion = self.suspicions.entry(record.id).or_insert_with(fresh);
        if first {
            *suspicion = fresh();
        }
        if !suspicion.accused_by(by) {
            return;
        }
        let (own, accusers) = (suspicion.own_since.is_some(), suspicion.accusers());
        if first {
            self.set(*record, self.before(known, record));
        }
        if accusers <= self.config.confirmations + 1 {
            self.news.add(*record);
        }
        if own {
            self.schedule_suspicion(record.id, record.bump);
        } else if first {
            self.verify_later(record);
        }
    }

    /// A suspicion is over by then, one way or the other. Who has missed how it
    /// ended finds out by itself, not all at once.
    fn verify_later(&mut self, suspect: &Record) {
        let (id, bump) = (suspect.id, suspect.bump);
        let spread = 5 * self.peers.active() as u64;
        let spread = self
            .rng
            .random_range(0..=spread.min(self.config.suspect_max_ms));
        let after = self.config.suspect_min_ms * 3 + spread;
        self.timers.schedule(Timer::Verify { id, bump }, after);
    }

    /// "Down" is believed where the suspicion was heard before, as it is after
    /// a death. Somebody held for alive is asked first: after a partition both
    /// halves say that the other one is down, and nobody is to flap for it.
    fn learn_down(&mut self, known: &Peer, record: &Record, by: u32, via: Via) {
        let old = &known.record;
        if record.order() <= old.order() {
            return;
        }
        let suspected = self.suspicions.get(&record.id);
        let heard_before = suspected.is_some_and(|it| it.bump == record.bump);
        if !old.state().is_active() || (via == Via::News && heard_before) {
            return self.conclude(known, record);
        }
        let accusation = record.claiming(Claim::Suspect { by });
        self.learn_suspect(known, &accusation, by);
        let Some(suspicion) = self.suspicions.get_mut(&record.id) else {
            return;
        };
        if suspicion.condemned {
            return;
        }
        suspicion.condemned = true;
        let (id, bump) = (record.id, record.bump);
        let after = match via {
            Via::News => 0,
            // Many at once, when a partition heals.
            Via::Exchange => self.rng.random_range(0..self.config.suspect_max_ms),
        };
        self.timers.schedule(Timer::Verify { id, bump }, after);
    }

    pub(super) fn verify(&mut self, id: Uuid, bump: u64) {
        if let Some(suspect) = self.suspected(id, bump) {
            self.probe(&suspect);
        }
    }

    fn learn_left(&mut self, known: &Peer, record: &Record) {
        if record.order() > known.record.order() {
            self.conclude(known, record);
        }
    }

    /// It has ended.
    pub(super) fn conclude(&mut self, known: &Peer, record: &Record) {
        self.suspicions.remove(&record.id);
        self.set(*record, self.before(known, record));
        self.news.add(*record);
    }

    /// A probe of ours had no answer, and those whom we asked had none either:
    /// from now on we accuse.
    pub(super) fn accuse(&mut self, suspect: &Record, confirmed_by: &[u32]) {
        let by = Identity::tag(self.me.id);
        let accusation = suspect.claiming(Claim::Suspect { by });
        let Some(known) = self.peers.get(suspect.id).copied() else {
            return;
        };
        if !known.record.state().is_active() || known.record.bump != suspect.bump {
            return;
        }
        let fresh = || Suspicion::new(suspect.bump);
        let suspicion = self.suspicions.entry(suspect.id).or_insert_with(fresh);
        if suspicion.bump != suspect.bump {
            *suspicion = fresh();
        }
        if suspicion.condemned {
            return self.declare_down(suspect.id, suspect.bump);
        }
        if suspicion.own_since.is_some() {
            return;
        }
        suspicion.own_since = Some(self.timers.now());
        if suspicion.accused_by(by) {
            self.news.add(accusation);
        }
        // They shorten our suspicion; others need not hear of each.
        for tag in confirmed_by {
            suspicion.accused_by(*tag);
        }
        if known.record.state() != MemberState::Suspect {
            self.set(accusation, known.before);
        }
        let (id, bump) = (suspect.id, suspect.bump);
        self.schedule_suspicion(id, bump);
        self.accuse_again(id, bump);
    }

    /// The suspect is told and asked until it is over.
    pub(super) fn accuse_again(&mut self, id: Uuid, bump: u64) {
        let own = |it: &Suspicion| it.bump == bump && it.own_since.is_some();
        let Some(suspect) = self.suspected(id, bump) else {
            return;
        };
        if self.suspicions.get(&id).is_some_and(own) {
            self.ping_untracked(&suspect);
            let timer = Timer::Accuse { id, bump };
            self.timers.schedule(timer, self.config.accuse_period_ms);
        }
    }

    fn schedule_suspicion(&mut self, id: Uuid, bump: u64) {
        let now = self.timers.now();
        if let Some(due) = self.suspicion_ends(id, bump) {
            let timer = Timer::Suspicion { id, bump };
            self.timers.schedule(timer, due.saturating_sub(now));
        }
    }

    /// When a suspicion of our own ends, as it stands now.
    fn suspicion_ends(&self, id: Uuid, bump: u64) -> Option<u64> {
        let suspicion = self.suspicions.get(&id).filter(|it| it.bump == bump)?;
        let others = self.peers.active().saturating_sub(1);
        let timeout = suspicion.timeout_ms(&self.config, others);
        Some(suspicion.own_since? + self.health.stretch_suspicion(timeout))
    }

    pub(super) fn suspicion_due(&mut self, id: Uuid, bump: u64) {
        let Some(due) = self.suspicion_ends(id, bump) else {
            return;
        };
        if due <= self.timers.now() {
            self.declare_down(id, bump);
        } else if self.suspected(id, bump).is_some() {
            // Our health has grown worse meanwhile.
            self.schedule_suspicion(id, bump);
        }
    }

    fn declare_down(&mut self, id: Uuid, bump: u64) {
        if let Some(suspect) = self.suspected(id, bump)
            && let Some(known) = self.peers.get(id).copied()
        {
            let by = Identity::tag(self.me.id);
            self.conclude(&known, &suspect.claiming(Claim::Down { by }));
        }
    }

    /// A member's record while this incarnation of it is suspected.
    fn suspected(&self, id: Uuid, bump: u64) -> Option<Record> {
        let record = self.peers.get(id)?.record;
        let fits = record.bump == bump && record.state() == MemberState::Suspect;
        fits.then_some(record)
    }

    /// Table and event.
    pub(super) fn set(&mut self, record: Record, before: u32) {
        let known = self.peers.get(record.id).map(|peer| (peer.member(), *peer));
        let state = record.state();
        let since = match known {
            Some((member, peer)) if member.state == state => peer.since,
            _ => self.timers.now(),
        };
        let peer = Peer {
            record,
            since,
            before,
        };
        let changed = known.is_none_or(|(member, _)| member != peer.member());
        if self.peers.put(peer) && changed {
            self.output.events.push(peer.member());
        }
    }
}
