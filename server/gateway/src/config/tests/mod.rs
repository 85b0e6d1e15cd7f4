//! Documents as a whole; the single refusals are in `places`.

mod places;

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

#[test]
fn no_document_makes_the_check_fail_or_point_outside_the_text() {
    let seed = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(1, |now| now.as_nanos() as u64 | 1);
    println!("seed {seed}");
    let mut state = seed;
    let mut random = |below: usize| {
        // xorshift64
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as usize % below
    };
    let scraps = [
        "{", "}", "[]", "\"", "\\", ",", "null", "0", "-1", "\"é\"", "\n", ":", "{}", "\"/{x}\"",
    ];
    for _ in 0..3_000 {
        let mut text = GOOD.to_owned();
        for _ in 0..1 + random(3) {
            let mut cut = || {
                (0..4)
                    .map(|_| random(text.len()))
                    .find(|at| text.is_char_boundary(*at))
            };
            let (from, to) = (cut().unwrap_or(0), cut().unwrap_or(0));
            let to = to.clamp(from, from + 12).min(text.len());
            if text.is_char_boundary(to) {
                text.replace_range(from..to, scraps[random(scraps.len())]);
            }
        }
        for strictness in [Strictness::Strict, Strictness::Lenient] {
            for finding in check(text.as_bytes(), strictness).findings {
                let line = text.split('\n').nth(finding.line - 1);
                let width = line.map(|line| line.chars().count());
                assert!(
                    width.is_some_and(|width| finding.column <= width + 1),
                    "{finding}\n{text}"
                );
            }
        }
    }
}
