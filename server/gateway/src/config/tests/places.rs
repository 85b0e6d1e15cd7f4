//! Every refusal of a value or key, with its code and its place.

use super::*;

#[test]
fn values_of_the_service_are_judged_where_they_stand() {
    refused(
        &document(", \"port\": 70000", "", ""),
        "bad-port",
        "/port",
        1,
        49,
    );
    refused(
        &document(", \"listen_ip\": \"x\"", "", ""),
        "bad-listen-ip",
        "/listen_ip",
        1,
        54,
    );
    refused(
        &document(", \"timeout\": \"2\"", "", ""),
        "bad-duration",
        "/timeout",
        1,
        52,
    );
    refused(
        &document(", \"timeout\": 2", "", ""),
        "wrong-type",
        "/timeout",
        1,
        52,
    );
    refused(
        &document(", \"endpoint\": []", "", ""),
        "unknown-key",
        "/endpoint",
        1,
        41,
    );
    refused(
        &document(", \"tls\": {\"public_key\": \"x\"}", "", ""),
        "unsupported-key",
        "/tls",
        1,
        41,
    );
}

#[test]
fn values_of_an_endpoint_are_judged_where_they_stand() {
    refused(
        &document("", ", \"method\": \"FETCH\"", ""),
        "bad-method",
        "/endpoints/0/method",
        3,
        35,
    );
    refused(
        &document("", ", \"time_out\": \"1s\"", ""),
        "unknown-key",
        "/endpoints/0/time_out",
        3,
        25,
    );
    refused(
        &document("", ", \"concurrent_calls\": 3", ""),
        "unsupported-value",
        "/endpoints/0/concurrent_calls",
        3,
        25,
    );
    refused(
        &document("", ", \"output_encoding\": \"xml\"", ""),
        "unsupported-value",
        "/endpoints/0/output_encoding",
        3,
        25,
    );
    refused(
        &document("", ", \"cache_ttl\": \"-1s\"", ""),
        "bad-duration",
        "/endpoints/0/cache_ttl",
        3,
        38,
    );
    refused(
        &document(
            "",
            ", \"extra_config\": {\"qos/ratelimit/router\": {\"max_rate\": 1}}",
            "",
        ),
        "unsupported-namespace",
        "/endpoints/0/extra_config/qos~1ratelimit~1router",
        3,
        42,
    );
}

#[test]
fn values_of_a_backend_are_judged_where_they_stand() {
    let inner = "/endpoints/0/backend/0";
    refused(
        &document("", "", ", \"host\": [\"ftp://x\"]"),
        "bad-host",
        &format!("{inner}/host/0"),
        4,
        44,
    );
    refused(
        &document("", "", ", \"host\": [\"https://x\"]"),
        "unsupported-value",
        &format!("{inner}/host/0"),
        4,
        44,
    );
    refused(
        &document("", "", ", \"sd\": \"dns\""),
        "unsupported-value",
        &format!("{inner}/sd"),
        4,
        35,
    );
    refused(
        &document("", "", ", \"encoding\": \"xml\""),
        "unsupported-value",
        &format!("{inner}/encoding"),
        4,
        35,
    );
    refused(
        &document("", "", ", \"encoding\": \"no-op\""),
        "no-op-mismatch",
        &format!("{inner}/encoding"),
        4,
        47,
    );
    refused(
        &document("", "", ", \"allow\": [1]"),
        "wrong-type",
        &format!("{inner}/allow/0"),
        4,
        45,
    );
    refused(
        &document("", "", ", \"extra_config\": {\"telemetri/x\": {}}"),
        "unknown-namespace",
        &format!("{inner}/extra_config/telemetri~1x"),
        4,
        52,
    );
}

