/// Lifeguard's local health multiplier (arXiv:1707.00788, section III-A): who
/// hears no answers, not even that others had none, doubts itself first and
/// takes more time before it accuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Health(u8);

/// As in the paper.
const WORST: u8 = 8;
/// Suspicions are stretched less than probes: they end by confirmations of
/// others, who are healthy.
const WORST_SUSPICION: u8 = 2;

impl Health {
    pub(crate) fn better(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }

    pub(crate) fn worse(&mut self) {
        self.0 = (self.0 + 1).min(WORST);
    }

    /// A probe's period or time-out.
    pub(crate) fn stretch(self, ms: u64) -> u64 {
        ms.saturating_mul(u64::from(self.0) + 1)
    }

    pub(crate) fn stretch_suspicion(self, ms: u64) -> u64 {
        ms.saturating_mul(u64::from(self.0.min(WORST_SUSPICION)) + 1)
    }

    pub(crate) fn score(self) -> u8 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn health_moves_by_one_within_its_bounds() {
        let mut health = Health::default();
        health.better();
        assert_eq!(health.stretch(100), 100);
        for _ in 0..20 {
            health.worse();
        }
        assert_eq!((health.stretch(100), health.score()), (900, 8));
        assert_eq!(health.stretch_suspicion(100), 300);
        health.better();
        assert_eq!(health.stretch(100), 800);
    }
}
