//! What the front door and the supervisor share: which gateway serves now.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use krakend_gateway::Statistics;

use super::live::{InFlight, Live};

/// The serving gateway, switched as a whole.
pub(crate) struct Shared {
    current: RwLock<Option<Arc<Live>>>,
    pub(crate) statistics: Arc<Statistics>,
    configured: AtomicBool,
    closing: AtomicBool,
    draining: AtomicBool,
}

impl Shared {
    pub(crate) fn new() -> Self {
        Self {
            current: RwLock::new(None),
            statistics: Statistics::new(),
            configured: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    pub(crate) fn current(&self) -> Option<Arc<Live>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Begins a request on the serving gateway. The count grows under the
    /// lock that a switch takes, so after a switch the old gateway's count
    /// only falls.
    pub(crate) fn enter(&self) -> Option<InFlight> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().map(|live| Arc::clone(live).enter())
    }

    /// New requests go to `next` from now on; returns what served before.
    pub(crate) fn switch(&self, next: Arc<Live>) -> Option<Arc<Live>> {
        self.configured.store(true, Ordering::SeqCst);
        self.current
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(next)
    }

    /// Takes `dead` out if it is the one that serves.
    pub(crate) fn remove(&self, dead: &Arc<Live>) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let serves = current.as_ref().is_some_and(|live| Arc::ptr_eq(live, dead));
        if serves {
            *current = None;
        }
        serves
    }

    pub(crate) fn set_draining(&self, draining: bool) {
        self.draining.store(draining, Ordering::SeqCst);
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Whether a request asks for the gateway's health.
    pub(crate) fn is_health(&self, path: &str) -> bool {
        let current = self.current();
        let configured = current
            .as_ref()
            .and_then(|live| live.health_path.as_deref());
        path == configured.unwrap_or("/__health")
    }

    pub(crate) fn is_configured(&self) -> bool {
        self.configured.load(Ordering::SeqCst)
    }

    pub(crate) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }
}
