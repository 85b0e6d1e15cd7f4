//! One backend: no-op, JSON, parameters, headers, the router's own answers.

use hyper::Request;
use serde_json::json;

use crate::support::*;

const NO_OP: &str = r#"{"endpoint": "/raw", "method": "POST", "output_encoding": "no-op", "backend": [{"url_pattern": "/echo"}]}"#;

#[tokio::test]
async fn without_a_configuration_everything_answers_503_and_nothing_is_ready() {
    let gateway = Gateway::unconfigured();
    assert!(!gateway.engine.is_ready());
    for path in ["/", "/__health"] {
        let answer = gateway.get(path).await;
        assert_eq!(answer.status, 503);
        assert!(answer.json()["message"].is_string());
    }
}

#[tokio::test]
async fn no_op_passes_status_headers_and_body_unchanged() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend, NO_OP);
    let body = "x".repeat(200_000);
    let answer = send_body(&client(), Request::post(gateway.url("/raw")), body.clone()).await;
    assert_eq!(
        (answer.status, answer.header("x-backend")),
        (418, Some("yes"))
    );
    assert_eq!(answer.body, body);
    assert!(answer.header("x-krakend").unwrap().starts_with("Version "));
    assert_eq!(backend.last().body, body);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_with_413() {
    let backend = Backend::start().await;
    let endpoint = r#"{"endpoint": "/two", "method": "POST", "backend": [{"url_pattern": "/user"}, {"url_pattern": "/text"}]}"#;
    let gateway = Gateway::start(&backend, endpoint);
    let request = Request::post(gateway.url("/two"));
    let answer = send_body(&client(), request, vec![b'x'; 1024 * 1024 + 1]).await;
    assert_eq!((answer.status, backend.asked()), (413, 0));
}

#[tokio::test]
async fn json_is_decoded_filtered_and_marked_complete() {
    let backend = Backend::start().await;
    let endpoint = r#"{"endpoint": "/user", "cache_ttl": "90s", "backend": [{"url_pattern": "/user", "deny": ["secret"], "mapping": {"name": "title"}}]}"#;
    let answer = Gateway::start(&backend, endpoint).get("/user").await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"id": 7, "title": "Ada"}))
    );
    assert_eq!(answer.header("x-krakend-completed"), Some("true"));
    assert_eq!(
        answer.header("content-type"),
        Some("application/json; charset=utf-8")
    );
    assert_eq!(answer.header("cache-control"), Some("public, max-age=90"));
}

