use std::time::Duration;

use foca::{Notification, OwnedNotification, Runtime, Timer};

use crate::identity::Identity;

/// foca's runtime: collects what foca wants done; the engine does it after.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    pub(crate) sends: Vec<(Identity, Vec<u8>)>,
    pub(crate) timers: Vec<(Timer<Identity>, Duration)>,
    pub(crate) notices: Vec<OwnedNotification<Identity>>,
}

impl Outbox {
    pub(crate) fn is_empty(&self) -> bool {
        self.sends.is_empty() && self.timers.is_empty() && self.notices.is_empty()
    }
}

impl Runtime<Identity> for Outbox {
    fn notify(&mut self, notice: Notification<'_, Identity>) {
        self.notices.push(notice.to_owned());
    }

    fn send_to(&mut self, to: Identity, data: &[u8]) {
        self.sends.push((to, data.to_vec()));
    }

    fn submit_after(&mut self, timer: Timer<Identity>, after: Duration) {
        self.timers.push((timer, after));
    }
}
