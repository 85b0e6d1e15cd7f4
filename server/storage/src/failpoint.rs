//! Places at which a test can have the process die, as a crash would. Compiled out of release builds.

/// Every place. A test goes through all of them.
pub const PLACES: [&str; 16] = [
    "log-append",
    "log-appended",
    "log-synced",
    "log-purge",
    "log-purged",
    "watermark-written",
    "vote-file-written",
    "apply",
    "applied",
    "state-write",
    "state-written",
    "snapshot-begun",
    "snapshot-complete",
    "snapshot-renamed",
    "install-adopted",
    "installed",
];

#[cfg(debug_assertions)]
mod armed {
    use std::sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    };

    static ARMED: OnceLock<(String, AtomicU64)> = OnceLock::new();

    /// The process dies when it comes to `place` for the `nth` time, counted from 1. Once in a process.
    pub fn arm(place: &str, nth: u64) {
        assert!(super::PLACES.contains(&place), "{place} is no failpoint");
        let fresh = ARMED.set((place.into(), AtomicU64::new(nth))).is_ok();
        assert!(fresh, "a failpoint is armed already");
    }

    /// Where a failpoint may be armed.
    pub fn reach(place: &'static str) {
        debug_assert!(super::PLACES.contains(&place), "{place} is not listed");
        if let Some((armed, left)) = ARMED.get()
            && armed == place
            && left.fetch_sub(1, Ordering::SeqCst) == 1
        {
            std::process::abort();
        }
    }
}

#[cfg(debug_assertions)]
pub use armed::{arm, reach};

/// Where a failpoint may be armed, in other builds.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_: &'static str) {}
