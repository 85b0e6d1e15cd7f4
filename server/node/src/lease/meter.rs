use krakend_domain::Millis;
use serde::{Deserialize, Serialize};

/// The longest pause between two writes of what was charged.
const LONGEST_PAUSE_MS: Millis = 60_000;
/// Short leases are written so often that a start does not eat them up.
const WRITES_PER_LEASE: Millis = 100;
const SHORTEST_PAUSE_MS: Millis = 50;

/// How often what was charged is written, and how much a start of the program is charged: nobody knows how much of the
/// last pause had passed when the one before ended. A minute; for leases below 100 minutes a hundredth of them.
pub fn persist_every_ms(duration_ms: Millis) -> Millis {
    (duration_ms / WRITES_PER_LEASE).clamp(SHORTEST_PAUSE_MS, LONGEST_PAUSE_MS)
}

/// What the clocks of a machine say at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reading {
    /// Differs from boot to boot.
    pub boot_id: String,
    /// Since the boot, sleep included.
    pub boot_ms: Millis,
    /// What the machine believes the time to be: UTC milliseconds.
    pub wall_ms: Millis,
}

/// Charges time against a lease. Pure: readings in, a sum out that only grows.
///
/// While the machine runs, the boot clock alone counts: nobody can set it, and it goes on while the machine sleeps. Over
/// a boot there is only the wall clock, and its difference counts where it is positive. What that cannot see: a machine that
/// was off, and whose wall clock was set back by as much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    /// All that was charged.
    pub charged_ms: Millis,
    /// The part for which there is the wall clock's word alone.
    pub by_wall_ms: Millis,
    /// How far the wall clock was moved since this boot was first seen: ahead is positive.
    pub moved_ms: i64,
    pub last: Reading,
}

impl Meter {
    /// A lease of which `age_ms` have passed.
    pub fn begin(age_ms: Millis, now: Reading) -> Self {
        Self {
            charged_ms: age_ms,
            by_wall_ms: 0,
            moved_ms: 0,
            last: now,
        }
    }

    /// Charges what has passed since the last reading. True when the machine was booted meanwhile.
    pub fn charge(&mut self, now: Reading) -> bool {
        let wall_ms = now.wall_ms as i64 - self.last.wall_ms as i64;
        // A boot clock that runs backwards is another one: containers and virtual machines can be given one of their own.
        let same = now.boot_id == self.last.boot_id && now.boot_ms >= self.last.boot_ms;
        if same {
            let passed_ms = now.boot_ms - self.last.boot_ms;
            self.charged_ms = self.charged_ms.saturating_add(passed_ms);
            self.moved_ms = self.moved_ms.saturating_add(wall_ms - passed_ms as i64);
        } else {
            // It is up for that long, whatever the wall clock says.
            let certain_ms = match now.boot_id == self.last.boot_id {
                true => 0,
                false => now.boot_ms,
            };
            let passed_ms = certain_ms.max(wall_ms.max(0) as u64);
            self.charged_ms = self.charged_ms.saturating_add(passed_ms);
            self.by_wall_ms = self.by_wall_ms.saturating_add(passed_ms - certain_ms);
            self.moved_ms = 0;
        }
        self.last = now;
        !same
    }

    /// The program starts: charges what has passed, and what was not written before its end.
    pub fn start(&mut self, now: Reading, unwritten_ms: Millis) -> bool {
        let booted = self.charge(now);
        self.charged_ms = self.charged_ms.saturating_add(unwritten_ms);
        booted
    }

    pub fn remaining_ms(&self, duration_ms: Millis) -> Millis {
        duration_ms.saturating_sub(self.charged_ms)
    }
}
