use crate::GossipError;

/// Periods and fan-outs. [`Config::lan`] is the default, and what managers and
/// nodes use: there is no setting, because members with different periods
/// would judge each other by different measures.
///
/// # Why these numbers
///
/// A death is known to all after *first probe* + *probe period* + *suspicion*
/// + *dissemination*.
/// - In each period a member is probed by one other on average, so the wait
///   for the first probe is exponential with the period as its mean: 1 in 100
///   deaths waits longer than 4.6 periods, whatever the size of the pool. That
///   tail is what decides, so the period is short (640 ms) and packets are
///   small instead: a ping is about 50 bytes and an ack 44.
/// - Within a period there are three direct pings (at 0, 190 and 380 ms) and
///   three indirect ones, so that with a fifth of the packets lost one probe
///   in a hundred fails by chance, not one in thirteen.
/// - The suspicion lasts 0.8 s when three others confirm it, and 5 s when nobody
///   does. Members that hear of one probe the suspect out of turn, as many as
///   are needed to confirm; so a real death is confirmed within a period, and
///   a member with a sick line waits long and hears the refutation.
/// - Nobody declares another member down without a failed probe of its own,
///   and meanwhile it asks the suspect every 200 ms. The time of a suspicion
///   therefore need not grow with the pool: it need not cover the spread of
///   the refutation to all, only one answer to those who judge.
/// - `cargo xtask bench gossip` measures all this; ARCHITECTURE.md has its
///   figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// One member is probed in each period.
    pub probe_period_ms: u64,
    /// A direct probe without an answer for this long is repeated, and retried
    /// through others.
    pub probe_timeout_ms: u64,
    /// A suspect that has not refuted for this long is down, when enough
    /// others have confirmed.
    pub suspect_min_ms: u64,
    /// The same when nobody has confirmed.
    pub suspect_max_ms: u64,
    /// Confirmations that make a suspicion shortest.
    pub confirmations: usize,
    /// A suspect is told and asked this often by who accuses it.
    pub accuse_period_ms: u64,
    /// Members asked for an indirect probe.
    pub indirect_probes: usize,
    /// News is pushed this often while there is any.
    pub gossip_period_ms: u64,
    /// Members that news is pushed to, and down members contacted, at a time.
    pub fan_out: usize,
    /// How often seeds and down members are contacted.
    pub contact_period_ms: u64,
    /// How often what is known is compared with one random member.
    pub exchange_period_ms: u64,
    /// How long a member that is down or has left is remembered, and contacted
    /// if it is down.
    pub forget_after_s: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self::lan()
    }
}

impl Config {
    /// A local network. The reasons are above.
    pub const fn lan() -> Self {
        Self {
            probe_period_ms: 640,
            probe_timeout_ms: 190,
            suspect_min_ms: 800,
            suspect_max_ms: 5_000,
            confirmations: 3,
            accuse_period_ms: 200,
            indirect_probes: 3,
            gossip_period_ms: 200,
            fan_out: 3,
            contact_period_ms: 2_000,
            exchange_period_ms: 15_000,
            forget_after_s: 259_200,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), GossipError> {
        let periods = [
            self.probe_timeout_ms,
            self.suspect_min_ms,
            self.accuse_period_ms,
            self.gossip_period_ms,
            self.contact_period_ms,
            self.exchange_period_ms,
            self.forget_after_s,
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
        if self.suspect_max_ms < self.suspect_min_ms {
            return Err(GossipError::InvalidConfig(
                "suspect_max_ms must not be less than suspect_min_ms",
            ));
        }
        if self.indirect_probes == 0 || self.fan_out == 0 || self.confirmations == 0 {
            return Err(GossipError::InvalidConfig("a fan-out of 0 is not possible"));
        }
        Ok(())
    }
}

/// How often one member passes one piece of news on.
///
/// A member is missed by `k` random transmissions of each of `n` members with
/// probability `e^-k`, so any of them by `n·e^-k`. With `k = 1.25·ln n + 4`
/// fewer than one piece of news in twenty misses anybody, also when a tenth of
/// the packets is lost; who missed one hears it at the next comparison.
pub(crate) fn transmissions(members: usize) -> u8 {
    let wanted = (1.25 * ((members + 1) as f64).ln()).ceil() + 4.0;
    wanted.clamp(5.0, 30.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_repeated_more_often_in_a_larger_pool() {
        assert_eq!(transmissions(3), 6);
        assert!(transmissions(5_000) > transmissions(100));
    }

    #[test]
    fn settings_that_leave_no_time_are_refused() {
        let late = Config {
            probe_timeout_ms: 400,
            ..Config::lan()
        };
        let message = late.validate().unwrap_err().to_string();
        assert!(message.contains("probe_period_ms"), "{message}");
        let short = Config {
            suspect_max_ms: 1,
            ..Config::lan()
        };
        assert!(short.validate().is_err());
        assert!(Config::lan().validate().is_ok());
    }
}
