use rustix::{process::setpriority_process, thread::gettid};

/// The lowest there is.
const NICEST: i32 = 19;

/// Has this thread run when no other of this machine wants to. For work that nobody waits for, done by a thread that
/// holds no lock while it works.
pub fn yield_to_others() {
    // On Linux a thread has a priority of its own, under its own number.
    if let Err(error) = setpriority_process(Some(gettid()), NICEST) {
        tracing::debug!(%error, "a background thread keeps its priority");
    }
}
