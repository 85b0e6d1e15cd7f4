//! What is answered from windows.

use super::*;

#[test]
fn percentiles_come_from_merged_sketches_and_are_within_one_percent() {
    let mut group = Group::at_level_5();
    // One node is fast with few requests, the other slow with many: an average of percentiles would be far off.
    let fast: Vec<f64> = (1..=100).map(f64::from).collect();
    let slow: Vec<f64> = (1..=900).map(|at| 1_000.0 + f64::from(at)).collect();
    group.record(1, group.now, vec![endpoint("/a", &[(200, 100)], &fast)]);
    group.record(2, group.now, vec![endpoint("/a", &[(200, 900)], &slow)]);
    let mut all: Vec<f64> = fast.into_iter().chain(slow).collect();
    all.sort_by(f64::total_cmp);
    let answer = group.ask(HOUR_MS);
    for q in [0.05, 0.5, 0.9, 0.99, 0.999] {
        let exact = all[(q * 999.0) as usize];
        for merged in [&answer.total, &answer.endpoints[0].merged] {
            let told = merged.quantile(q).expect("measured");
            assert!((told - exact).abs() <= exact * 0.011, "{q}: {told} {exact}");
        }
    }
    let counts = answer
        .total
        .cumulative(&[0.5, 100.0, 1_000.0, 1_500.0, 5_000.0]);
    assert_eq!(counts[0], 0);
    assert!(counts[1].abs_diff(100) <= 3, "{counts:?}");
    assert_eq!(counts[2], 100);
    assert!(counts[3].abs_diff(600) <= 30, "{counts:?}");
    assert_eq!(counts[4], 1_000);
}

#[test]
fn filters_order_and_top_choose_rows_and_the_rest_is_summed() {
    let mut group = Group::at_level_5();
    let rows = vec![
        endpoint("/a", &[(200, 50), (404, 3)], &[1.0]),
        endpoint("/b", &[(200, 5), (500, 9)], &[900.0]),
        endpoint("/c", &[(200, 20)], &[2.0]),
    ];
    group.record(1, group.now, rows);
    let names = |answer: &StatisticsAnswer| -> Vec<String> {
        answer
            .endpoints
            .iter()
            .map(|row| row.first.clone())
            .collect()
    };
    let mut asked = group.asked(HOUR_MS);
    asked.top = Some(2);
    assert_eq!(
        names(&query_statistics(&group.state, &asked)),
        ["/a", "/c", "(other)"]
    );
    asked.top = Some(1);
    for (order, first) in [
        (Order::Errors, "/b"),
        (Order::P99, "/b"),
        (Order::Requests, "/a"),
    ] {
        asked.order = order;
        let answer = query_statistics(&group.state, &asked);
        assert_eq!(names(&answer), [first, "(other)"]);
        let all: u64 = answer
            .endpoints
            .iter()
            .map(|row| row.merged.requests())
            .sum();
        assert_eq!(all, 87, "nothing is lost in (other)");
        assert_eq!(answer.endpoint_series[0].first, first);
    }
    let answer = query_statistics(&group.state, &asked);
    let errors: Vec<_> = answer
        .top_errors
        .iter()
        .map(|it| (it.status, it.requests))
        .collect();
    assert_eq!(errors, [(500, 9), (404, 3)]);
    asked.endpoint = Some("/b".into());
    assert_eq!(query_statistics(&group.state, &asked).total.requests(), 14);
    asked.method = Some("POST".into());
    assert_eq!(query_statistics(&group.state, &asked).total.requests(), 0);
    asked.backend = Some("http://elsewhere".into());
    assert!(query_statistics(&group.state, &asked).backends.is_empty());
}

