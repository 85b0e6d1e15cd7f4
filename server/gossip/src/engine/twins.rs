use std::collections::BTreeMap;

use uuid::Uuid;

use super::Engine;
use crate::member::Duplicate;
use crate::peers::Peer;
use crate::record::{Claim, Record};

/// Ids that are remembered as used twice.
const MAX_TWINS: usize = 256;
/// A pair that was not seen for so long is over.
const FORGET_MS: u64 = 30_000;

/// Ids that two living processes use.
///
/// A process draws an instance number at its start. After a restart the old
/// number never speaks again, whatever address it had; where two processes
/// share an id, each outbids the other, so that one that was outdone returns.
#[derive(Debug, Default)]
pub(super) struct Twins {
    seen: BTreeMap<Uuid, Seen>,
    /// Another process of our own id, and how often it came back.
    own: Option<(u32, u32)>,
}

#[derive(Debug)]
struct Seen {
    pair: [Record; 2],
    last_ms: u64,
}

impl Twins {
    pub(super) fn list(&self, now: u64) -> Vec<Duplicate> {
        let fresh = |seen: &&Seen| now.saturating_sub(seen.last_ms) <= FORGET_MS;
        let all = self.seen.values().filter(fresh);
        all.map(|seen| Duplicate {
            id: seen.pair[0].id,
            role: seen.pair[0].role,
            addrs: seen.pair.map(|record| record.addr),
            age_ms: now.saturating_sub(seen.last_ms),
        })
        .collect()
    }

    /// True when this pair was not known.
    fn note(&mut self, pair: [Record; 2], now: u64) -> bool {
        self.seen
            .retain(|_, seen| now.saturating_sub(seen.last_ms) <= FORGET_MS);
        let id = pair[0].id;
        let new = !self.seen.contains_key(&id);
        if new && self.seen.len() >= MAX_TWINS {
            return false;
        }
        let last_ms = now;
        self.seen.insert(id, Seen { pair, last_ms });
        new
    }
}

impl Engine {
    /// The instance before the one that is known after this record.
    pub(super) fn before(&self, known: &Peer, record: &Record) -> u32 {
        match known.record.instance == record.instance {
            true => known.before,
            false => known.record.instance,
        }
    }

    /// A process that another one had taken the place of speaks again.
    pub(super) fn watch_for_twins(&mut self, known: &Peer, record: &Record) {
        let returned = record.instance == known.before
            && record.instance != known.record.instance
            && record.bump > known.record.bump
            && record.claim == Claim::Alive;
        if returned {
            self.note_twins([known.record, *record]);
        }
    }

    /// A packet from a process that speaks as ourselves.
    pub(super) fn meet_twin(&mut self, from: &Record) {
        self.counters.same_id += 1;
        self.note_twins([self.me, *from]);
        self.hear_of_ourselves(from);
    }

    /// Others know another process of our id. The one that ended before we
    /// began cannot outbid us again and again.
    pub(super) fn hear_of_twin(&mut self, record: &Record) {
        let times = match self.twins.own {
            Some((instance, times)) if instance == record.instance => times + 1,
            _ => 1,
        };
        self.twins.own = Some((record.instance, times));
        if times > 2 {
            self.note_twins([self.me, *record]);
        }
    }

    fn note_twins(&mut self, pair: [Record; 2]) {
        let now = self.timers.now();
        if self.twins.note(pair, now) {
            let (id, one, other) = (pair[0].id, pair[0].addr, pair[1].addr);
            tracing::warn!(
                "two processes use the id {id}, at {one} and at {other}: was a data directory copied, \
                 or a machine cloned? Give one of them a directory of its own"
            );
        }
    }
}
