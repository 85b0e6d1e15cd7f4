use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use krakend_domain::{Limits, Millis};
use krakend_proto::{LeaseClaims, node};
use tokio::sync::watch;

use super::{BadLease, Cause, Meter, Reading, Stored, Verdict, persist_every_ms};
use crate::store::{Enrolled, GroupSeen, Store};

/// A clock that was moved by less is not worth a word.
const NOTABLE_MS: u64 = 60_000;
const LONGEST_TICK: Duration = Duration::from_secs(1);

/// Where a node stands with its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No manager has given it one yet, or what it had cannot be verified.
    Without,
    Valid {
        remaining_ms: Millis,
    },
    Ended {
        cause: Cause,
        since_wall_ms: Millis,
    },
}

/// A lease as the node shows it.
#[derive(Clone, Debug)]
pub struct LeaseView {
    pub standing: Standing,
    /// What holds now: the lease's limits, or the free ones.
    pub limits: Limits,
    pub claims: Option<LeaseClaims>,
    pub charged_ms: Millis,
    /// How far the wall clock was moved since the boot, as far as it was watched.
    pub clock_moved_ms: i64,
    /// Why there is none although the node is enrolled.
    pub problem: Option<String>,
}

struct Held {
    stored: Stored,
    claims: LeaseClaims,
    written_boot_ms: Millis,
}

#[derive(Default)]
struct Inner {
    held: Option<Held>,
    problem: Option<String>,
    told_of_clock_ms: i64,
}

/// Keeps the lease on disk, charges it, and says when it has ended. See the module.
pub struct LeaseKeeper {
    store: Arc<Store>,
    clock: fn() -> Reading,
    inner: Mutex<Inner>,
    valid: watch::Sender<bool>,
}

impl LeaseKeeper {
    /// Takes up the lease of an earlier run where there is one: verifies it, and charges the start.
    pub fn open(store: Arc<Store>, enrolled: Option<&Enrolled>, clock: fn() -> Reading) -> Self {
        let keeper = Self {
            store,
            clock,
            inner: Mutex::default(),
            valid: watch::Sender::new(false),
        };
        if let Some(enrolled) = enrolled {
            keeper.take_up(enrolled);
        }
        keeper
    }

    fn take_up(&self, enrolled: &Enrolled) {
        let mut inner = self.lock();
        let now = (self.clock)();
        let loaded = Stored::load(&self.store, &now).map_err(BadLease::from);
        let loaded = loaded.and_then(|stored| {
            let Some(stored) = stored else {
                return Ok(None);
            };
            let claims = stored.verify(enrolled)?;
            Ok(Some((stored, claims)))
        });
        let (mut stored, claims) = match loaded {
            Ok(Some(found)) => found,
            Ok(None) => return,
            Err(error) => {
                tracing::error!(
                    "the lease on disk is not accepted: {error}; until a manager gives another, the free version's limits hold"
                );
                inner.problem = Some(error.to_string());
                return;
            }
        };
        let every_ms = persist_every_ms(claims.duration_ms);
        let was_ms = stored.meter.charged_ms;
        let booted = stored.meter.start(now.clone(), every_ms);
        tracing::info!(
            "the lease has run {}, {} of it since the program ended{}; {} are left",
            span(stored.meter.charged_ms),
            span(stored.meter.charged_ms - was_ms),
            if booted {
                " (the machine was booted meanwhile)"
            } else {
                ""
            },
            span(stored.meter.remaining_ms(claims.duration_ms)),
        );
        inner.held = Some(Held {
            stored,
            claims,
            written_boot_ms: now.boot_ms,
        });
        self.settle(&mut inner, &now, true);
    }

    /// Takes a lease that a manager sent. `heard_boot_ms`: the boot clock when this node last said something that the
    /// manager had heard before it issued the lease, so that one which lay in a socket while the machine was paused
    /// is charged for that. True when there was no valid lease before.
    pub fn accept(
        &self,
        enrolled: &Enrolled,
        sent: &node::Lease,
        heard_boot_ms: Millis,
    ) -> Result<bool, BadLease> {
        let now = (self.clock)();
        let age_ms = now.boot_ms.saturating_sub(heard_boot_ms);
        let meter = Meter::begin(age_ms, now.clone());
        let mut stored = Stored::new(&sent.claims, &sent.signature, meter);
        let claims = stored.verify(enrolled)?;
        self.remember_group(enrolled, &claims)?;
        let mut inner = self.lock();
        if let Some(held) = &mut inner.held {
            // How the wall clock was moved is known since the boot, not since the lease.
            held.stored.meter.charge(now.clone());
            stored.meter.moved_ms = held.stored.meter.moved_ms;
        }
        stored.save(&self.store)?;
        let before = *self.valid.borrow();
        inner.problem = None;
        inner.held = Some(Held {
            stored,
            claims,
            written_boot_ms: now.boot_ms,
        });
        self.settle(&mut inner, &now, false);
        let is_new = !before && *self.valid.borrow();
        if is_new && let Some(held) = &inner.held {
            tracing::info!(
                "a lease of {}: level {}, at most {} nodes",
                span(held.claims.duration_ms),
                held.claims.level,
                held.claims.max_nodes
            );
        }
        Ok(is_new)
    }

