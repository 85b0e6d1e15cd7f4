use super::*;

#[test]
fn the_table_has_every_step_of_every_series_once() {
    let sample = |from, value| Sample {
        from,
        to: from + 10,
        value,
    };
    let series = |class, label, samples| Series {
        class,
        label,
        area: false,
        samples,
    };
    let chart = Chart {
        from: 10,
        to: 40,
        logarithmic: false,
        series: vec![
            series(
                "s-all",
                "",
                vec![
                    sample(0, Some(9.0)),
                    sample(10, Some(1.0)),
                    sample(20, None),
                ],
            ),
            series(
                "s-p99",
                "p99",
                vec![sample(10, Some(5.0)), sample(30, Some(7.0))],
            ),
        ],
        moments: Vec::new(),
        offset_min: 0,
    };
    let rows = chart.rows();
    assert_eq!(
        rows,
        [
            (10, vec![Some(1.0), Some(5.0)]),
            (20, vec![None, None]),
            (30, vec![None, Some(7.0)]),
        ]
    );
    assert_eq!(chart.series[0].name(), "all");
    assert_eq!(chart.series[1].name(), "p99");
}

const MINUTE: i64 = 60_000;

fn samples(values: &[Option<f64>]) -> Vec<Sample> {
    (0i64..)
        .zip(values)
        .map(|(i, value)| Sample {
            from: i * MINUTE,
            to: (i + 1) * MINUTE,
            value: *value,
        })
        .collect()
}

fn chart(values: &[Option<f64>]) -> Chart {
    Chart {
        from: 0,
        to: i64::try_from(values.len()).expect("short") * MINUTE,
        logarithmic: false,
        series: vec![Series {
            class: "s",
            label: "",
            area: true,
            samples: samples(values),
        }],
        moments: Vec::new(),
        offset_min: 0,
    }
}

#[test]
fn one_window_is_a_flat_stretch_not_a_dot() {
    let drawing = chart(&[Some(4.0)]).draw(300.0, 150.0);
    assert_eq!(drawing.series[0].line.matches('L').count(), 2);
    assert!(drawing.hatches.is_empty());
}

#[test]
fn a_gap_breaks_the_line_and_is_hatched() {
    let drawing = chart(&[Some(4.0), Some(5.0), None, Some(4.0)]).draw(300.0, 150.0);
    assert_eq!(drawing.series[0].line.matches('M').count(), 2);
    assert_eq!(drawing.hatches.len(), 1);
    let (_, width) = drawing.hatches[0];
    assert!((width - (drawing.right - drawing.left) / 4.0).abs() < 0.5);
}

#[test]
fn the_time_after_the_last_window_is_hatched_and_the_time_before_the_first_is_not() {
    let mut late = chart(&[Some(1.0), Some(1.0)]);
    late.from = -2 * MINUTE;
    late.to = 4 * MINUTE;
    let drawing = late.draw(300.0, 150.0);
    assert_eq!(drawing.hatches.len(), 1);
    assert!(drawing.hatches[0].0 > (drawing.left + drawing.right) / 2.0);
}

#[test]
fn no_data_draws_axes_and_nothing_else() {
    let drawing = chart(&[]).draw(300.0, 150.0);
    assert!(drawing.series[0].line.is_empty());
    assert!(drawing.y_ticks.len() >= 2);
}

#[test]
fn labels_at_the_ends_do_not_overlap() {
    let mut many = chart(&[Some(10.0)]);
    many.logarithmic = true;
    many.series = ["p99.9", "p99", "p90", "p50"]
        .into_iter()
        .map(|label| Series {
            class: "s",
            label,
            area: false,
            samples: samples(&[Some(10.0)]),
        })
        .collect();
    let mut heights: Vec<f64> = many
        .draw(300.0, 150.0)
        .series
        .iter()
        .filter_map(|s| s.end.map(|e| e.1))
        .collect();
    heights.sort_by(f64::total_cmp);
    assert!(
        heights.windows(2).all(|w| w[1] - w[0] >= 12.9),
        "{heights:?}"
    );
}

#[test]
fn pixels_and_times_convert_both_ways() {
    let drawing = chart(&[Some(1.0), Some(1.0)]).draw(300.0, 150.0);
    let x = drawing.x_of(MINUTE).expect("inside");
    let t = drawing.time_at(x).expect("inside");
    assert!((t - MINUTE).abs() < 1000);
    assert_eq!(drawing.time_at(0.0), None);
    assert_eq!(drawing.x_of(-1), None);
}

#[test]
fn a_sparkline_keeps_gaps_and_a_steady_rate_looks_flat() {
    let path = sparkline(&[Some(10.0), None, Some(10.0), Some(10.1)], 90.0, 16.0);
    assert_eq!(path.matches('M').count(), 2);
    assert!(sparkline(&[], 90.0, 16.0).is_empty());
    assert!(!sparkline(&[Some(0.0), Some(0.0)], 90.0, 16.0).contains("NaN"));
}
