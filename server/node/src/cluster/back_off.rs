use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);

/// Pauses between attempts: they double up to a limit, and a random share spreads a fleet that lost its manager at once.
#[derive(Clone, Debug)]
pub struct BackOff {
    next: Duration,
    limit: Duration,
}

impl BackOff {
    pub fn new(limit: Duration) -> Self {
        Self {
            next: FIRST.min(limit),
            limit,
        }
    }

    /// The next pause. `share` is random in 0..1: the pause is between half and the whole.
    pub fn pause(&mut self, share: f64) -> Duration {
        let whole = self.next;
        self.next = (whole * 2).min(self.limit);
        whole.mul_f64(0.5 + share.clamp(0.0, 1.0) / 2.0)
    }

    /// After a success.
    pub fn reset(&mut self) {
        self.next = FIRST.min(self.limit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_limit_and_start_over_after_a_success() {
        let mut back_off = BackOff::new(Duration::from_secs(1));
        let pauses: Vec<_> = (0..4).map(|_| back_off.pause(1.0).as_millis()).collect();
        assert_eq!(pauses, [250, 500, 1000, 1000]);
        assert_eq!(back_off.pause(0.0).as_millis(), 500);
        back_off.reset();
        assert_eq!(back_off.pause(1.0).as_millis(), 250);
    }
}
