//! What the reader chooses and may do, and what the page remembers of it.

use krakend_api::{Manager, ManagerRole, Role};
use leptos::prelude::*;

use super::browser;
use super::store::{Lag, Login, Remote, Store, Toast};
use crate::pure::route;
use crate::pure::series::Now;

/// Readings of the managers' lag that are kept: an hour of them.
const LAGS_KEPT: usize = 360;
/// Ranges of the charts, in seconds.
pub const RANGES: [(u32, &str); 6] = [
    (600, "10 min"),
    (3_600, "1 h"),
    (21_600, "6 h"),
    (86_400, "24 h"),
    (604_800, "7 d"),
    (2_592_000, "30 d"),
];

impl Store {
    /// Shows another fleet.
    pub fn choose_fleet(self, name: String) {
        browser::remember("fleet", &name);
        self.fleet_name.set(name);
        self.newest.set(Remote::default());
        self.nodes.set(Remote::default());
        self.statistics.set(Remote::default());
        self.now.set(Now::default());
        self.refresh();
        self.read_statistics();
    }

    /// Another range for all charts.
    pub fn choose_range(self, range_s: u32) {
        browser::remember("range_s", &range_s.to_string());
        self.range_s.set(range_s);
        self.read_statistics();
        // A range ends now: a stretch that the address names does not go with it.
        let address = self.place.with_untracked(|place| {
            place.get("from")?;
            let kept = place
                .query
                .iter()
                .filter(|(key, _)| key != "from" && key != "to");
            let pairs: Vec<(&str, &str)> = kept.map(|(k, v)| (k.as_str(), v.as_str())).collect();
            let address = browser::address();
            let path = address.split('?').next().unwrap_or_default();
            Some(route::address(path, &pairs))
        });
        if let Some(address) = address {
            super::navigation::replace(self, &address);
        }
    }

    /// Why a write is not possible now, in words.
    #[must_use]
    pub fn hindrance(&self, need: Role) -> Option<String> {
        let role = match self.login.get() {
            Login::In(session) => session.role,
            _ => return Some("Sign in first.".to_owned()),
        };
        if role < need {
            let word = if need == Role::Admin {
                "admin"
            } else {
                "operator"
            };
            return Some(format!("This needs a token with the role {word}."));
        }
        if self.is_stale() {
            return Some("The manager does not answer.".to_owned());
        }
        let no_leader = self
            .status
            .with(|s| s.value.as_ref().is_some_and(|s| s.leader_id.is_none()));
        no_leader.then(|| "There is no leader: nothing can be changed.".to_owned())
    }

    /// Says what came of something.
    pub fn say(self, text: String, failed: bool) {
        self.toast.set(Some(Toast { text, failed }));
        self.refresh_soon();
    }

    /// Remembers how far the managers are behind.
    pub(super) fn note_lag(self, managers: &[Manager]) {
        let lag = Lag {
            at_ms: self.now_ms(),
            behind: managers
                .iter()
                .filter(|m| m.role != ManagerRole::Leader)
                .filter_map(|m| Some((m.name.clone(), m.behind?)))
                .collect(),
            applied_index: self
                .status
                .with_untracked(|s| s.value.as_ref().map_or(0, |s| s.applied_index)),
        };
        self.lags.update(|lags| {
            lags.push(lag);
            let surplus = lags.len().saturating_sub(LAGS_KEPT);
            lags.drain(..surplus);
        });
    }

    /// The next longer or shorter range.
    pub fn step_range(self, longer: bool) {
        let now = self.range_s.get_untracked();
        let found = match longer {
            true => RANGES.iter().find(|r| r.0 > now),
            false => RANGES.iter().rev().find(|r| r.0 < now),
        };
        if let Some((range_s, _)) = found {
            self.choose_range(*range_s);
        }
    }
}
