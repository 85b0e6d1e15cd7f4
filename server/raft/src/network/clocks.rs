use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use krakend_domain::{ClockVerdict, judge};

use crate::types::MemberId;

/// Gives UTC in milliseconds since 1970.
pub(crate) type Clock = Arc<dyn Fn() -> u64 + Send + Sync>;

/// A reading that took longer says too little.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(2);
/// An older reading no longer counts.
const KEEP: Duration = Duration::from_secs(10);
/// Managers whose clocks are remembered; a group has few.
const MAX_READINGS: usize = 64;

/// This manager's clock, and the others' as their answers show them.
pub(crate) struct Clocks {
    clock: Clock,
    readings: Mutex<BTreeMap<MemberId, Reading>>,
}

/// Another manager's clock. It is right within half the round trip.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    /// Theirs minus ours, in milliseconds.
    pub ahead_ms: i64,
    pub round_trip: Duration,
    pub at: Instant,
}

/// A question on its way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    wall_ms: u64,
    at: Instant,
}

impl std::fmt::Debug for Clocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clocks").finish_non_exhaustive()
    }
}

impl Clocks {
    pub(crate) fn new(clock: Clock) -> Self {
        Self {
            clock,
            readings: Mutex::default(),
        }
    }

    pub(crate) fn now_ms(&self) -> u64 {
        (self.clock)()
    }

    pub(crate) fn ask(&self) -> Asked {
        Asked {
            wall_ms: self.now_ms(),
            at: Instant::now(),
        }
    }

    /// Takes the clock out of an answer. 0 comes from a program that does not say.
    pub(crate) fn answered(&self, asked: Asked, from: MemberId, theirs_ms: u64) {
        let round_trip = asked.at.elapsed();
        if theirs_ms == 0 || round_trip > MAX_ROUND_TRIP {
            return;
        }
        let ours_ms = asked.wall_ms as i128 + round_trip.as_millis() as i128 / 2;
        let ahead = theirs_ms as i128 - ours_ms;
        let reading = Reading {
            ahead_ms: i64::try_from(ahead).unwrap_or(i64::MAX),
            round_trip,
            at: Instant::now(),
        };
        let mut readings = self.readings();
        if readings.len() < MAX_READINGS || readings.contains_key(&from) {
            readings.insert(from, reading);
        }
    }

    fn readings(&self) -> std::sync::MutexGuard<'_, BTreeMap<MemberId, Reading>> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The readings that still count.
    pub(crate) fn fresh(&self) -> BTreeMap<MemberId, Reading> {
        let mut readings = self.readings();
        readings.retain(|_, reading| reading.at.elapsed() <= KEEP);
        readings.clone()
    }

    /// What the voters' clocks say of ours.
    pub(crate) fn verdict(&self, me: MemberId, voters: &BTreeSet<MemberId>) -> ClockVerdict {
        let readings = self.readings();
        let others: Vec<i64> = readings
            .iter()
            .filter(|(id, reading)| {
                **id != me && voters.contains(id) && reading.at.elapsed() <= KEEP
            })
            .map(|(_, reading)| reading.ahead_ms)
            .collect();
        judge(&others, voters.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(n: u128) -> MemberId {
        MemberId(Uuid::from_u128(n))
    }

    #[test]
    fn an_answer_shows_the_others_clock_and_old_or_empty_ones_show_nothing() {
        let clocks = Clocks::new(Arc::new(|| 1_000_000));
        let asked = clocks.ask();
        clocks.answered(asked, id(2), 1_090_000);
        clocks.answered(asked, id(3), 0);
        let fresh = clocks.fresh();
        assert_eq!(fresh.len(), 1);
        let ahead_ms = fresh[&id(2)].ahead_ms;
        assert!((89_000..=90_000).contains(&ahead_ms), "{ahead_ms}");
        let voters = BTreeSet::from([id(1), id(2), id(3)]);
        assert_eq!(
            clocks.verdict(id(1), &voters),
            ClockVerdict::Fits { ahead_ms: 0 }
        );
        clocks.answered(asked, id(3), 1_090_000);
        assert!(matches!(
            clocks.verdict(id(1), &voters),
            ClockVerdict::Off { ahead_ms } if ahead_ms < -80_000
        ));
        let alone = BTreeSet::from([id(1)]);
        assert_eq!(
            clocks.verdict(id(1), &alone),
            ClockVerdict::Fits { ahead_ms: 0 }
        );
    }
}
