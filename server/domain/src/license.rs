use imbl::OrdMap;
use serde::{Deserialize, Serialize};

use crate::{Digest, ManagerId, Millis};

/// Nodes that run without any licence, so that a small cluster works out of the box. The one place where it is written.
pub const FREE_MAX_NODES: u32 = 3;
/// Name of the built-in level.
pub const FREE_LEVEL: &str = "free";

const DAY_MS: u64 = 86_400_000;
const DEFAULT_GRACE_DAYS: u32 = 14;
/// Days before the end at which it is told, each once. From the first on a licence counts as expiring.
pub const NOTICE_DAYS: [u32; 4] = [90, 30, 15, 7];

/// What a licence says. Times in UTC milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub subscriber: String,
    pub level: String,
    pub max_nodes: u32,
    pub features: Vec<String>,
    pub not_before_ms: Millis,
    pub expires_ms: Millis,
    /// Days after expiry in which everything goes on; 14 unless the licence says otherwise.
    pub grace_days: Option<u32>,
}

/// The installed licence. A manager verified its signature before it proposed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseRecord {
    pub claims: Claims,
    /// The compact JWS as installed, so that every manager can verify it again.
    pub token: String,
    pub installed_by: String,
    pub installed_ms: Millis,
}

/// What the group has said of its licence, and what its managers found when they verified it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseNotes {
    /// The last of [`NOTICE_DAYS`] that was told; `None` while the licence is not expiring.
    pub told_days: Option<u32>,
    pub checks: OrdMap<ManagerId, LicenseCheck>,
}

/// What one manager found when it verified the installed licence with its own key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseCheck {
    /// SHA-256 of the token that it verified.
    pub license: Digest,
    pub at_ms: Millis,
    /// Why it does not verify there.
    pub problem: Option<String>,
}

/// Where a licence stands at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LicenseState {
    Valid,
    Expiring,
    Grace,
    Free,
}

/// What holds for the cluster at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub level: String,
    pub max_nodes: u32,
    pub features: Vec<String>,
}

/// A licence's state, limits and dates at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LicenseStatus {
    pub state: LicenseState,
    pub limits: Limits,
    pub grace_ends_ms: Option<Millis>,
    /// Whole days to expiry, negative after it.
    pub days_left: Option<i64>,
    /// The last of [`NOTICE_DAYS`] that was reached; only while expiring.
    pub notice_days: Option<u32>,
}

impl Limits {
    pub fn free() -> Self {
        Self {
            level: FREE_LEVEL.into(),
            max_nodes: FREE_MAX_NODES,
            features: Vec::new(),
        }
    }
}

impl Claims {
    pub fn grace_ends_ms(&self) -> Millis {
        let days = u64::from(self.grace_days.unwrap_or(DEFAULT_GRACE_DAYS));
        self.expires_ms.saturating_add(days * DAY_MS)
    }
}

impl LicenseStatus {
    /// Reads `claims` at `now`. Before its first day a licence gives nothing.
    pub fn at(claims: Option<&Claims>, now: Millis) -> Self {
        let Some(claims) = claims else {
            return Self {
                state: LicenseState::Free,
                limits: Limits::free(),
                grace_ends_ms: None,
                days_left: None,
                notice_days: None,
            };
        };
        let grace_ends_ms = claims.grace_ends_ms();
        let state = if now < claims.not_before_ms || now >= grace_ends_ms {
            LicenseState::Free
        } else if now >= claims.expires_ms {
            LicenseState::Grace
        } else if notice(claims, now).is_some() {
            LicenseState::Expiring
        } else {
            LicenseState::Valid
        };
        let limits = match state {
            LicenseState::Free => Limits::free(),
            _ => Limits {
                level: claims.level.clone(),
                max_nodes: claims.max_nodes,
                features: claims.features.clone(),
            },
        };
        let left_ms = claims.expires_ms as i128 - now as i128;
        Self {
            state,
            limits,
            grace_ends_ms: Some(grace_ends_ms),
            days_left: Some(left_ms.div_euclid(DAY_MS as i128) as i64),
            notice_days: notice(claims, now).filter(|_| state == LicenseState::Expiring),
        }
    }

    /// One line with the dates, for people.
    pub fn text(&self, claims: Option<&Claims>) -> String {
        let free = "licence free: the built-in limits hold";
        let Some(claims) = claims else {
            return free.into();
        };
        let ends = day(claims.expires_ms);
        let grace = day(claims.grace_ends_ms());
        match self.state {
            LicenseState::Valid => format!("licence valid: it ends on {ends}"),
            LicenseState::Expiring => format!(
                "licence expiring within {} days: it ends on {ends}; in grace until {grace}, then the free limits",
                self.notice_days.unwrap_or_default()
            ),
            LicenseState::Grace => format!(
                "licence expired on {ends}: in grace until {grace}, then the free limits; install a newer one"
            ),
            LicenseState::Free => format!("{free} since {grace}"),
        }
    }
}

/// The smallest number of [`NOTICE_DAYS`] that are left at most.
fn notice(claims: &Claims, now: Millis) -> Option<u32> {
    let left_ms = claims.expires_ms.saturating_sub(now);
    let reached = NOTICE_DAYS.into_iter().rev();
    let mut reached = reached.filter(|days| left_ms <= u64::from(*days) * DAY_MS);
    reached.next()
}

/// `2027-01-31`, in UTC (Howard Hinnant's `civil_from_days`).
pub fn day(at: Millis) -> String {
    let days = at / DAY_MS + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRES: Millis = 1_900_000_000_000;

    fn claims() -> Claims {
        Claims {
            subscriber: "Acme".into(),
            level: "business".into(),
            max_nodes: 10,
            features: vec![],
            not_before_ms: EXPIRES - 365 * DAY_MS,
            expires_ms: EXPIRES,
            grace_days: Some(14),
        }
    }

    #[test]
    fn a_license_goes_through_its_states_at_the_millisecond() {
        use LicenseState::{Expiring, Free, Grace, Valid};
        let days = |days: u64| EXPIRES - days * DAY_MS;
        let table = [
            (days(365) - 1, Free, None, 3),
            (days(365), Valid, None, 10),
            (days(90) - 1, Valid, None, 10),
            (days(90), Expiring, Some(90), 10),
            (days(30) - 1, Expiring, Some(90), 10),
            (days(30), Expiring, Some(30), 10),
            (days(15), Expiring, Some(15), 10),
            (days(7) - 1, Expiring, Some(15), 10),
            (days(7), Expiring, Some(7), 10),
            (EXPIRES - 1, Expiring, Some(7), 10),
            (EXPIRES, Grace, None, 10),
            (EXPIRES + 14 * DAY_MS - 1, Grace, None, 10),
            (EXPIRES + 14 * DAY_MS, Free, None, 3),
            (u64::MAX, Free, None, 3),
        ];
        for (now, state, notice_days, max_nodes) in table {
            let status = LicenseStatus::at(Some(&claims()), now);
            let found = (status.state, status.notice_days, status.limits.max_nodes);
            assert_eq!(found, (state, notice_days, max_nodes), "at {now}");
        }
        let none = LicenseStatus::at(None, EXPIRES);
        assert_eq!((none.state, none.limits.max_nodes), (Free, 3));
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        for (at, text) in [
            (0, "1970-01-01"),
            (951_782_400_000, "2000-02-29"),
            (951_868_800_000, "2000-03-01"),
            (1_798_761_599_999, "2026-12-31"),
            (1_798_761_600_000, "2027-01-01"),
            (4_107_542_400_000, "2100-03-01"),
        ] {
            assert_eq!(day(at), text);
        }
    }
}
