use crate::GossipError;

/// Periods and fan-outs. [`Config::lan`] is the default, and what managers and
/// nodes use: there is no setting, because members with different periods
/// would judge each other by different measures.
///
/// # Why these numbers
///
/// A death is known to all after *first probe* + *probe period* + *suspicion*
/// + *dissemination*.
/// - In each round a member is probed by exactly one other, so the first probe
///   comes within two periods. If each chose by chance, 1 in 100 deaths would
///   wait longer than 4.6 periods, whatever the size of the pool. The period
///   is short (640 ms) and packets are small instead: a ping is about 50 bytes
///   and an ack 44, so that a quiet pool sends no more than memberlist's.
/// - Within a period there are four direct pings (at 0, 190, 380 and 507 ms)
///   and three indirect ones, so that with a fifth of the packets lost three
///   probes in a thousand fail by chance, not one in thirteen.
/// - A failed probe is a doubt of 0.6 s first, told to eight others only, who
///   have tried five pings after 0.4 s. Where one gets an answer it is over, so
///   hardly any loss by chance reaches the pool.
/// - The suspicion lasts 0.5 s when three others had no answer either, and 5 s
///   when nobody said so: a member with a sick line waits long and hears the
///   refutation. It is long enough for the suspicion to go ahead of its end.
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
    /// How long others are asked about a member that answers no probe before
    /// it is suspected.
    pub doubt_ms: u64,
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
            doubt_ms: 600,
            suspect_min_ms: 500,
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
            self.doubt_ms,
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
/// probability `e^-kp`, when `p` of the packets arrive, so any of them by
/// `n·e^-kp`. With `k = 1.5·ln n + 6` that is 1 in 4,000 at 100 members, and 1 in
/// 150 at 1,000 members and a loss of 30 %; who missed one hears it at the next
/// comparison, which is too late for those who wait for it.
pub(crate) fn transmissions(members: usize) -> u8 {
    let wanted = (1.5 * ((members + 1) as f64).ln()).ceil() + 6.0;
    wanted.clamp(7.0, 30.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_is_repeated_more_often_in_a_larger_pool() {
        assert_eq!(transmissions(3), 9);
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
