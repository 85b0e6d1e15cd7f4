use krakend_api::ChangeKind;
use serde_json::{Value, json};

use super::{Hider, structural, unified};

fn backend(path: &str, host: &str) -> Value {
    json!({"url_pattern": path, "host": [host]})
}

fn document(endpoints: Value) -> Value {
    json!({"version": 3, "timeout": "2s", "endpoints": endpoints})
}

fn lines(old: &Value, new: &Value) -> Vec<String> {
    let changes = structural(old, new).changes.into_iter();
    changes
        .flat_map(|change| {
            let subject = change.subject;
            change
                .details
                .into_iter()
                .map(move |line| format!("{subject}: {line}"))
        })
        .collect()
}

#[test]
fn a_changed_field_of_an_endpoint_is_one_line_with_both_values() {
    let a = |timeout: &str| json!({"endpoint": "/a", "timeout": timeout, "backend": [backend("/x", "http://a")]});
    let (old, new) = (
        document(json!([a("2s")])),
        document(json!([{"endpoint": "/b"}, a("3s")])),
    );
    let difference = structural(&old, &new);
    assert_eq!(
        (
            difference.endpoints_added,
            difference.endpoints_changed,
            difference.endpoints_removed
        ),
        (1, 1, 0)
    );
    let changed = &difference.changes[0];
    assert_eq!(changed.kind, ChangeKind::Changed);
    assert_eq!(changed.subject, "endpoint GET /a");
    assert_eq!(changed.details, ["timeout 2s → 3s"]);
}

#[test]
fn a_backend_is_known_by_method_path_and_host_and_where_the_host_moved_by_the_rest() {
    let with = |backends: Value| document(json!([{"endpoint": "/a", "backend": backends}]));
    let old = with(json!([
        backend("/x", "http://a"),
        backend("/y", "http://a")
    ]));
    let new = with(json!([
        {"url_pattern": "/x", "host": ["http://b"], "extra_config": {"qos/http-cache": {"shared": true}}},
        backend("/z", "http://a")
    ]));
    assert_eq!(
        lines(&old, &new),
        [
            "endpoint GET /a: backend GET /y of http://a removed",
            "endpoint GET /a: backend GET /x: extra_config {\"qos/http-cache\":{\"shared\":true}} added",
            "endpoint GET /a: backend GET /x: host [http://a] → [http://b]",
            "endpoint GET /a: backend GET /z of http://a added",
        ]
    );
}

#[test]
fn the_order_of_backends_counts_and_that_of_endpoints_and_keys_does_not() {
    let (x, y) = (backend("/x", "http://a"), backend("/y", "http://a"));
    let a = |backends: Value| json!({"endpoint": "/a", "backend": backends});
    let other = json!({"endpoint": "/b", "method": "POST"});
    let old = document(json!([a(json!([x, y])), other]));
    let moved = json!({"endpoints": [other, a(json!([x, y]))], "timeout": "2s", "version": 3.0});
    assert_eq!(lines(&old, &moved), Vec::<String>::new());
    let turned = document(json!([a(json!([y, x])), other]));
    assert_eq!(
        lines(&old, &turned),
        ["endpoint GET /a: backends in another order: [/y, /x]"]
    );
}

#[test]
fn what_is_outside_of_endpoints_is_named_by_its_pointer() {
    let old = json!({"version": 3, "timeout": "2s", "extra_config": {"telemetry/logging": {"level": "INFO", "old": 1}}});
    let new = json!({"version": 3, "timeout": "3s", "extra_config": {"telemetry/logging": {"level": "DEBUG"}}, "name": "n"});
    assert_eq!(
        lines(&old, &new),
        [
            "/extra_config/telemetry~1logging/level: INFO → DEBUG",
            "/extra_config/telemetry~1logging/old: 1 removed",
            "/name: n added",
            "/timeout: 2s → 3s",
        ]
    );
}

#[test]
fn two_endpoints_of_one_path_differ_by_method_and_doubles_are_kept_apart() {
    let old = document(
        json!([{"endpoint": "/a"}, {"endpoint": "/a", "method": "POST"}, {"endpoint": "/a", "timeout": "1s"}]),
    );
    let new =
        document(json!([{"endpoint": "/a", "method": "get"}, {"endpoint": "/a", "timeout": "4s"}]));
    let difference = structural(&old, &new);
    assert_eq!(
        (difference.endpoints_changed, difference.endpoints_removed),
        (1, 1)
    );
}

#[test]
fn the_text_shows_the_whole_document_and_is_empty_where_nothing_differs() {
    let old = json!({"version": 3, "name": "a", "endpoints": []});
    let new = json!({"name": "b", "endpoints": [], "version": 3});
    let text = unified(&old, &new, ("v1", "v2"), None);
    assert!(text.contains("-  \"name\": \"a\""), "{text}");
    assert!(text.contains("+  \"name\": \"b\""), "{text}");
    assert!(text.contains("   \"version\": 3"), "{text}");
    assert_eq!(unified(&old, &old, ("v1", "v1"), None), "");
}

#[test]
fn a_hidden_secret_can_be_seen_to_differ_and_not_what_it_is() {
    let mut old = json!({"a": {"client_secret": "one"}, "b": {"password": "one"}});
    let mut new = json!({"a": {"client_secret": "two"}, "b": {"password": "one"}});
    let mut hider = Hider::default();
    hider.hide(&mut old);
    hider.hide(&mut new);
    let lines = lines(&old, &new);
    assert_eq!(
        lines,
        ["/a/client_secret: (hidden, value 1) → (hidden, value 2)"]
    );
    assert_eq!(old["b"], new["b"]);
}

/// Applying every kind of change at random, in many seeded documents: a difference is found exactly when there is one.
#[test]
fn a_difference_is_told_exactly_when_the_documents_differ() {
    use rand::{Rng, SeedableRng, rngs::StdRng};
    let random = |rng: &mut StdRng| {
        let endpoints: Vec<Value> = (0..rng.random_range(0..4))
            .map(|n| {
                let backends: Vec<Value> = (0..rng.random_range(1..3))
                    .map(|b| backend(&format!("/{b}"), &format!("http://{}", rng.random_range(0..2))))
                    .collect();
                json!({"endpoint": format!("/{n}"), "timeout": format!("{}s", rng.random_range(1..3)), "backend": backends})
            })
            .collect();
        json!({"version": 3, "port": rng.random_range(0..2), "endpoints": endpoints})
    };
    for seed in 0..2_000 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (old, new) = (random(&mut rng), random(&mut rng));
        let told = !structural(&old, &new).changes.is_empty();
        assert_eq!(told, old != new, "seed {seed}: {old} {new}");
        assert_eq!(told, !unified(&old, &new, ("a", "b"), None).is_empty());
    }
}
