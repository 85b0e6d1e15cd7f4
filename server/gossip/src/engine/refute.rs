use super::Engine;
use crate::member::MemberState;
use crate::record::Record;
use crate::timers::Timer;

/// Another process of our id is outbid at most this often.
const OUTBID_MS: u64 = 1_000;

/// Our incarnation against what others say of us.
#[derive(Debug)]
pub(super) struct Outbidding {
    /// The highest incarnation of our id that anybody has spoken of.
    highest: u64,
    last_ms: Option<u64>,
    due: bool,
}

impl Outbidding {
    pub(super) fn new(bump: u64) -> Self {
        Self {
            highest: bump,
            last_ms: None,
            due: false,
        }
    }
}

impl Engine {
    /// Somebody speaks of our id: refute what is not true.
    pub(super) fn hear_of_ourselves(&mut self, record: &Record) {
        if self.leaving.is_some() || record.bump < self.me.bump {
            return;
        }
        let ours = record.instance == self.me.instance;
        let alive = record.state() == MemberState::Alive;
        if ours && alive {
            return;
        }
        self.outbidding.highest = self.outbidding.highest.max(record.bump);
        if ours {
            self.counters.refuted += 1;
            if record.state() == MemberState::Suspect {
                // Lifeguard: who is suspected may well be slow.
                self.health.worse();
            }
            return self.raise();
        }
        // A former process of ours with a clock ahead, or a second one now. The
        // second would outbid us in turn, at the speed of the network.
        if alive {
            self.hear_of_twin(record);
        }
        let now = self.timers.now();
        let earliest = self.outbidding.last_ms.map_or(0, |last| last + OUTBID_MS);
        if earliest <= now {
            self.outbidding.last_ms = Some(now);
            self.raise();
        } else if !self.outbidding.due {
            self.outbidding.due = true;
            self.timers.schedule(Timer::Outbid, earliest - now);
        }
    }

    pub(super) fn outbid(&mut self) {
        self.outbidding.due = false;
        self.outbidding.last_ms = Some(self.timers.now());
        if self.leaving.is_none() && self.outbidding.highest >= self.me.bump {
            self.raise();
        }
    }

    fn raise(&mut self) {
        let highest = self.outbidding.highest.max(self.me.bump);
        let Some(bump) = highest.checked_add(1) else {
            tracing::warn!("gossip cannot come back: no higher incarnation is left");
            return;
        };
        self.outbidding.highest = bump;
        self.me.bump = bump;
        self.news.add(self.me);
    }
}
