//! What time it is for the state, and whether a leader's clock may say so. Pure: readings come in, verdicts go out.

use std::collections::BTreeMap;

use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::{Command, ManagerId, Millis};

/// A stamp further ahead of the state's time than this is not believed before an operator confirms it.
pub const MAX_JUMP_MS: u64 = 3_600_000;
/// A leader whose clock is further from the median of a quorum than this stamps nothing.
pub const MAX_OFFSET_MS: u64 = 5_000;

/// The state's clock besides the time itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockRecord {
    pub hold: Option<ClockHold>,
    /// Managers whose clocks are wrong, and how far ahead of the median they were when that was noticed.
    pub off: OrdMap<ManagerId, i64>,
}

/// A stamp that jumped ahead and waits for an operator. Until then lease, licence and reap decisions are taken at the
/// time before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClockHold {
    /// The state's time before the jump.
    pub from_ms: Millis,
    /// The stamp that jumped.
    pub to_ms: Millis,
    /// Log index of the entry with that stamp.
    pub index: u64,
    /// Who led, as far as the state knew.
    pub by: Option<ManagerId>,
    /// Taken off later stamps that are as far ahead, so that time goes on at its pace.
    pub ahead_ms: u64,
}

/// Where a stamp moves the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Advance {
    pub now: Millis,
    /// The stamp was not believed: it is so far ahead.
    pub jumped_ms: Option<u64>,
}

/// The time after an entry stamped `stamp`. It never goes back and never jumps.
pub fn advance(now: Millis, hold: Option<&ClockHold>, stamp: Millis) -> Advance {
    let believed = |time: Millis| Advance {
        now: now.max(time),
        jumped_ms: None,
    };
    let fits = |time: Millis| time.saturating_sub(now) <= MAX_JUMP_MS;
    // A group's first stamp has nothing to be compared with.
    if now == 0 || fits(stamp) {
        return believed(stamp);
    }
    if let Some(hold) = hold {
        let moved = stamp.saturating_sub(hold.ahead_ms);
        if fits(moved) {
            return believed(moved);
        }
    }
    Advance {
        now,
        jumped_ms: Some(stamp.saturating_sub(now)),
    }
}

/// What the others' clocks say of this manager's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockVerdict {
    /// Fewer than a quorum were read, so nothing can be said.
    Unknown,
    /// As far from the median as this, in milliseconds; positive: this clock is ahead.
    Fits {
        ahead_ms: i64,
    },
    Off {
        ahead_ms: i64,
    },
}

/// Compares this voter's clock with the median of those that were read. `others` are their clocks minus ours, in
/// milliseconds. With an even number the nearer of the two in the middle counts: of two clocks that disagree nobody
/// knows which is wrong, and a group of two must not stop for it.
pub fn judge(others: &[i64], voters: usize) -> ClockVerdict {
    if others.len() + 1 < voters / 2 + 1 {
        return ClockVerdict::Unknown;
    }
    let ahead_ms = ahead_of_median(0, others);
    if ahead_ms.unsigned_abs() > MAX_OFFSET_MS {
        ClockVerdict::Off { ahead_ms }
    } else {
        ClockVerdict::Fits { ahead_ms }
    }
}

/// How far a clock is ahead of the median of all, itself included.
fn ahead_of_median(own: i64, others: &[i64]) -> i64 {
    let mut all = others.to_vec();
    all.push(own);
    all.sort_unstable();
    let (low, high) = (all[(all.len() - 1) / 2], all[all.len() / 2]);
    if own < low {
        own.saturating_sub(low)
    } else if own > high {
        own.saturating_sub(high)
    } else {
        0
    }
}

/// What the leader has to write down about the voters' clocks: who is off now, and who no longer is. `readings` are
/// the clocks of all voters that were read, the leader's own included, on any common scale.
pub fn plan_clock_reports(
    readings: &BTreeMap<ManagerId, i64>,
    voters: usize,
    known: &OrdMap<ManagerId, i64>,
) -> Vec<Command> {
    if readings.len() < voters / 2 + 1 {
        return Vec::new();
    }
    let report = |(id, own): (&ManagerId, &i64)| {
        let others = readings.iter().filter(|(other, _)| *other != id);
        let others: Vec<i64> = others.map(|(_, reading)| *reading).collect();
        let ahead_ms = ahead_of_median(*own, &others);
        let off = ahead_ms.unsigned_abs() > MAX_OFFSET_MS;
        // A clock at the limit is not told again and again.
        let right = ahead_ms.unsigned_abs() <= MAX_OFFSET_MS / 2;
        let ahead_ms = match known.contains_key(id) {
            false if off => Some(ahead_ms),
            true if right => None,
            _ => return None,
        };
        Some(Command::ReportClock {
            manager_id: *id,
            ahead_ms,
        })
    };
    readings.iter().filter_map(report).collect()
}

