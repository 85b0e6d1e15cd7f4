use crate::config::Config;

/// Accusers that are told apart; further ones change nothing.
const MAX_ACCUSERS: usize = 8;

/// A suspicion of one life of a member, as Lifeguard times it.
#[derive(Debug, Clone)]
pub(crate) struct Suspicion {
    pub(crate) bump: u64,
    /// Tags of the members that had no answer.
    accusers: Vec<u32>,
    /// When we ourselves had no answer (protocol time). Only then may we
    /// declare: what others say is enough to ask, not to judge.
    pub(crate) own_since: Option<u64>,
    /// Somebody says that it is down: our own failed probe settles it.
    pub(crate) condemned: bool,
}

impl Suspicion {
    pub(crate) fn new(bump: u64) -> Self {
        Self {
            bump,
            accusers: Vec::new(),
            own_since: None,
            condemned: false,
        }
    }

    /// True when this accuser is new.
    pub(crate) fn accused_by(&mut self, tag: u32) -> bool {
        let new = !self.accusers.contains(&tag) && self.accusers.len() < MAX_ACCUSERS;
        if new {
            self.accusers.push(tag);
        }
        new
    }

    pub(crate) fn accusers(&self) -> usize {
        self.accusers.len()
    }

    /// How long we wait for a refutation; `others` could confirm beside us.
    pub(crate) fn timeout_ms(&self, config: &Config, others: usize) -> u64 {
        let wanted = config.confirmations.min(others);
        let confirmed = self.accusers.len().saturating_sub(1);
        timeout_ms(
            config.suspect_min_ms,
            config.suspect_max_ms,
            confirmed,
            wanted,
        )
    }
}

/// `max - (max - min)·log(c + 1)/log(k + 1)`, section III-B of the paper. With
/// nobody who could confirm it is the maximum.
fn timeout_ms(min: u64, max: u64, confirmed: usize, wanted: usize) -> u64 {
    if wanted == 0 {
        return max;
    }
    let share = ((confirmed + 1) as f64).ln() / ((wanted + 1) as f64).ln();
    let span = max.saturating_sub(min) as f64;
    max - (span * share.min(1.0)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_confirmation_shortens_the_time_and_the_first_one_most() {
        let at = |confirmed| timeout_ms(1_000, 5_000, confirmed, 3);
        assert_eq!([at(0), at(1), at(3), at(9)], [5_000, 3_000, 1_000, 1_000]);
        assert!(at(1) - at(2) < at(0) - at(1));
    }

    #[test]
    fn where_nobody_could_confirm_the_time_is_the_longest() {
        assert_eq!(timeout_ms(1_000, 5_000, 0, 0), 5_000);
    }

    #[test]
    fn an_accuser_counts_once() {
        let mut suspicion = Suspicion::new(1);
        assert!(suspicion.accused_by(7));
        assert!(!suspicion.accused_by(7));
        assert!(suspicion.accused_by(8));
        assert_eq!(suspicion.accusers(), 2);
    }
}
