use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use krakend_proto::tls::TrustedTime;

/// The group's time as a manager said it last, and how long ago that was. Nothing after a start, until one has.
#[derive(Clone, Default)]
pub struct GroupTime(Arc<Mutex<Option<(u64, Instant)>>>);

impl GroupTime {
    /// True when it is the first word for an hour.
    pub fn set(&self, ms: u64) -> bool {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = said.replace((ms, Instant::now()));
        before.is_none_or(|(_, at)| at.elapsed().as_secs() >= 3_600)
    }

    pub fn trusted(&self) -> TrustedTime {
        let said = self.0.clone();
        TrustedTime::new(move || {
            let said = *said.lock().unwrap_or_else(PoisonError::into_inner);
            said.map(|(ms, at)| ms + at.elapsed().as_millis() as u64)
        })
    }
}
