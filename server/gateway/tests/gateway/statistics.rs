//! What is counted equals what was sent.

use hyper::Request;

use crate::support::*;

const ENDPOINTS: &str = r#"
    {"endpoint": "/users/{id}", "backend": [{"url_pattern": "/user"}, {"url_pattern": "/fails"}]},
    {"endpoint": "/raw", "output_encoding": "no-op", "backend": [{"url_pattern": "/echo"}]}"#;

#[tokio::test]
async fn counts_equal_the_requests_sent() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend, ENDPOINTS);
    let client = client();
    for id in 0..30 {
        send(&client, Request::get(gateway.url(&format!("/users/{id}")))).await;
    }
    for path in ["/raw", "/raw", "/nowhere", "/__health", "/__health"] {
        send(&client, Request::get(gateway.url(path))).await;
    }
    let interval = gateway.statistics.take_interval();
    let rows: Vec<_> = interval
        .endpoints
        .iter()
        .map(|row| {
            (
                row.endpoint.as_str(),
                row.method.as_str(),
                row.status.clone(),
            )
        })
        .collect();
    let wanted = [
        ("(no route)", "GET", [(404, 1)].into()),
        ("/raw", "GET", [(418, 2)].into()),
        ("/users/{id}", "GET", [(200, 30)].into()),
    ];
    assert_eq!(rows, wanted);
    let backends: Vec<_> = interval
        .backends
        .iter()
        .map(|row| {
            (
                row.url_pattern.as_str(),
                row.calls,
                row.errors,
                row.latency.count(),
            )
        })
        .collect();
    assert_eq!(
        backends,
        [
            ("/echo", 2, 0, 2),
            ("/fails", 30, 30, 30),
            ("/user", 30, 0, 30)
        ]
    );
    assert_eq!(interval.connections, 1);
    assert!(gateway.statistics.take_interval().endpoints.is_empty());
}

#[tokio::test]
async fn counters_go_on_over_a_swap() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend, ENDPOINTS);
    gateway.get("/raw").await;
    gateway.apply(&backend, ENDPOINTS);
    gateway.get("/raw").await;
    let snapshot = gateway.statistics.snapshot();
    let raw = snapshot
        .endpoints
        .iter()
        .find(|row| row.endpoint == "/raw")
        .unwrap();
    assert_eq!(raw.requests(), 2);
    assert_eq!(raw.latency.count(), 2);
}
