//! The parts that need no socket.

use serde_json::json;

use super::manipulate::{Data, Manipulation};
use super::route::{Lookup, RouteTable, decode};
use crate::config::{ServiceConfig, Strictness, parse};

fn config(endpoints: &str) -> ServiceConfig {
    let text = format!("{{\"version\": 3, \"host\": [\"h:80\"], \"endpoints\": [{endpoints}]}}");
    parse(text.as_bytes(), Strictness::Strict)
        .unwrap_or_else(|report| panic!("{report}"))
        .0
}

fn manipulated(backend: &str, answer: serde_json::Value) -> serde_json::Value {
    let endpoint =
        format!("{{\"endpoint\": \"/a\", \"backend\": [{{\"url_pattern\": \"/\", {backend}}}]}}");
    let manipulation = Manipulation::new(&config(&endpoint).endpoints[0].backends[0]);
    let serde_json::Value::Object(data) = answer else {
        panic!("an object")
    };
    serde_json::Value::Object(manipulation.apply(Some(data)).unwrap())
}

#[test]
fn the_order_is_target_then_filter_then_mapping_then_group() {
    let backend = r#""target": "data.user", "allow": ["name", "home.city"], "mapping": {"name": "title"}, "group": "g""#;
    let answer = json!({"data": {"user": {"name": "n", "age": 3, "home": {"city": "c", "zip": 1}}}, "name": "outer"});
    assert_eq!(
        manipulated(backend, answer),
        json!({"g": {"title": "n", "home": {"city": "c"}}})
    );
}

#[test]
fn denied_fields_go_and_the_rest_stays() {
    let answer = json!({"a": 1, "b": {"c": 2, "d": 3}, "e": [1]});
    assert_eq!(
        manipulated(r#""deny": ["a", "b.c", "e.x"]"#, answer),
        json!({"b": {"d": 3}, "e": [1]})
    );
}

#[test]
fn a_missing_target_leaves_nothing_but_the_group() {
    assert_eq!(
        manipulated(r#""target": "x.y""#, json!({"x": [1]})),
        json!({})
    );
    assert_eq!(
        manipulated(r#""target": "x", "group": "g""#, json!({"y": 1})),
        json!({"g": {}})
    );
}

#[test]
fn an_allowed_branch_without_allowed_leaves_disappears() {
    assert_eq!(
        manipulated(r#""allow": ["a.b"]"#, json!({"a": {"c": 1}, "d": 1})),
        json!({})
    );
}

fn table() -> RouteTable {
    let backend = r#""backend": [{"url_pattern": "/"}]"#;
    let one = |method: &str, path: &str| {
        format!(r#"{{"endpoint": "{path}", "method": "{method}", {backend}}}"#)
    };
    RouteTable::new(&config(
        &[
            one("GET", "/users/{id}"),
            one("GET", "/users/me"),
            one("POST", "/users/me"),
            one("GET", "/u/{a}/x/{b}"),
        ]
        .join(","),
    ))
}

#[test]
fn static_segments_win_over_parameters() {
    let table = table();
    assert_eq!(table.endpoint_of("GET", "/users/me"), Some("/users/me"));
    assert_eq!(table.endpoint_of("GET", "/users/7"), Some("/users/{id}"));
    assert_eq!(
        table.endpoint_of("GET", "/users/a%20b"),
        Some("/users/{id}")
    );
    assert_eq!(table.endpoint_of("GET", "/users"), None);
    assert_eq!(table.endpoint_of("PUT", "/users/me"), None);
}

#[test]
fn parameters_come_decoded_and_by_their_own_names() {
    let wanted = vec![
        ("a".to_owned(), "1".to_owned()),
        ("b".to_owned(), "z".to_owned()),
    ];
    assert_eq!(table().lookup("GET", "/u/1/x/z"), Lookup::Found(3, wanted));
}

#[test]
fn the_router_knows_slashes_and_other_methods() {
    let table = table();
    assert_eq!(
        table.lookup("GET", "/users/7/"),
        Lookup::TrailingSlash("/users/7".to_owned())
    );
    assert_eq!(
        table.lookup("PUT", "/users/me"),
        Lookup::OtherMethods(vec!["GET".to_owned(), "POST".to_owned()])
    );
    assert_eq!(table.lookup("GET", "/nothing"), Lookup::Nothing);
}

#[test]
fn broken_encodings_are_told_from_good_ones() {
    assert_eq!(decode("/a%20b%2F").as_deref(), Some("/a b/"));
    for broken in ["/%", "/%2", "/%zz", "/%ff"] {
        assert_eq!(decode(broken), None, "{broken}");
    }
}

#[test]
fn go_escapes_and_sorted_keys_are_written() {
    use http_body_util::BodyExt as _;
    let data: Data = serde_json::from_str(r#"{"b": "<a&b>", "a": {"z": 1, "y": 0.1}}"#).unwrap();
    let response = super::render::data(&crate::config::OutputEncoding::Json, Some(data));
    let body = futures::executor::block_on(response.into_body().collect())
        .unwrap()
        .to_bytes();
    assert_eq!(body, r#"{"a":{"y":0.1,"z":1},"b":"\u003ca\u0026b\u003e"}"#);
}
