use std::collections::BTreeMap;
use std::time::Duration;

use foca::Timer;

use crate::identity::Identity;

/// Timers on a clock that stands still while this process does.
///
/// A process that was stopped or starved wakes up with every deadline passed.
/// Acting on them would accuse members whose answers lie unread in the socket.
/// So a gap longer than `pause_ms` between two looks at the clock does not
/// count: all deadlines move behind it.
#[derive(Debug)]
pub(crate) struct Timers {
    queue: BTreeMap<(u64, u64), Timer<Identity>>,
    sequence: u64,
    pause_ms: u64,
    last_seen_ms: u64,
    skipped_ms: u64,
}

impl Timers {
    pub(crate) fn new(pause_ms: u64, now_ms: u64) -> Self {
        Self {
            queue: BTreeMap::new(),
            sequence: 0,
            pause_ms,
            last_seen_ms: now_ms,
            skipped_ms: 0,
        }
    }

    /// Protocol time for the monotonic time `now_ms`.
    pub(crate) fn observe(&mut self, now_ms: u64) -> u64 {
        let gap = now_ms.saturating_sub(self.last_seen_ms);
        if gap > self.pause_ms {
            tracing::warn!(gap_ms = gap, "this process stood still, gossip timers wait");
            self.skipped_ms += gap;
        }
        self.last_seen_ms = self.last_seen_ms.max(now_ms);
        self.last_seen_ms - self.skipped_ms
    }

    /// Protocol time at the last look.
    pub(crate) fn now(&self) -> u64 {
        self.last_seen_ms - self.skipped_ms
    }

    /// Monotonic time of a protocol time.
    pub(crate) fn monotonic(&self, protocol_ms: u64) -> u64 {
        protocol_ms + self.skipped_ms
    }

    pub(crate) fn schedule(&mut self, timer: Timer<Identity>, after: Duration) {
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        let at = self.now().saturating_add(after);
        self.sequence += 1;
        self.queue.insert((at, self.sequence), timer);
    }

    pub(crate) fn pop_due(&mut self) -> Option<Timer<Identity>> {
        let first = self.queue.first_entry()?;
        let due = first.key().0 <= self.last_seen_ms - self.skipped_ms;
        due.then(|| first.remove())
    }

    /// Protocol time of the earliest timer.
    pub(crate) fn next(&self) -> Option<u64> {
        self.queue.first_key_value().map(|((at, _), _)| *at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_the_process_does_not_make_timers_due() {
        let mut timers = Timers::new(1_000, 0);
        timers.schedule(Timer::PeriodicGossip(0), Duration::from_millis(500));
        assert_eq!(timers.observe(60_000), 0);
        assert!(timers.pop_due().is_none());
        timers.observe(60_499);
        assert!(timers.pop_due().is_none());
        timers.observe(60_500);
        assert!(timers.pop_due().is_some());
        assert!(timers.pop_due().is_none());
    }

    #[test]
    fn timers_of_one_instant_fire_in_the_order_of_their_scheduling() {
        let mut timers = Timers::new(1_000, 0);
        timers.schedule(Timer::PeriodicGossip(1), Duration::from_millis(10));
        timers.schedule(Timer::PeriodicGossip(2), Duration::from_millis(10));
        timers.observe(10);
        assert_eq!(timers.pop_due(), Some(Timer::PeriodicGossip(1)));
        assert_eq!(timers.pop_due(), Some(Timer::PeriodicGossip(2)));
    }
}