#[tokio::test]
async fn every_encoding_reads_and_writes_as_krakend_does() {
    let backend = Backend::start().await;
    let one = |path: &str, output: &str, backend: &str| {
        format!(
            r#"{{"endpoint": "{path}", "output_encoding": "{output}", "backend": [{{"url_pattern": {backend}}}]}}"#
        )
    };
    let endpoints = [
        one("/list", "json", r#""/orders", "is_collection": true"#),
        one(
            "/bare-list",
            "json-collection",
            r#""/orders", "encoding": "safejson""#,
        ),
        one("/scalar", "json", r#""/number", "encoding": "safejson""#),
        one("/words", "string", r#""/text", "encoding": "string""#),
    ];
    let gateway = Gateway::start(&backend, &endpoints.join(","));
    assert_eq!(
        gateway.get("/list").await.json(),
        json!({"collection": [{"id": 1}, {"id": 2}]})
    );
    assert_eq!(
        gateway.get("/bare-list").await.json(),
        json!([{"id": 1}, {"id": 2}])
    );
    assert_eq!(gateway.get("/scalar").await.json(), json!({"content": 42}));
    assert_eq!(gateway.get("/words").await.body, "plain words");
}

#[tokio::test]
async fn a_backend_that_fails_gives_500_and_not_its_own_answer() {
    let backend = Backend::start().await;
    let one = |path: &str| {
        format!(r#"{{"endpoint": "{path}", "backend": [{{"url_pattern": "{path}"}}]}}"#)
    };
    let dead = r#"{"endpoint": "/dead", "backend": [{"url_pattern": "/", "host": ["http://127.0.0.1:09"]}]}"#;
    let endpoints = [
        one("/fails"),
        one("/broken"),
        one("/orders"),
        dead.to_owned(),
    ]
    .join(",");
    let gateway = Gateway::start(&backend, &endpoints);
    for path in ["/fails", "/broken", "/orders", "/dead"] {
        let answer = gateway.get(path).await;
        assert_eq!((answer.status, answer.body.len()), (500, 0), "{path}");
        assert_eq!(answer.header("x-krakend-completed"), Some("false"));
    }
}

#[tokio::test]
async fn an_endpoint_s_timeout_gives_500_in_time() {
    let backend = Backend::start().await;
    let endpoint =
        r#"{"endpoint": "/held", "timeout": "80ms", "backend": [{"url_pattern": "/held"}]}"#;
    let gateway = Gateway::start(&backend, endpoint);
    assert_eq!(gateway.get("/held").await.status, 500);
    let backends = gateway.statistics.snapshot().backends;
    assert_eq!(
        (backends[0].calls, backends[0].errors, backends[0].timeouts),
        (1, 1, 1)
    );
}

#[tokio::test]
async fn parameters_reach_the_backend_and_cannot_leave_their_place() {
    let backend = Backend::start().await;
    let endpoint = r#"{"endpoint": "/users/{id}/{kind}", "backend": [{"url_pattern": "/u/{kind}/{id}?k={kind}"}]}"#;
    let gateway = Gateway::start(&backend, endpoint);
    assert_eq!(gateway.get("/users/a%20b/x&y").await.status, 200);
    assert_eq!(backend.last().uri, "/u/x&y/a%20b?k=x%26y");
    let asked = backend.asked();
    for path in [
        "/users/1/%253F",
        "/users/1/a%3Fb",
        "/users/../%23",
        "/users/%2e%2e/x",
    ] {
        assert_eq!(gateway.get(path).await.status, 400, "{path}");
    }
    assert_eq!(backend.asked(), asked);
}

#[tokio::test]
async fn only_listed_headers_and_query_strings_pass() {
    let backend = Backend::start().await;
    let endpoints = r#"{"endpoint": "/default", "backend": [{"url_pattern": "/user"}]},
        {"endpoint": "/listed", "input_headers": ["x-a", "User-Agent"], "input_query_strings": ["q"], "backend": [{"url_pattern": "/user?z=1"}]},
        {"endpoint": "/all", "input_headers": ["*"], "input_query_strings": ["*"], "backend": [{"url_pattern": "/user"}]}"#;
    let gateway = Gateway::start(&backend, endpoints);
    let ask = async |path: &str| {
        let request = Request::get(gateway.url(path))
            .header("x-a", "1")
            .header("x-b", "2")
            .header("connection", "x-b")
            .header("content-type", "text/plain")
            .header("user-agent", "tester");
        assert_eq!(send(&client(), request).await.status, 200);
        backend.last()
    };
    let seen = ask("/default?q=1&r=2").await;
    assert_eq!(seen.uri, "/user");
    assert_eq!(seen.headers["content-type"], "text/plain");
    assert!(!seen.headers.contains_key("x-a"));
    assert!(
        seen.headers["user-agent"]
            .to_str()
            .unwrap()
            .starts_with("KrakenD Version ")
    );
    assert_eq!(seen.headers["x-forwarded-for"], "127.0.0.1");
    assert_eq!(
        seen.headers["x-forwarded-host"],
        gateway.server.local_addr().to_string()
    );
    let seen = ask("/listed?r=2&q=b%20c").await;
    assert_eq!(seen.uri, "/user?z=1&q=b+c");
    assert_eq!(
        (&seen.headers["x-a"], &seen.headers["user-agent"]),
        (&"1".parse().unwrap(), &"tester".parse().unwrap())
    );
    assert!(!seen.headers.contains_key("content-type"));
    let seen = ask("/all?r=2&q=1").await;
    assert_eq!(seen.uri, "/user?q=1&r=2");
    assert!(
        !seen.headers.contains_key("x-b"),
        "hop-by-hop by its Connection header"
    );
    assert_eq!(seen.headers["host"], backend.address.to_string());
}

#[tokio::test]
async fn redirects_are_followed() {
    let backend = Backend::start().await;
    let endpoint = r#"{"endpoint": "/moved", "backend": [{"url_pattern": "/moved"}]}"#;
    assert_eq!(
        Gateway::start(&backend, endpoint)
            .get("/moved")
            .await
            .json()["name"],
        "Ada"
    );
    assert_eq!(backend.asked(), 2);
}

#[tokio::test]
async fn the_router_answers_like_krakend_s() {
    let backend = Backend::start().await;
    let gateway = Gateway::start(&backend, NO_OP);
    let health = gateway.get("/__health").await;
    assert_eq!(
        (health.status, &health.json()["status"]),
        (200, &json!("ok"))
    );
    let missing = gateway.get("/missing").await;
    assert_eq!(
        (missing.status, &missing.body[..]),
        (404, &b"404 page not found"[..])
    );
    assert_eq!(missing.header("x-krakend-completed"), Some("false"));
    let wrong_method = gateway.get("/raw").await;
    assert_eq!(
        (wrong_method.status, wrong_method.header("allow")),
        (405, Some("POST"))
    );
    assert!(wrong_method.header("x-krakend").is_some());
    let slash = send(&client(), Request::post(gateway.url("/raw/?a=1"))).await;
    assert_eq!(
        (slash.status, slash.header("location")),
        (307, Some("/raw?a=1"))
    );
}

#[tokio::test]
async fn hosts_take_turns() {
    let (first, second) = (Backend::start().await, Backend::start().await);
    let endpoint = format!(
        r#"{{"endpoint": "/x", "backend": [{{"url_pattern": "/user", "host": ["{}", "{}"]}}]}}"#,
        first.address, second.address
    );
    let gateway = Gateway::start(&first, &endpoint);
    for _ in 0..6 {
        assert_eq!(gateway.get("/x").await.status, 200);
    }
    assert_eq!((first.asked(), second.asked()), (3, 3));
}
