use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Makes fsyncs fail or hang, in tests of what follows from that.
#[derive(Clone, Debug, Default)]
pub struct SyncFault {
    failing: Arc<AtomicBool>,
    stalled: Arc<AtomicBool>,
}

impl SyncFault {
    /// From now on no fsync succeeds.
    pub fn fail(&self) {
        self.failing.store(true, Ordering::SeqCst);
    }

    /// No fsync returns while this is set.
    pub fn stall(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::SeqCst);
    }

    pub(super) fn apply(&self, result: io::Result<()>) -> io::Result<()> {
        while self.stalled.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.failing.load(Ordering::SeqCst) {
            return Err(io::Error::other("fsync failed (injected)"));
        }
        result
    }
}
