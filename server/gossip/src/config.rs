use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use crate::GossipError;

/// Periods and fan-outs. [`Config::lan`] is the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// One random member is probed in each period.
    pub probe_period_ms: u64,
    /// A direct probe without an answer for this long is retried through others.
    pub probe_timeout_ms: u64,
    /// A suspect that has not refuted for this long is down.
    pub suspect_ms: u64,
    /// Members asked for an indirect probe.
    pub indirect_probes: usize,
    /// News is pushed this often while there is any.
    pub gossip_period_ms: u64,
    /// Members that news is pushed to, and down members contacted, at a time.
    pub fan_out: usize,
    /// How often seeds and down members are contacted (full list from a random
    /// living member: at five times this).
    pub announce_period_ms: u64,
    /// How often the hint is repeated, by about three members of the pool.
    pub hint_period_ms: u64,
    /// How long foca remembers a member that is down.
    pub remove_down_after_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self::lan()
    }
}

impl Config {
    /// A local network: a death is suspected within about a probe period per
    /// member pair and known two seconds later.
    pub const fn lan() -> Self {
        Self {
            probe_period_ms: 500,
            probe_timeout_ms: 200,
            suspect_ms: 2_000,
            indirect_probes: 3,
            gossip_period_ms: 200,
            fan_out: 3,
            announce_period_ms: 2_000,
            hint_period_ms: 3_000,
            remove_down_after_s: 259_200,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), GossipError> {
        let periods = [
            self.probe_timeout_ms,
            self.suspect_ms,
            self.gossip_period_ms,
            self.announce_period_ms,
            self.hint_period_ms,
            self.remove_down_after_s,
        ];
        if periods.contains(&0) {
            return Err(GossipError::InvalidConfig("a period of 0 is not possible"));
        }
        if self.probe_period_ms < self.probe_timeout_ms.saturating_mul(2) {
            return Err(GossipError::InvalidConfig(
                "probe_period_ms must be at least twice probe_timeout_ms, \
                 so that indirect probes have their time",
            ));
        }
        if self.indirect_probes == 0 || self.fan_out == 0 {
            return Err(GossipError::InvalidConfig("a fan-out of 0 is not possible"));
        }
        Ok(())
    }

    /// foca's settings for a pool of `members` living members.
    pub(crate) fn for_foca(&self, members: usize, payload_bytes: usize) -> foca::Config {
        let periodic = |ms: u64, n: usize| foca::PeriodicParams {
            frequency: Duration::from_millis(ms),
            num_members: at_least_one(n),
        };
        foca::Config {
            probe_period: Duration::from_millis(self.probe_period_ms),
            probe_rtt: Duration::from_millis(self.probe_timeout_ms),
            num_indirect_probes: at_least_one(self.indirect_probes),
            max_transmissions: transmissions(members),
            suspect_to_down_after: Duration::from_millis(self.suspect_ms),
            remove_down_after: Some(Duration::from_secs(self.remove_down_after_s)),
            max_packet_size: at_least_one(payload_bytes),
            notify_down_members: true,
            periodic_announce: Some(periodic(self.announce_period_ms.saturating_mul(5), 1)),
            // The engine contacts down members itself: it knows who has left
            // for good, and it goes on when nobody is alive.
            periodic_announce_to_down_members: None,
            periodic_gossip: Some(periodic(self.gossip_period_ms, self.fan_out)),
        }
    }
}

fn at_least_one(n: usize) -> NonZeroUsize {
    NonZeroUsize::new(n).unwrap_or(NonZeroUsize::MIN)
}

/// How often one member passes one piece of news on.
///
/// A member is missed by `k` random transmissions of each of `n` members with
/// probability `e^-k`, so any of them by `n·e^-k`. With `k = 1.25·ln n + 7`
/// fewer than one piece of news in a thousand misses anybody, and a fifth of
/// the packets may be lost. (memberlist's 4·log10(n) misses one in fourteen at
/// 30 members; the missed one then has to find out by its own probes.)
pub(crate) fn transmissions(members: usize) -> NonZeroU8 {
    let wanted = (1.25 * ((members + 1) as f64).ln()).ceil() + 7.0;
    NonZeroU8::new(wanted.clamp(7.0, 30.0) as u8).unwrap_or(NonZeroU8::MIN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_repeated_more_often_in_a_larger_pool() {
        assert_eq!(transmissions(3).get(), 9);
        assert!(transmissions(5_000).get() > transmissions(100).get());
    }

    #[test]
    fn settings_that_leave_no_time_for_indirect_probes_are_refused() {
        let config = Config {
            probe_timeout_ms: 400,
            ..Config::lan()
        };
        let message = config.validate().unwrap_err().to_string();
        assert!(message.contains("probe_period_ms"), "{message}");
    }
}
