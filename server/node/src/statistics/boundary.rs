use krakend_domain::{Millis, WINDOW_MS};

/// The next instant at which a sample ends: a multiple of the period, and never beyond the minute it began in.
pub fn next_boundary(now_ms: Millis, period_ms: u64) -> Millis {
    let period = period_ms.max(1);
    let by_period = (now_ms / period + 1) * period;
    let by_window = (now_ms / WINDOW_MS + 1) * WINDOW_MS;
    by_period.min(by_window)
}

/// Start and end of a sample whose counters were read at `read_ms`. It must not cross its window's edge and must not be
/// negative when the clock was set back; what a late reading counted belongs to the window in which it began.
pub fn interval(start_ms: Millis, read_ms: Millis) -> (Millis, Millis) {
    if read_ms < start_ms {
        return (read_ms, read_ms);
    }
    let edge = (start_ms / WINDOW_MS + 1) * WINDOW_MS;
    (start_ms, read_ms.min(edge))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_end_at_multiples_of_the_period_and_at_every_minute() {
        let table = [
            // now, period, boundary
            (0, 10_000, 10_000),
            (9_999, 10_000, 10_000),
            (10_000, 10_000, 20_000),
            (59_000, 10_000, 60_000),
            (119_999, 7_000, 120_000),
        ];
        for (now, period, expected) in table {
            assert_eq!(next_boundary(now, period), expected, "{now} {period}");
        }
    }

    #[test]
    fn a_sample_never_crosses_a_window_and_never_runs_backwards() {
        assert_eq!(interval(50_000, 60_000), (50_000, 60_000));
        assert_eq!(interval(50_000, 60_012), (50_000, 60_000));
        assert_eq!(interval(50_000, 58_000), (50_000, 58_000));
        assert_eq!(interval(50_000, 20_000), (20_000, 20_000));
    }
}
