//! The clocks of this machine.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use krakend_domain::Millis;
use uuid::Uuid;

use crate::lease::Reading;

/// UTC milliseconds of the wall clock.
pub fn wall_ms() -> Millis {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// UTC, to the second.
pub fn rfc3339(ms: Millis) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(ms / 1000).map_or_else(|_| ms.to_string(), |at| at.to_string())
}

/// All clocks at one moment. Of `/proc/uptime` (CLOCK_BOOTTIME: it goes on while the machine sleeps, and nobody can set it).
/// Without it each run of the program counts as a boot of its own.
pub fn reading() -> Reading {
    match boot() {
        Some((boot_id, boot_ms)) => Reading {
            boot_id,
            boot_ms,
            wall_ms: wall_ms(),
        },
        None => Reading {
            boot_id: RUN.0.to_string(),
            boot_ms: u64::try_from(RUN.1.elapsed().as_millis()).unwrap_or(u64::MAX),
            wall_ms: wall_ms(),
        },
    }
}

static RUN: LazyLock<(Uuid, Instant)> = LazyLock::new(|| (Uuid::new_v4(), Instant::now()));

fn boot() -> Option<(String, Millis)> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split_whitespace().next()?.parse().ok()?;
    Some((id.trim().to_owned(), (seconds * 1000.0) as u64))
}
