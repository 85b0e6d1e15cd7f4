//! The contour lines behind login and empty pages: rings of a hill that is not quite round.

/// Harmonics of the outline: frequency, phase, strength near the middle, strength outside.
const WAVES: [(f64, f64, f64, f64); 5] = [
    (2.0, 0.9, 0.04, 0.10),
    (3.0, 1.1, 0.07, 0.13),
    (4.0, 2.6, 0.05, 0.04),
    (5.0, 0.2, 0.05, 0.02),
    (7.0, 1.9, 0.03, 0.008),
];

/// One closed ring as an SVG path around the origin; `step` grows from 0 at the summit.
#[must_use]
pub fn ring(step: usize, spacing: f64) -> String {
    const POINTS: usize = 72;
    let radius = spacing * (step as f64 + 1.0);
    let outside = (step as f64 / 14.0).min(1.0);
    let points: Vec<(f64, f64)> = (0..POINTS)
        .map(|i| {
            let angle = i as f64 / POINTS as f64 * std::f64::consts::TAU;
            let shape = WAVES
                .iter()
                .fold(1.0, |sum, (frequency, phase, near, far)| {
                    let strength = near + (far - near) * outside;
                    sum + strength * (frequency * angle + phase + outside * 0.35).sin()
                });
            (
                radius * shape * 1.06 * angle.cos(),
                radius * shape * angle.sin(),
            )
        })
        .collect();
    smooth(&points)
}

/// Closed Catmull-Rom curve through the points, as cubic Béziers.
fn smooth(points: &[(f64, f64)]) -> String {
    let n = points.len();
    let at = |i: usize| points[i % n];
    let mut out = format!("M{:.1} {:.1}", points[0].0, points[0].1);
    for i in 0..n {
        let (before, from, to, after) = (at(i + n - 1), at(i), at(i + 1), at(i + 2));
        out.push_str(&format!(
            "C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
            from.0 + (to.0 - before.0) / 6.0,
            from.1 + (to.1 - before.1) / 6.0,
            to.0 - (after.0 - from.0) / 6.0,
            to.1 - (after.1 - from.1) / 6.0,
            to.0,
            to.1
        ));
    }
    out.push('Z');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_ring_is_closed_and_grows() {
        let inner = ring(0, 38.0);
        let outer = ring(12, 38.0);
        assert!(inner.starts_with('M') && inner.ends_with('Z'));
        assert!(outer.len() > inner.len());
        assert!(!outer.contains("NaN"));
    }
}
