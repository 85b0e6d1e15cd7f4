//! Axes: which values get a grid line, and where they lie.

/// Ticks from zero to the first round value at or above `max`, three to five of them.
#[must_use]
pub fn linear_ticks(max: f64) -> Vec<f64> {
    let max = if max.is_finite() && max > 0.0 {
        max
    } else {
        1.0
    };
    let raw = max / 3.0;
    let magnitude = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 4.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * magnitude)
        .find(|step| *step >= raw * 0.999)
        .unwrap_or(10.0 * magnitude);
    let count = (max / step - 1e-9).ceil().max(1.0) as usize;
    (0..=count).map(|i| i as f64 * step).collect()
}

/// Powers of ten from below `min` to the last one under `max`, at least two.
#[must_use]
pub fn log_ticks(min: f64, max: f64) -> Vec<f64> {
    let low = min.max(0.1).log10().floor() as i32;
    let high = (max.max(0.1).log10().floor() as i32).max(low + 1);
    (low..=high).map(|e| 10f64.powi(e)).collect()
}

/// Label of a tick: `6k`, `0.8`, `1,000`.
#[must_use]
pub fn tick_label(value: f64, shorten: bool) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    if shorten && value >= 1000.0 {
        let thousands = value / 1000.0;
        return if (thousands - thousands.round()).abs() < 0.05 {
            format!("{thousands:.0}k")
        } else {
            format!("{thousands:.1}k")
        };
    }
    if value >= 1.0 && (value - value.round()).abs() < 1e-6 {
        return super::format::integer(value.round() as u64);
    }
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Times at round minutes or hours between `from` and `to`, about `wanted` of them. `offset_min` puts the round hours in the reader's zone.
#[must_use]
pub fn time_ticks(from: i64, to: i64, wanted: usize, offset_min: i64) -> Vec<i64> {
    const STEPS_MIN: [i64; 11] = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720];
    let span = (to - from).max(1);
    let wanted = i64::try_from(wanted.max(1)).unwrap_or(6);
    let step = STEPS_MIN
        .into_iter()
        .map(|m| m * 60_000)
        .find(|step| span / step <= wanted)
        .unwrap_or(86_400_000);
    let offset = offset_min * 60_000;
    let first = (from + offset + step - 1).div_euclid(step) * step - offset;
    (0..)
        .map(|i| first + i * step)
        .take_while(|t| *t <= to)
        .collect()
}

/// Maps values to pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Axis {
    pub min: f64,
    pub max: f64,
    /// Pixel of `min`.
    pub from_px: f64,
    /// Pixel of `max`.
    pub to_px: f64,
    pub logarithmic: bool,
}

impl Axis {
    /// Pixel of `value`, held inside the axis.
    #[must_use]
    pub fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.min, self.max);
        let share = if self.logarithmic {
            (value / self.min).ln() / (self.max / self.min).ln()
        } else {
            (value - self.min) / (self.max - self.min)
        };
        self.from_px + share * (self.to_px - self.from_px)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grid_lines_are_round_and_three_to_five() {
        for max in [0.003, 0.21, 1.0, 2.3, 7.0, 48.0, 600.0, 4_900.0, 123_456.0] {
            let ticks = linear_ticks(max);
            assert!((3..=5).contains(&ticks.len()), "{max}: {ticks:?}");
            assert!(
                *ticks.last().expect("not empty") >= max * 0.999,
                "{max}: {ticks:?}"
            );
        }
        assert_eq!(linear_ticks(4_900.0), [0.0, 2000.0, 4000.0, 6000.0]);
    }

    #[test]
    fn nothing_to_show_still_has_an_axis() {
        assert!(linear_ticks(0.0).len() >= 2);
        assert!(linear_ticks(f64::NAN).len() >= 2);
        assert_eq!(log_ticks(5.0, 5.0), [1.0, 10.0]);
        assert_eq!(log_ticks(24.0, 900.0), [10.0, 100.0]);
        assert_eq!(log_ticks(24.0, 1_300.0), [10.0, 100.0, 1000.0]);
    }

    #[test]
    fn labels_are_short() {
        assert_eq!(tick_label(6000.0, true), "6k");
        assert_eq!(tick_label(2500.0, true), "2.5k");
        assert_eq!(tick_label(1000.0, false), "1,000");
        assert_eq!(tick_label(0.8, true), "0.8");
        assert_eq!(tick_label(0.0, true), "0");
    }

    #[test]
    fn times_fall_on_round_minutes_of_the_readers_zone() {
        let hour = 3_600_000;
        let ticks = time_ticks(90_000, 90_000 + hour, 6, 330);
        assert_eq!(ticks.len(), 6);
        assert!(ticks.iter().all(|t| (t + 330 * 60_000) % 600_000 == 0));
    }

    #[test]
    fn an_axis_holds_values_inside() {
        let axis = Axis {
            min: 0.0,
            max: 10.0,
            from_px: 100.0,
            to_px: 0.0,
            logarithmic: false,
        };
        assert!((axis.at(5.0) - 50.0).abs() < 1e-9);
        assert!((axis.at(50.0)).abs() < 1e-9);
        let log = Axis {
            min: 1.0,
            max: 100.0,
            logarithmic: true,
            ..axis
        };
        assert!((log.at(10.0) - 50.0).abs() < 1e-9);
    }
}
