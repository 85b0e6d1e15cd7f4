use super::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn intervals_add_up_to_the_total() {
    let statistics = Statistics::new();
    let (mut taken, mut bytes, mut connections) = (0, 0, 0);
    let mut open = Vec::new();
    for round in 0..5u16 {
        for i in 0..=round {
            statistics.record_request("/a/{id}", "GET", 200 + i, 3 * MS, 10);
            open.push(statistics.record_connection());
        }
        let interval = statistics.take_interval();
        taken += interval.endpoints[0].requests();
        bytes += interval.endpoints[0].bytes_sent;
        connections += interval.connections;
        assert_eq!(interval.open_connections, open.len() as u64);
        assert_eq!(
            interval.endpoints[0].latency.count() as u64,
            u64::from(round) + 1
        );
    }
    open.clear();
    let total = statistics.snapshot();
    assert_eq!(total.open_connections, 0);
    assert_eq!(
        (total.endpoints[0].requests(), total.connections),
        (taken, connections)
    );
    assert_eq!(bytes, 10 * taken);
    assert_eq!(total.endpoints[0].bytes_sent, bytes);
    assert!(statistics.take_interval().endpoints.is_empty());
}

#[test]
fn a_timeout_counts_as_an_error_and_latencies_are_milliseconds() {
    let statistics = Statistics::new();
    statistics.record_backend("http://h", "/x", true, true, 100 * MS);
    statistics.record_backend("http://h", "/x", true, false, 100 * MS);
    statistics.record_backend("http://h", "/x", false, false, 100 * MS);
    let backend = &statistics.snapshot().backends[0];
    assert_eq!((backend.calls, backend.errors, backend.timeouts), (3, 2, 1));
    let median = backend.latency.quantile(0.5).unwrap().unwrap();
    assert!((99.0..=101.0).contains(&median), "{median}");
}

#[test]
fn series_are_bounded_and_nothing_is_lost_beyond_the_bound() {
    let statistics = Statistics::new();
    for i in 0..1_500 {
        statistics.record_request(&format!("/e{i}"), "GET", 200, MS, 0);
    }
    let total = statistics.snapshot();
    assert_eq!(total.endpoints.len(), MAX_SERIES);
    assert_eq!(
        total
            .endpoints
            .iter()
            .map(EndpointStatistics::requests)
            .sum::<u64>(),
        1_500
    );
    let other = total
        .endpoints
        .iter()
        .find(|row| row.endpoint == OTHER)
        .unwrap();
    assert_eq!(other.requests(), 501);
}

#[test]
fn a_made_up_method_does_not_become_a_series() {
    let statistics = Statistics::new();
    for method in ["FOO", "BAR"] {
        statistics.record_request(NO_ROUTE, method, 404, MS, 0);
    }
    let total = statistics.snapshot();
    assert_eq!(total.endpoints.len(), 1);
    assert_eq!(total.endpoints[0].method, OTHER);
}
