//! Every refusal with its code and its place.

use super::*;

const GOOD: &str = r#"{
  "version": 3,
  "$schema": "https://www.krakend.io/schema/v3.json",
  "@comment": "anything",
  "name": "shop",
  "port": 8090,
  "host": ["http://127.0.0.1:9000/"],
  "timeout": "3s",
  "endpoints": [
    {"endpoint": "/raw", "output_encoding": "no-op", "backend": [{"url_pattern": "/raw"}]},
    {"endpoint": "/users/{id}", "method": "get", "cache_ttl": "5m", "backend": [
      {"url_pattern": "/u/{id}", "allow": ["name"], "group": "user"},
      {"url_pattern": "/orders?user={id}", "host": ["localhost:9001"], "is_collection": true}
    ]}
  ]
}"#;

fn good() -> ServiceConfig {
    parse(GOOD.as_bytes(), Strictness::Strict).unwrap().0
}

/// A service with one endpoint; `endpoint` and `backend` are members that start with a comma.
fn document(service: &str, endpoint: &str, backend: &str) -> String {
    format!(
        "{{\"version\": 3, \"host\": [\"http://h:80\"]{service},\n\"endpoints\": [\n{{\"endpoint\": \"/a/{{id}}\"{endpoint},\n\"backend\": [{{\"url_pattern\": \"/b\"{backend}}}]}}]}}"
    )
}

/// The only finding of a document: code, pointer, line, column.
#[track_caller]
fn only(document: &str, strictness: Strictness) -> (&'static str, String, usize, usize) {
    let report = check(document.as_bytes(), strictness);
    let [finding] = report.findings.as_slice() else {
        panic!("not one finding in\n{document}\n{report}")
    };
    (
        finding.code,
        finding.pointer.clone(),
        finding.line,
        finding.column,
    )
}

#[track_caller]
fn refused(document: &str, code: &str, pointer: &str, line: usize, column: usize) {
    let found = only(document, Strictness::Strict);
    assert_eq!(
        (found.0, found.1.as_str(), found.2, found.3),
        (code, pointer, line, column),
        "{document}"
    );
    assert!(parse(document.as_bytes(), Strictness::Strict).is_err());
}

#[test]
fn a_good_document_gives_a_configuration_with_everything_inherited() {
    let config = good();
    assert_eq!((config.name.as_str(), config.port), ("shop", 8090));
    assert_eq!(config.health_path.as_deref(), Some("/__health"));
    let [raw, users] = config.endpoints.as_slice() else {
        panic!("two endpoints")
    };
    assert_eq!(raw.output_encoding, OutputEncoding::NoOp);
    assert_eq!(raw.backends[0].encoding, Encoding::NoOp);
    assert_eq!(raw.backends[0].hosts, ["http://127.0.0.1:9000"]);
    assert_eq!(
        (
            users.method.as_str(),
            users.timeout.as_secs(),
            users.cache_ttl.as_secs()
        ),
        ("GET", 3, 300)
    );
    assert_eq!(users.backends[1].hosts, ["http://localhost:9001"]);
    assert_eq!(users.backends[1].method, "GET");
    assert!(
        check(GOOD.as_bytes(), Strictness::Strict)
            .findings
            .is_empty()
    );
}

#[test]
fn broken_json_is_refused_with_line_and_column() {
    refused(
        "{\n  \"version\": 3,\n  \"näme\": oops\n}",
        "invalid-json",
        "",
        3,
        11,
    );
    refused("{\"version\": 3,", "invalid-json", "", 1, 14);
    let report = check(b"{\n\"name\": \"\xff\"}", Strictness::Lenient);
    assert_eq!(
        (
            report.findings[0].code,
            report.findings[0].line,
            report.findings[0].column
        ),
        ("invalid-json", 2, 10)
    );
}

#[test]
fn an_oversized_document_is_refused_unread() {
    let report = check(&vec![b' '; MAX_DOCUMENT_BYTES + 1], Strictness::Strict);
    assert_eq!(report.findings[0].code, "document-too-large");
}

#[test]
fn the_version_must_be_there_and_be_three() {
    refused("{}", "missing-version", "", 1, 1);
    refused(
        "{\n \"version\": 2}",
        "unsupported-version",
        "/version",
        2,
        13,
    );
    refused("{\"version\": \"3\"}", "wrong-type", "/version", 1, 13);
    refused("[]", "wrong-type", "", 1, 1);
    assert!(!check(b"{\"version\": 3}", Strictness::Strict).has_errors());
}

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
        &endpoints("{\"backend\": [{\"url_pattern\": \"/\"}]}"),
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
    for path in ["/__health", "/__debug/x", "/__echo"] {
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
fn a_fleet_of_krakends_gets_warnings_and_the_engine_still_refuses() {
    let text = document(
        ", \"tls\": {\"public_key\": \"x\"}",
        ", \"output_encoding\": \"xml\"",
        ", \"sd\": \"dns\"",
    );
    let (config, report) = parse(text.as_bytes(), Strictness::Lenient).unwrap();
    let codes: Vec<_> = report.warnings().map(|finding| finding.code).collect();
    assert_eq!(
        codes,
        ["unsupported-key", "unsupported-value", "unsupported-value"]
    );
    assert_eq!(config.unsupported.len(), 3);
    assert_eq!(
        check(text.as_bytes(), Strictness::Strict).errors().count(),
        3
    );
}

#[test]
fn the_router_and_telemetry_are_understood_by_short_and_long_names() {
    let extra = ", \"extra_config\": {\"github_com/luraproject/lura/router/gin\": {\"health_path\": \"/up\"}, \
                 \"telemetry/logging\": {\"level\": \"INFO\"}, \"telemetry/metrics\": {}}";
    let (config, report) = parse(document(extra, "", "").as_bytes(), Strictness::Strict).unwrap();
    assert_eq!(config.health_path.as_deref(), Some("/up"));
    assert_eq!(
        report
            .warnings()
            .map(|finding| finding.code)
            .collect::<Vec<_>>(),
        ["supplied-by-node"; 2]
    );
    let bad = document(
        ", \"extra_config\": {\"router\": {\"return_error_msg\": true}}",
        "",
        "",
    );
    refused(
        &bad,
        "unsupported-key",
        "/extra_config/router/return_error_msg",
        1,
        69,
    );
}

#[test]
fn a_slip_gets_advice() {
    let report = check(
        document("", ", \"backends\": []", "").as_bytes(),
        Strictness::Strict,
    );
    assert!(
        report.to_string().contains("did you mean \"backend\"?"),
        "{report}"
    );
    assert!(
        report.to_string().starts_with("line 3, column 25: error:"),
        "{report}"
    );
}

#[test]
fn findings_are_bounded() {
    let keys: Vec<String> = (0..1000).map(|i| format!("\"zz{i}\": 1")).collect();
    let report = check(
        format!("{{\"version\": 3, {}}}", keys.join(",")).as_bytes(),
        Strictness::Strict,
    );
    assert_eq!(report.findings.len(), 200);
}