#[test]
fn bytes_add_up_and_are_no_requests() {
    let mut group = Group::at_level_5();
    let sent = EndpointSample::BYTES_SENT;
    group.record(
        1,
        group.now,
        vec![
            endpoint("/a", &[(200, 5), (sent, 700)], &[1.0]),
            endpoint("/b", &[(404, 2), (sent, 30)], &[1.0]),
        ],
    );
    group.record(
        2,
        group.now,
        vec![endpoint("/a", &[(200, 1), (sent, 100)], &[1.0])],
    );
    let answer = group.ask(HOUR_MS);
    assert_eq!(answer.total.requests(), 8);
    assert_eq!(answer.total.bytes_sent(), 830);
    let of_a = &answer.endpoints[0].merged;
    assert_eq!((of_a.requests(), of_a.bytes_sent()), (6, 800));
    assert_eq!(answer.nodes[0].merged.bytes_sent(), 730);
    let errors: Vec<_> = answer.top_errors.iter().map(|it| it.status).collect();
    assert_eq!(errors, [404]);
    let recent = group.state.recent(id(1)).into_iter().flatten();
    assert_eq!(recent.map(|it| it.requests).sum::<u64>(), 7);
}

#[test]
fn a_node_tells_its_endpoints_for_an_hour_its_totals_for_the_month_and_what_it_used() {
    let mut group = Group::at_level_5();
    group.record(1, group.now, one("/old", 7));
    group.pass(3 * HOUR_MS);
    group.record(1, group.now, one("/new", 1));
    group.record(2, group.now, one("/other-node", 1));
    let mut asked = group.asked(4 * HOUR_MS);
    asked.node = Some(id(1));
    let answer = query_statistics(&group.state, &asked);
    assert_eq!(answer.total.requests(), 8);
    assert_eq!(answer.endpoints.len(), 1);
    assert_eq!(answer.endpoints[0].first, "/new");
    assert!(
        answer
            .detail_from_ms
            .is_some_and(|from| from >= group.now - HOUR_MS - MINUTE_MS)
    );
    let (_, used) = answer.process.last().expect("a step");
    assert_eq!(
        (used.cpu_percent, used.memory_bytes, used.connections),
        (10.0, 1 << 20, 5)
    );
}

#[test]
fn more_series_than_are_kept_are_summed_and_said_so() {
    let rows = |from: u32, to: u32| -> Packed {
        let mut group = Vec::new();
        for at in from..to {
            group.push(endpoint(&format!("/{at}"), &[(200, 1)], &[1.0]));
        }
        Packed::of_sample(&Sample {
            seq: 1,
            start_ms: 0,
            end_ms: 1,
            endpoints: group,
            backends: vec![],
            connections: 0,
            memory_bytes: 0,
            cpu_ms: 0,
            restarts: 0,
        })
    };
    let merged = rows(0, 1_500)
        .merge(&rows(1_000, 2_600))
        .merge(&rows(2_000, 3_000));
    let endpoints: Vec<_> = merged
        .series()
        .filter(|it| it.kind == Kind::Endpoint)
        .collect();
    assert_eq!(endpoints.len(), 2_000);
    let mut sum = Merged::default();
    for cells in &endpoints {
        sum.add(cells);
    }
    assert_eq!((sum.requests(), sum.measured()), (4_100, 4_100));
    assert!(endpoints.iter().any(|it| it.first == OTHER_SERIES));
    assert_eq!(
        merged
            .merge(&rows(0, 3_000))
            .find(Kind::Total, "", "")
            .map(|cells| {
                let mut total = Merged::default();
                total.add(&cells);
                total.requests()
            }),
        Some(7_100)
    );
}

#[test]
fn ranges_and_steps_that_no_window_answers_are_refused_by_name() {
    let now = START + 40 * 24 * HOUR_MS;
    let day = 24 * HOUR_MS;
    let plan = |from, to, step| plan_step((from, to), step, now);
    assert_eq!(plan(now, now, None), Err(QueryError::Empty));
    assert_eq!(plan(now - 32 * day, now, None), Err(QueryError::TooLong));
    assert_eq!(
        plan(now - 2 * day, now, Some(MINUTE_MS)),
        Err(QueryError::Step(HOUR_MS))
    );
    assert_eq!(
        plan(now - HOUR_MS, now, Some(90_000)),
        Err(QueryError::Step(MINUTE_MS))
    );
    assert_eq!(plan(now - day, now, None).expect("planned").2, MINUTE_MS);
    assert_eq!(plan(now - 30 * day, now, None).expect("planned").2, HOUR_MS);
}
