use std::collections::HashMap;

/// Remembers which counters of which senders were seen.
///
/// One window of 64 counters for each sender instance, as in RFC 4303 section
/// 3.4.3. Call only for packets whose tag has been verified, or a stranger
/// could fill the table.
#[derive(Debug)]
pub(crate) struct ReplayGuard {
    windows: HashMap<u64, Window>,
    capacity: usize,
    clock: u64,
}

#[derive(Debug)]
struct Window {
    highest: u64,
    /// Bit n: `highest - n` was seen.
    seen: u64,
    last_used: u64,
}

impl ReplayGuard {
    pub(crate) const CAPACITY: usize = 16_384;

    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            windows: HashMap::new(),
            capacity,
            clock: 0,
        }
    }

    /// Takes the counter down; false when it was seen or is too old to tell.
    pub(crate) fn accept(&mut self, instance: u64, counter: u64) -> bool {
        self.clock += 1;
        let clock = self.clock;
        if let Some(window) = self.windows.get_mut(&instance) {
            window.last_used = clock;
            return window.accept(counter);
        }
        if self.windows.len() >= self.capacity {
            self.drop_oldest();
        }
        let window = Window {
            highest: counter,
            seen: 1,
            last_used: clock,
        };
        self.windows.insert(instance, window);
        true
    }

    /// Linear, but only met when yet another member restarts with a full table.
    fn drop_oldest(&mut self) {
        let oldest = self.windows.iter().min_by_key(|(_, w)| w.last_used);
        if let Some(instance) = oldest.map(|(instance, _)| *instance) {
            self.windows.remove(&instance);
        }
    }
}

impl Window {
    fn accept(&mut self, counter: u64) -> bool {
        if counter > self.highest {
            let shift = counter - self.highest;
            self.seen = if shift >= 64 { 0 } else { self.seen << shift };
            self.seen |= 1;
            self.highest = counter;
            return true;
        }
        let age = self.highest - counter;
        if age >= 64 || self.seen & (1 << age) != 0 {
            return false;
        }
        self.seen |= 1 << age;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_counter_is_accepted_once_in_any_order_within_the_window() {
        let mut guard = ReplayGuard::new(4);
        for counter in [5, 3, 4, 70, 8, 69] {
            assert!(guard.accept(1, counter), "{counter}");
        }
        for counter in [5, 3, 4, 70, 8, 69, 6, 0] {
            assert!(!guard.accept(1, counter), "{counter}");
        }
    }

    #[test]
    fn a_jump_over_the_whole_window_forgets_nothing_that_matters() {
        let mut guard = ReplayGuard::new(4);
        assert!(guard.accept(1, 1));
        assert!(guard.accept(1, u64::MAX));
        assert!(!guard.accept(1, 1));
        assert!(!guard.accept(1, u64::MAX));
        assert!(guard.accept(1, u64::MAX - 63));
    }

    #[test]
    fn a_full_table_drops_the_sender_that_was_silent_longest() {
        let mut guard = ReplayGuard::new(2);
        assert!(guard.accept(1, 1));
        assert!(guard.accept(2, 1));
        assert!(guard.accept(1, 2));
        assert!(guard.accept(3, 1));
        assert_eq!(guard.windows.len(), 2);
        assert!(!guard.accept(1, 2));
        assert!(!guard.windows.contains_key(&2));
    }
}
