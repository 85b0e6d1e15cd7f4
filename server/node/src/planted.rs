//! A bug on purpose: what the fault tester must find. `KRAKEND_PLANTED_BUG` switches it on. Compiled with the feature `planted-bugs`
//! only.

use krakend_domain::Millis;

/// A node with the bug believes its lease to be twice as long as it is.
pub fn believed_ms(duration_ms: Millis) -> Millis {
    match std::env::var("KRAKEND_PLANTED_BUG").as_deref() {
        Ok("licensed-too-long") => 2 * duration_ms,
        _ => duration_ms,
    }
}