    /// The node was enrolled, perhaps by another group: what that one did not sign is gone.
    pub fn enrolled(&self, enrolled: &Enrolled) {
        let mut inner = self.lock();
        let stays = inner
            .held
            .as_ref()
            .is_none_or(|held| held.stored.verify(enrolled).is_ok());
        if !stays {
            inner.held = None;
            self.set_valid(false);
        }
    }

    fn remember_group(&self, enrolled: &Enrolled, claims: &LeaseClaims) -> Result<(), BadLease> {
        let seen = GroupSeen {
            id: claims.group_id.clone(),
            epoch: claims.epoch,
        };
        if enrolled.group.as_ref() != Some(&seen) {
            self.store
                .change_enrolled(|enrolled| enrolled.group = Some(seen))?;
        }
        Ok(())
    }

    /// Charges what has passed, and says whether the lease is valid.
    pub fn check(&self) -> bool {
        let mut inner = self.lock();
        let now = (self.clock)();
        if let Some(held) = &mut inner.held {
            held.stored.meter.charge(now.clone());
        }
        self.settle(&mut inner, &now, false);
        drop(inner);
        *self.valid.borrow()
    }

    /// Writes where it is time to, and tells of an end.
    fn settle(&self, inner: &mut Inner, now: &Reading, write: bool) {
        let Some(held) = &mut inner.held else {
            self.set_valid(false);
            return;
        };
        let (duration_ms, meter) = (held.claims.duration_ms, &held.stored.meter);
        let ended = meter.remaining_ms(duration_ms) == 0;
        let ends_now = ended && held.stored.ended_wall_ms.is_none();
        let moved_ms = meter.moved_ms;
        if ends_now {
            held.stored.ended_wall_ms = Some(now.wall_ms);
            tell_of_end(Cause::of(&held.stored.meter, duration_ms), &held.claims);
        }
        let pause_ms = now.boot_ms.abs_diff(held.written_boot_ms);
        if write || ends_now || (!ended && pause_ms >= persist_every_ms(duration_ms)) {
            // Also after a failure: the next attempt is a pause away.
            held.written_boot_ms = now.boot_ms;
            if let Err(error) = held.stored.save(&self.store) {
                tracing::error!("what was charged against the lease is not written: {error}");
            }
        }
        if moved_ms.abs_diff(inner.told_of_clock_ms) >= NOTABLE_MS {
            inner.told_of_clock_ms = moved_ms;
            tell_of_clock(moved_ms);
        }
        self.set_valid(!ended);
    }

    /// Wakes those who wait for a change only when there is one.
    fn set_valid(&self, now: bool) {
        self.valid
            .send_if_modified(|valid| std::mem::replace(valid, now) != now);
    }

    /// The leader says that another machine is this node: its seat and its lease are not for two.
    pub fn give_up(&self, reason: &str) {
        let mut inner = self.lock();
        inner.held = None;
        inner.problem = Some(reason.to_owned());
        if let Err(error) = Stored::remove(&self.store) {
            tracing::error!("the lease is not removed: {error}");
        }
        self.set_valid(false);
    }

    /// A manager has said what time it is. Tells a lease that ended with time from one that ended by a wrong clock.
    pub fn told_time(&self, group_ms: Millis) {
        let inner = self.lock();
        let now = (self.clock)();
        let off_ms = now.wall_ms as i64 - group_ms as i64;
        if off_ms.unsigned_abs() >= NOTABLE_MS {
            tracing::warn!(
                "this machine's clock is {} {} the group's time",
                span(off_ms.unsigned_abs()),
                if off_ms > 0 { "ahead of" } else { "behind" },
            );
        }
        let Some(held) = &inner.held else { return };
        let (meter, duration_ms) = (&held.stored.meter, held.claims.duration_ms);
        if held.stored.ended_wall_ms.is_none() || Cause::of(meter, duration_ms) != Cause::WallClock
        {
            return;
        }
        match Verdict::of(meter, duration_ms, &now, group_ms) {
            Verdict::SetForward { ahead_ms } => tracing::warn!(
                "the lease had not run out: this machine's clock was {} ahead when it came up; keep clocks by NTP",
                span(ahead_ms)
            ),
            Verdict::Right => tracing::info!(
                "the lease had run out while this machine was off: its clock was right"
            ),
        }
    }

