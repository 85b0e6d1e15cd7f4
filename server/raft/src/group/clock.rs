//! Whether this manager's clock may stamp entries.

use std::{sync::Weak, time::Duration};

use krakend_domain::{ClockVerdict, MAX_OFFSET_MS, span};
use uuid::Uuid;

use super::Inner;
use crate::{
    rt::{self, Instant},
    types::MemberId,
};

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Between two attempts to hand the leadership on.
const HAND_ON_EVERY: Duration = Duration::from_secs(2);

/// The managers' clocks as this one sees them. A leader sees all voters, another manager those that it asked lately.
#[derive(Clone, Debug)]
pub struct ClockStatus {
    pub now_ms: u64,
    pub verdict: ClockVerdict,
    pub readings: Vec<ClockReading>,
}

/// Another manager's clock; right within half the round trip.
#[derive(Clone, Copy, Debug)]
pub struct ClockReading {
    pub id: Uuid,
    /// Theirs minus ours, in milliseconds.
    pub ahead_ms: i64,
    pub round_trip_ms: u64,
    pub age_ms: u64,
}

impl Inner {
    /// What the others' clocks say of ours, when it says `now_ms`.
    pub(super) fn clock_verdict(&self, now_ms: u64) -> ClockVerdict {
        let me = self.local.id();
        self.local.clocks().verdict(now_ms, me, &self.voters())
    }

    pub(super) fn clock_status(&self) -> ClockStatus {
        let readings = self.local.clocks().fresh();
        let now_ms = self.local.clocks().now_ms();
        ClockStatus {
            now_ms,
            verdict: self.clock_verdict(now_ms),
            readings: readings
                .iter()
                .map(|(id, reading)| ClockReading {
                    id: id.0,
                    ahead_ms: reading.ahead_ms(now_ms),
                    round_trip_ms: reading.round_trip.as_millis() as u64,
                    age_ms: reading.at.elapsed().as_millis() as u64,
                })
                .collect(),
        }
    }

    /// A voter that answers and whose clock is near the median of them all, the furthest log first.
    fn well_timed_successor(&self, ahead_ms: i64) -> Option<MemberId> {
        let readings = self.local.clocks().fresh();
        let now_ms = self.local.clocks().now_ms();
        let members = self.status().members;
        members
            .iter()
            .filter(|member| member.voter && member.reachable == Some(true))
            .filter(|member| {
                // The median lies `ahead_ms` behind us.
                readings.get(&MemberId(member.id)).is_some_and(|reading| {
                    let from_median = reading.ahead_ms(now_ms).saturating_add(ahead_ms);
                    from_median.unsigned_abs() <= MAX_OFFSET_MS
                })
            })
            .max_by_key(|member| member.matched)
            .map(|member| MemberId(member.id))
    }
}

/// Says how far a clock is off, for people.
pub(super) fn text(ahead_ms: i64) -> String {
    let way = if ahead_ms > 0 { "ahead of" } else { "behind" };
    format!("{} {way}", span(ahead_ms.unsigned_abs()))
}

/// Has a leader whose clock is wrong hand the leadership on. Until then it stamps nothing.
pub(super) async fn watch(inner: Weak<Inner>) {
    let mut said = false;
    let mut next = Instant::now();
    loop {
        rt::sleep(LOOK_EVERY).await;
        let Some(inner) = inner.upgrade() else { return };
        inner.note_leading();
        let ClockVerdict::Off { ahead_ms } = inner.clock_verdict(inner.local.clocks().now_ms())
        else {
            said = false;
            continue;
        };
        if !inner.is_leader() {
            continue;
        }
        if !said {
            said = true;
            tracing::error!(
                "this manager's clock is {} the others': as leader it stamps nothing and hands the leadership on; correct its clock (NTP)",
                text(ahead_ms)
            );
        }
        if Instant::now() < next {
            continue;
        }
        next = Instant::now() + HAND_ON_EVERY;
        if let Some(to) = inner.well_timed_successor(ahead_ms)
            && let Err(error) = inner.transfer(to).await
        {
            tracing::warn!(%error, "the leadership is not handed on yet");
        }
    }
}
