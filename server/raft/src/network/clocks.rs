use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use krakend_domain::{ClockVerdict, judge};

use crate::{rt::Instant, types::MemberId};

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
    theirs_ms: u64,
    pub round_trip: Duration,
    pub at: Instant,
}

impl Reading {
    /// Theirs minus ours, in milliseconds, when ours says `ours_ms` now. Theirs has gone on meanwhile by the steady
    /// clock, so a jump of ours shows before the next answer.
    pub(crate) fn ahead_ms(&self, ours_ms: u64) -> i64 {
        let passed = (self.at.elapsed() + self.round_trip / 2).as_millis() as i128;
        let ahead = self.theirs_ms as i128 + passed - ours_ms as i128;
        i64::try_from(ahead).unwrap_or(i64::MAX)
    }
}

/// When a question was sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked(Instant);

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
        Asked(Instant::now())
    }

    /// Takes the clock out of an answer. 0 comes from a program that does not say.
    pub(crate) fn answered(&self, asked: Asked, from: MemberId, theirs_ms: u64) {
        let round_trip = asked.0.elapsed();
        if theirs_ms == 0 || round_trip > MAX_ROUND_TRIP {
            return;
        }
        let reading = Reading {
            theirs_ms,
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

    /// What the voters' clocks say of ours, when it says `ours_ms` now.
    pub(crate) fn verdict(
        &self,
        ours_ms: u64,
        me: MemberId,
        voters: &BTreeSet<MemberId>,
    ) -> ClockVerdict {
        let readings = self.readings();
        let others: Vec<i64> = readings
            .iter()
            .filter(|(id, reading)| {
                **id != me && voters.contains(id) && reading.at.elapsed() <= KEEP
            })
            .map(|(_, reading)| reading.ahead_ms(ours_ms))
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
        let ahead_ms = fresh[&id(2)].ahead_ms(1_000_000);
        assert!((90_000..95_000).contains(&ahead_ms), "{ahead_ms}");
        let voters = BTreeSet::from([id(1), id(2), id(3)]);
        assert_eq!(
            clocks.verdict(1_000_000, id(1), &voters),
            ClockVerdict::Fits { ahead_ms: 0 }
        );
        clocks.answered(asked, id(3), 1_090_000);
        assert!(matches!(
            clocks.verdict(1_000_000, id(1), &voters),
            ClockVerdict::Off { ahead_ms } if ahead_ms < -80_000
        ));
        let alone = BTreeSet::from([id(1)]);
        assert_eq!(
            clocks.verdict(1_000_000, id(1), &alone),
            ClockVerdict::Fits { ahead_ms: 0 }
        );
    }

    #[test]
    fn a_jump_of_ones_own_clock_shows_before_the_next_answer() {
        let clocks = Clocks::new(Arc::new(|| 1_000_000));
        let voters = BTreeSet::from([id(1), id(2), id(3)]);
        clocks.answered(clocks.ask(), id(2), 1_000_000);
        clocks.answered(clocks.ask(), id(3), 1_000_000);
        let verdict = |ours_ms| clocks.verdict(ours_ms, id(1), &voters);
        assert!(matches!(verdict(1_000_000), ClockVerdict::Fits { .. }));
        assert!(matches!(
            verdict(9_000_000),
            ClockVerdict::Off { ahead_ms } if ahead_ms > 7_000_000
        ));
    }
}
