use std::{sync::Arc, time::Duration};

use openraft::{Config, SnapshotPolicy};

use crate::error::OpenError;

/// Timers of the group. All members must use the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// How often the leader says that it is there, in milliseconds.
    pub heartbeat_ms: u64,
    /// A follower that hears nothing for a random time between these starts an election.
    pub election_min_ms: u64,
    pub election_max_ms: u64,
}

impl Timers {
    /// One site. A follower waits for the longest time below, then for a random one between the two, so 1.0 to 1.4 s: a
    /// leader whose process or disk stands still for half a second stays leader, and one that is cut off silently is
    /// succeeded within 1.5 s. One whose process ends need not be waited for.
    pub fn lan() -> Self {
        Self {
            heartbeat_ms: 100,
            election_min_ms: 300,
            election_max_ms: 700,
        }
    }

    /// Several sites: round trips of up to some hundred milliseconds.
    pub fn wan() -> Self {
        Self {
            heartbeat_ms: 500,
            election_min_ms: 2_500,
            election_max_ms: 5_000,
        }
    }

    /// The longest time an election waits before it starts.
    pub fn election_max(&self) -> Duration {
        Duration::from_millis(self.election_max_ms)
    }

    pub(crate) fn config(&self, keep_entries: u64) -> Result<Arc<Config>, OpenError> {
        let config = Config {
            cluster_name: "krakend".into(),
            heartbeat_interval: self.heartbeat_ms,
            election_timeout_min: self.election_min_ms,
            election_timeout_max: self.election_max_ms,
            install_snapshot_timeout: 10 * 60 * 1000,
            // Bounded by bytes in the log reader; this only bounds the number of tiny entries.
            max_payload_entries: 4096,
            // We trigger by bytes and age, not by number of entries.
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: keep_entries,
            purge_batch_size: 1024.min(keep_entries.max(1)),
            broadcast_submitted_on_append: Some(true),
            enable_pre_vote: Some(true),
            // The shortest that openraft accepts: a leader's lease and an election on top of each other.
            quorum_loss_probe_interval: Some((2 * self.election_max_ms).max(1000)),
            // The core replicates before its own fsync: a leader that came back in its old term could give one
            // (term, index) to two entries, and followers compare nothing else.
            enable_leader_restore: Some(false),
            ..Config::default()
        };
        let config = config
            .validate()
            .map_err(|error| OpenError::Timers(error.to_string()))?;
        Ok(Arc::new(config))
    }
}
