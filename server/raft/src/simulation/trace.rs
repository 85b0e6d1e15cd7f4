use std::time::Duration;

/// Lines that are kept for whoever looks at a failure.
const KEEP: usize = 100_000;

/// What happened, as one number, and the newest of it in words.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: u64,
    /// Everything that was run, sent, written or applied.
    pub events: u64,
    told: std::collections::VecDeque<String>,
}

impl Trace {
    /// Takes an event into the hash (FNV-1a, word by word).
    pub(super) fn note(&mut self, what: &str, numbers: &[u64]) {
        self.events += 1;
        for byte in what.bytes() {
            self.mix(u64::from(byte));
        }
        for number in numbers {
            self.mix(*number);
        }
    }

    fn mix(&mut self, word: u64) {
        let mixed = (self.hash ^ word).wrapping_mul(0x0000_0100_0000_01b3);
        self.hash = mixed ^ (mixed >> 29);
    }

    pub(super) fn tell(&mut self, now: Duration, what: &str, numbers: &[u64]) {
        if self.told.len() == KEEP {
            self.told.pop_front();
        }
        self.told
            .push_back(format!("{now:>12.6?} {what} {numbers:?}"));
    }

    /// The same seed gives the same number.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// The newest events in words, oldest first.
    pub(crate) fn told(&self) -> impl Iterator<Item = &String> {
        self.told.iter()
    }
}
