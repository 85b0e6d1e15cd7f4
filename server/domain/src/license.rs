use serde::{Deserialize, Serialize};

use crate::Millis;

/// Nodes that run without any licence, so that a small cluster works out of the box. The one place where it is written.
pub const FREE_MAX_NODES: u32 = 3;
/// Name of the built-in level.
pub const FREE_LEVEL: &str = "free";

const DAY_MS: u64 = 86_400_000;
const DEFAULT_GRACE_DAYS: u32 = 14;
const EXPIRING_DAYS: u64 = 90;

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
            };
        };
        let grace_ends_ms = claims.grace_ends_ms();
        let state = if now < claims.not_before_ms || now >= grace_ends_ms {
            LicenseState::Free
        } else if now >= claims.expires_ms {
            LicenseState::Grace
        } else if claims.expires_ms - now <= EXPIRING_DAYS * DAY_MS {
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
        }
    }
}