#[test]
fn an_endpoint_needs_a_path_a_backend_and_a_host() {
    let endpoints = |text: &str| format!("{{\"version\": 3, \"endpoints\": [\n{text}]}}");
    refused(
        &endpoints("{\"endpoint\": \"/a\"}"),
        "no-backend",
        "/endpoints/0",
        2,
        1,
    );
    refused(
        &endpoints("{\"endpoint\": \"/a\", \"backend\": []}"),
        "no-backend",
        "/endpoints/0/backend",
        2,
        31,
    );
    refused(
        &endpoints("{\"backend\": [{\"url_pattern\": \"/\", \"host\": [\"h:80\"]}]}"),
        "missing-path",
        "/endpoints/0",
        2,
        1,
    );
    let no_host = endpoints("{\"endpoint\": \"/a\", \"backend\": [\n{\"url_pattern\": \"/\"}]}");
    refused(&no_host, "no-host", "/endpoints/0/backend/0", 3, 1);
    // A backend of KrakenD that is no HTTP server has none: there it is for KrakenD's own check to judge.
    assert!(!check(no_host.as_bytes(), Strictness::Lenient).has_errors());
}

#[test]
fn paths_of_krakend_itself_are_reserved() {
    for path in ["/__health", "/__debug/x", "/a/__echo"] {
        let text = format!("{{\"version\": 3, \"endpoints\": [\n{{\"endpoint\": \"{path}\"}}]}}");
        refused(&text, "reserved-path", "/endpoints/0/endpoint", 2, 14);
    }
}

#[test]
fn a_parameter_must_be_defined_and_a_whole_segment() {
    let text = document("", "", "").replace("\"/b\"", "\"/b/{name}\"");
    refused(
        &text,
        "undefined-parameter",
        "/endpoints/0/backend/0/url_pattern",
        4,
        29,
    );
    let text = document("", "", "").replace("/a/{id}", "/a/x{id}");
    refused(&text, "bad-path", "/endpoints/0/endpoint", 3, 2);
}

#[test]
fn endpoints_that_answer_the_same_requests_are_duplicates() {
    let two = |first: &str, second: &str| {
        let backend = "\"backend\": [{\"url_pattern\": \"/\", \"host\": [\"h:80\"]}]";
        format!(
            "{{\"version\": 3, \"endpoints\": [{{{first}, {backend}}},\n{{{second}, {backend}}}]}}"
        )
    };
    let same = two(
        "\"endpoint\": \"/a/{x}\"",
        "\"endpoint\": \"/a/{y}\", \"method\": \"GET\"",
    );
    refused(&same, "duplicate-endpoint", "/endpoints/1/endpoint", 2, 14);
    let other = two(
        "\"endpoint\": \"/a/{x}\"",
        "\"endpoint\": \"/a/{y}\", \"method\": \"POST\"",
    );
    assert!(
        check(other.as_bytes(), Strictness::Strict)
            .findings
            .is_empty()
    );
}

#[test]
fn no_op_passes_one_backend_only() {
    let text = document(
        "",
        ", \"output_encoding\": \"no-op\"",
        "}, {\"url_pattern\": \"/c\"",
    );
    refused(
        &text,
        "no-op-with-several-backends",
        "/endpoints/0/backend",
        4,
        12,
    );
}

#[test]
fn the_health_endpoint_keeps_its_path() {
    let text = document(
        ", \"extra_config\": {\"router\": {\"health_path\": \"/up\"}}",
        "",
        "",
    )
    .replace("/a/{id}", "/up");
    refused(&text, "reserved-path", "/endpoints/0/endpoint", 3, 14);
}

#[test]
fn parameters_in_one_place_need_one_name_for_a_real_krakend() {
    let backend = "\"backend\": [{\"url_pattern\": \"/\", \"host\": [\"h:80\"]}]";
    let text = format!(
        "{{\"version\": 3, \"endpoints\": [{{\"endpoint\": \"/a/{{x}}\", {backend}}},\n{{\"endpoint\": \"/a/{{y}}/b\", {backend}}}]}}"
    );
    assert_eq!(only(&text, Strictness::Strict).0, "parameter-name-conflict");
    assert!(parse(text.as_bytes(), Strictness::Strict).is_ok());
    assert!(check(text.as_bytes(), Strictness::Lenient).has_errors());
}
