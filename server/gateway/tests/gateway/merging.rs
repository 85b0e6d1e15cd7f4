//! Several backends in one answer.

use hyper::Request;
use serde_json::json;

use crate::support::*;

#[tokio::test]
async fn two_backends_become_one_answer() {
    let backend = Backend::start().await;
    let endpoint = r#"{"endpoint": "/both", "backend": [
        {"url_pattern": "/user", "allow": ["name"]},
        {"url_pattern": "/orders", "is_collection": true, "mapping": {"collection": "orders"}, "group": "shop"}]}"#;
    let answer = Gateway::start(&backend, endpoint).get("/both").await;
    let wanted = json!({"name": "Ada", "shop": {"orders": [{"id": 1}, {"id": 2}]}});
    assert_eq!((answer.status, answer.json()), (200, wanted));
    assert_eq!(answer.header("x-krakend-completed"), Some("true"));
}

#[tokio::test]
async fn a_failed_part_leaves_a_partial_answer() {
    let backend = Backend::start().await;
    let endpoint = r#"{"endpoint": "/both", "cache_ttl": "1m", "backend": [{"url_pattern": "/user"}, {"url_pattern": "/fails"}]}"#;
    let answer = Gateway::start(&backend, endpoint).get("/both").await;
    assert_eq!(
        (answer.status, &answer.json()["name"]),
        (200, &json!("Ada"))
    );
    assert_eq!(answer.header("x-krakend-completed"), Some("false"));
    assert_eq!(answer.header("cache-control"), None);
}

#[tokio::test]
async fn a_slow_part_is_left_out_before_the_endpoint_s_timeout() {
    let backend = Backend::start().await;
    let endpoint = r#"{"endpoint": "/both", "timeout": "200ms", "backend": [{"url_pattern": "/held"}, {"url_pattern": "/user"}]}"#;
    let gateway = Gateway::start(&backend, endpoint);
    let answer = gateway.get("/both").await;
    assert_eq!(
        (answer.status, &answer.json()["name"]),
        (200, &json!("Ada"))
    );
    assert_eq!(answer.header("x-krakend-completed"), Some("false"));
}

#[tokio::test]
async fn when_all_parts_fail_the_answer_is_500() {
    let backend = Backend::start().await;
    let endpoint = r#"{"endpoint": "/both", "backend": [{"url_pattern": "/broken"}, {"url_pattern": "/fails"}]}"#;
    assert_eq!(
        Gateway::start(&backend, endpoint).get("/both").await.status,
        500
    );
}

#[tokio::test]
async fn every_backend_gets_the_client_s_body() {
    let backend = Backend::start().await;
    let endpoint = r#"{"endpoint": "/both", "method": "PUT", "backend": [{"url_pattern": "/user"}, {"url_pattern": "/x", "method": "POST"}]}"#;
    let gateway = Gateway::start(&backend, endpoint);
    let answer = send_body(&client(), Request::put(gateway.url("/both")), "payload").await;
    assert_eq!(answer.status, 200);
    let mut seen: Vec<_> = backend
        .seen
        .lock()
        .unwrap()
        .iter()
        .map(|s| (s.method.clone(), s.body.clone()))
        .collect();
    seen.sort();
    assert_eq!(
        seen,
        [
            ("POST".into(), "payload".into()),
            ("PUT".into(), "payload".into())
        ]
    );
}
