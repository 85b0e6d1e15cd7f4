use rand::seq::IteratorRandom;

use super::Engine;
use crate::identity::Identity;
use crate::roster::MemberState;

/// At most one new life in this time.
const PAUSE_MS: u64 = 1_000;
/// Members that hear of a new life directly.
const TOLD_AT_ONCE: usize = 8;

/// Coming back after having been declared down.
#[derive(Debug)]
pub(crate) struct Renewal {
    /// The highest bump of ours that anybody has heard of.
    highest: u64,
    last_ms: Option<u64>,
    due_ms: Option<u64>,
}

impl Renewal {
    pub(crate) fn new(bump: u64) -> Self {
        Self {
            highest: bump,
            last_ms: None,
            due_ms: None,
        }
    }

    /// Others know a later life of ours: our clock was set back between two
    /// starts. The next renewal jumps over it.
    pub(crate) fn outdone_by(&mut self, bump: Option<u64>) {
        self.highest = self.highest.max(bump.unwrap_or(0));
    }

    pub(crate) fn due_ms(&self) -> Option<u64> {
        self.due_ms
    }
}

impl Engine {
    /// Others hold us for down: begin a new life, at a bounded rate.
    pub(super) fn declared_down(&mut self) {
        if self.leaving.is_some() {
            return;
        }
        let now = self.timers.now();
        let earliest = self.renewal.last_ms.map_or(now, |last| last + PAUSE_MS);
        self.renewal.due_ms = Some(earliest.max(now));
        self.renew_if_due(now);
    }

    pub(super) fn renew_if_due(&mut self, now: u64) {
        if self.renewal.due_ms.is_none_or(|due| due > now) {
            return;
        }
        self.renewal.due_ms = None;
        self.renewal.last_ms = Some(now);
        let me = self.identity();
        let Some(bump) = self.renewal.highest.max(me.bump).checked_add(1) else {
            tracing::warn!("gossip cannot come back: no higher life number is left");
            return;
        };
        self.renewal.highest = bump;
        let next = Identity { bump, ..me };
        self.with_foca("renew", |foca, outbox| foca.change_identity(next, outbox));
        tracing::info!(bump, "gossip had declared us down; back with a new life");
        // Others must hear of the new life before they miss the old one: probe
        // again at once, and tell some directly.
        self.with_foca("probe again", |foca, outbox| {
            foca.apply_many(std::iter::empty(), true, outbox)
        });
        let active = self.roster.identities(MemberState::is_active);
        let told = active.sample(&mut self.rng, TOLD_AT_ONCE);
        for member in told {
            self.with_foca("announce", |foca, outbox| foca.announce(member, outbox));
        }
        self.ticks.announce_soon(now);
    }
}
