use std::collections::BTreeMap;

use uuid::Uuid;

/// What the engine is to do at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Timer {
    /// The next member is probed.
    Probe,
    /// A probe has no answer yet: ask again, and through others.
    ProbeAgain(u32),
    /// A probe's time is over.
    ProbeEnd(u32),
    /// What others say of a member that does not answer has come, or not.
    DoubtEnd(u32),
    /// A probe for somebody else is repeated.
    RelayAgain(u32),
    /// A probe for somebody else has no answer.
    RelayEnd(u32),
    /// A suspicion of the life `bump` may be due.
    Suspicion { id: Uuid, bump: u64 },
    /// Tell a suspect again.
    Accuse { id: Uuid, bump: u64 },
    /// Find out by ourselves whether a member is down, as somebody says.
    Verify { id: Uuid, bump: u64 },
    /// Push news.
    Gossip,
    /// Contact seeds and members that are down.
    Contact,
    /// Compare what is known with somebody.
    Exchange,
    /// The next round of leaving.
    Leave,
    /// Raise our incarnation above another process of our id.
    Outbid,
    /// Forget members that are down for long.
    Sweep,
}

/// Timers on a clock that stands still while this process does.
///
/// A process that was stopped or starved wakes up with every deadline passed.
/// Acting on them would accuse members whose answers lie unread in the socket.
/// So a gap longer than `pause_ms` between two looks at the clock does not
/// count: all deadlines move behind it.
#[derive(Debug)]
pub(crate) struct Timers {
    queue: BTreeMap<(u64, u64), Timer>,
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

    /// Looks at the monotonic time; true when this process had stood still.
    pub(crate) fn observe(&mut self, now_ms: u64) -> bool {
        let gap = now_ms.saturating_sub(self.last_seen_ms);
        let stood_still = gap > self.pause_ms;
        if stood_still {
            tracing::warn!(gap_ms = gap, "this process stood still, gossip timers wait");
            self.skipped_ms += gap;
        }
        self.last_seen_ms = self.last_seen_ms.max(now_ms);
        stood_still
    }

    /// Protocol time at the last look.
    pub(crate) fn now(&self) -> u64 {
        self.last_seen_ms - self.skipped_ms
    }

    /// Monotonic time of a protocol time.
    pub(crate) fn monotonic(&self, protocol_ms: u64) -> u64 {
        protocol_ms.saturating_add(self.skipped_ms)
    }

    pub(crate) fn schedule(&mut self, timer: Timer, after_ms: u64) {
        let at = self.now().saturating_add(after_ms);
        self.sequence += 1;
        self.queue.insert((at, self.sequence), timer);
    }

    pub(crate) fn pop_due(&mut self) -> Option<Timer> {
        let now = self.now();
        let first = self.queue.first_entry()?;
        let due = first.key().0 <= now;
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
        timers.schedule(Timer::Gossip, 500);
        assert!(timers.observe(60_000));
        assert_eq!(timers.now(), 0);
        assert!(timers.pop_due().is_none());
        assert!(!timers.observe(60_499));
        assert!(timers.pop_due().is_none());
        timers.observe(60_500);
        assert!(timers.pop_due().is_some());
        assert!(timers.pop_due().is_none());
    }

    #[test]
    fn timers_of_one_instant_fire_in_the_order_of_their_scheduling() {
        let mut timers = Timers::new(1_000, 0);
        timers.schedule(Timer::ProbeEnd(1), 10);
        timers.schedule(Timer::ProbeEnd(2), 10);
        timers.observe(10);
        assert_eq!(timers.pop_due(), Some(Timer::ProbeEnd(1)));
        assert_eq!(timers.pop_due(), Some(Timer::ProbeEnd(2)));
    }
}