    /// Whether less than a fifth of a valid lease is left although a session has lasted longer than that.
    pub fn runs_out(&self, session_ms: Millis) -> bool {
        let inner = self.lock();
        let Some(held) = inner.held.as_ref().filter(|_| self.is_valid()) else {
            return false;
        };
        let duration_ms = held.claims.duration_ms;
        let fifth_ms = duration_ms / 5;
        session_ms > fifth_ms && held.stored.meter.remaining_ms(duration_ms) < fifth_ms
    }

    /// Whether there is a valid lease, as of the last look.
    pub fn is_valid(&self) -> bool {
        *self.valid.borrow()
    }

    /// Whether there is one, now and as it changes.
    pub fn valid(&self) -> watch::Receiver<bool> {
        self.valid.subscribe()
    }

    /// Whether this node had a lease and has none now: then its samples are its own business.
    pub fn has_ended(&self) -> bool {
        let inner = self.lock();
        let ended = |held: &Held| held.stored.ended_wall_ms.is_some();
        inner.held.as_ref().map_or(inner.problem.is_some(), ended)
    }

    /// What it shows at this moment.
    pub fn view(&self) -> LeaseView {
        self.check();
        let inner = self.lock();
        let problem = inner.problem.clone();
        let Some(held) = &inner.held else {
            return LeaseView {
                standing: Standing::Without,
                limits: Limits::free(),
                claims: None,
                charged_ms: 0,
                clock_moved_ms: 0,
                problem,
            };
        };
        let (meter, claims) = (&held.stored.meter, &held.claims);
        let standing = match held.stored.ended_wall_ms {
            Some(since_wall_ms) => Standing::Ended {
                cause: Cause::of(meter, claims.duration_ms),
                since_wall_ms,
            },
            None => Standing::Valid {
                remaining_ms: meter.remaining_ms(claims.duration_ms),
            },
        };
        let limits = match standing {
            Standing::Valid { .. } => Limits {
                level: claims.level.clone(),
                max_nodes: claims.max_nodes,
                features: claims.features.clone(),
            },
            _ => Limits::free(),
        };
        LeaseView {
            standing,
            limits,
            claims: Some(claims.clone()),
            charged_ms: meter.charged_ms,
            clock_moved_ms: meter.moved_ms,
            problem,
        }
    }

    /// The boot clock.
    pub fn boot_ms(&self) -> Millis {
        (self.clock)().boot_ms
    }

    /// Looks at the clocks until it is dropped.
    pub async fn run(&self) {
        loop {
            self.check();
            let duration_ms = {
                let inner = self.lock();
                inner.held.as_ref().map(|held| held.claims.duration_ms)
            };
            let every = Duration::from_millis(persist_every_ms(duration_ms.unwrap_or(u64::MAX)));
            tokio::time::sleep(every.min(LONGEST_TICK)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell_of_end(cause: Cause, claims: &LeaseClaims) {
    let why = match cause {
        Cause::Time => "no manager has renewed it".to_owned(),
        Cause::WallClock => "going by this machine's clock, it was off for that long".to_owned(),
    };
    tracing::warn!(
        "The lease of {} has ended, {why}: degrading to the free version. This node leaves the cluster; its gateway goes on",
        span(claims.duration_ms)
    );
}

fn tell_of_clock(moved_ms: i64) {
    tracing::warn!(
        "this machine's clock was set {} by {}; the lease is charged by the time since the boot, so that changes nothing",
        if moved_ms > 0 { "forward" } else { "back" },
        span(moved_ms.unsigned_abs())
    );
}

/// For people: two units.
fn span(ms: Millis) -> String {
    let s = ms / 1000;
    match s {
        0..60 => format!("{s} s"),
        60..3_600 => format!("{} min {} s", s / 60, s % 60),
        3_600..86_400 => format!("{} h {} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {} h", s / 86_400, s % 86_400 / 3_600),
    }
}