/// A length of time for people, in its largest unit.
pub fn span(ms: u64) -> String {
    const UNITS: [(u64, &str); 4] = [
        (86_400_000, "days"),
        (3_600_000, "hours"),
        (60_000, "minutes"),
        (1_000, "seconds"),
    ];
    let unit = UNITS.iter().find(|(length, _)| ms >= 2 * length);
    match unit {
        Some((length, name)) => format!("{} {name}", ms / length),
        None => format!("{ms} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000_000;
    const YEAR: u64 = 365 * 86_400_000;

    fn hold(ahead_ms: u64) -> ClockHold {
        ClockHold {
            from_ms: NOW,
            to_ms: NOW + ahead_ms,
            index: 7,
            by: None,
            ahead_ms,
        }
    }

    #[test]
    fn time_follows_stamps_and_never_goes_back() {
        assert_eq!(advance(0, None, NOW).now, NOW);
        assert_eq!(advance(NOW, None, NOW + 5).now, NOW + 5);
        assert_eq!(advance(NOW, None, NOW - YEAR).now, NOW);
        assert_eq!(advance(NOW, None, NOW - YEAR).jumped_ms, None);
    }

    #[test]
    fn a_stamp_more_than_an_hour_ahead_is_not_believed() {
        let edge = advance(NOW, None, NOW + MAX_JUMP_MS);
        assert_eq!((edge.now, edge.jumped_ms), (NOW + MAX_JUMP_MS, None));
        let beyond = advance(NOW, None, NOW + MAX_JUMP_MS + 1);
        assert_eq!(beyond.now, NOW);
        assert_eq!(beyond.jumped_ms, Some(MAX_JUMP_MS + 1));
    }

    #[test]
    fn while_a_jump_is_held_time_goes_on_at_its_pace_whoever_stamps() {
        let held = hold(YEAR);
        let same_clock = advance(NOW, Some(&held), NOW + YEAR + 30_000);
        assert_eq!((same_clock.now, same_clock.jumped_ms), (NOW + 30_000, None));
        let right_clock = advance(NOW + 30_000, Some(&held), NOW + 40_000);
        assert_eq!(
            (right_clock.now, right_clock.jumped_ms),
            (NOW + 40_000, None)
        );
        let other_jump = advance(NOW, Some(&held), NOW + 3 * YEAR);
        assert_eq!(
            (other_jump.now, other_jump.jumped_ms),
            (NOW, Some(3 * YEAR))
        );
    }

    #[test]
    fn a_clock_is_judged_by_the_median_of_a_quorum() {
        let off = |ahead_ms| ClockVerdict::Off { ahead_ms };
        let fits = |ahead_ms| ClockVerdict::Fits { ahead_ms };
        assert_eq!(judge(&[], 3), ClockVerdict::Unknown);
        assert_eq!(judge(&[], 1), fits(0));
        assert_eq!(judge(&[10, -10], 3), fits(0));
        assert_eq!(judge(&[-5_001, -6_000], 3), off(5_001));
        assert_eq!(judge(&[-5_000, -6_000], 3), fits(5_000));
        assert_eq!(judge(&[90_000, 90_001], 3), off(-90_000));
        // One of the others is wrong, not this one.
        assert_eq!(judge(&[3, i64::MAX / 2], 3), fits(-3));
        // Of two nobody knows which is wrong.
        assert_eq!(judge(&[90_000], 2), fits(0));
        assert_eq!(judge(&[90_000], 3), fits(0));
        assert_eq!(judge(&[90_000, 90_000, 90_000], 5), off(-90_000));
    }

    #[test]
    fn a_clock_that_is_off_is_reported_once_and_again_when_it_is_right() {
        let id = uuid::Uuid::from_u128;
        let mut readings = BTreeMap::from([(id(1), 0), (id(2), 100), (id(3), 60_000)]);
        let mut known = OrdMap::new();
        let reports = plan_clock_reports(&readings, 3, &known);
        assert!(
            matches!(&reports[..], [Command::ReportClock { manager_id, ahead_ms: Some(59_900) }] if *manager_id == id(3)),
            "{reports:?}"
        );
        known.insert(id(3), 59_900);
        assert!(plan_clock_reports(&readings, 3, &known).is_empty());
        readings.insert(id(3), 4_000);
        assert!(
            plan_clock_reports(&readings, 3, &known).is_empty(),
            "not yet"
        );
        readings.insert(id(3), 50);
        let reports = plan_clock_reports(&readings, 3, &known);
        assert!(matches!(
            &reports[..],
            [Command::ReportClock { ahead_ms: None, .. }]
        ));
        assert!(
            plan_clock_reports(&readings, 7, &known).is_empty(),
            "no quorum"
        );
    }

    #[test]
    fn spans_are_told_in_their_largest_unit() {
        assert_eq!(span(YEAR), "365 days");
        assert_eq!(span(7_200_000), "2 hours");
        assert_eq!(span(5_001), "5 seconds");
        assert_eq!(span(900), "900 ms");
    }
}
