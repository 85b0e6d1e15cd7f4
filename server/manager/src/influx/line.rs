//! InfluxDB's line protocol: closed minutes as points.

use std::fmt::Write;

use krakend_domain::{Cells, ClusterState, Kind, Merged, Millis, NodeId, Tier};

/// The points of one minute: of fleets, their endpoints and backends, and nodes. Times are milliseconds.
pub fn minute(state: &ClusterState, start_ms: Millis) -> String {
    let mut out = String::new();
    for (key, window) in state.windows_at(Tier::FleetMinute, start_ms) {
        let fleet = [("fleet", key.fleet.to_string())];
        for cells in window.series() {
            let mut merged = Merged::default();
            merged.add(&cells);
            let (first, second) = (cells.first.to_owned(), cells.second.to_owned());
            let [fleet] = fleet.clone();
            match cells.kind {
                Kind::Total => point(
                    &mut out,
                    "krakend_fleet",
                    &[fleet],
                    &requests(&merged),
                    start_ms,
                ),
                Kind::Endpoint => {
                    let tags = [fleet, ("endpoint", first), ("method", second)];
                    point(
                        &mut out,
                        "krakend_endpoint",
                        &tags,
                        &requests(&merged),
                        start_ms,
                    );
                }
                Kind::Backend => {
                    let tags = [fleet, ("host", first), ("url_pattern", second)];
                    point(
                        &mut out,
                        "krakend_backend",
                        &tags,
                        &calls(&merged),
                        start_ms,
                    );
                }
            }
        }
    }
    for (key, window) in state.windows_at(Tier::NodeMinute, start_ms) {
        let mut merged = Merged::default();
        if let Some(cells) = window.find(Kind::Total, "", "") {
            merged.add(&cells);
        }
        let header = window.header();
        let mut fields = requests(&merged);
        fields.extend([
            ("cpu_ms", integer(header.cpu_ms)),
            ("memory_bytes", integer(header.memory_bytes)),
            ("connections", integer(header.connections)),
            ("restarts", integer(header.restarts)),
            ("covered_ms", integer(header.covered_ms)),
        ]);
        let tags = [
            ("fleet", key.fleet.to_string()),
            ("node", name(state, key.node_id)),
            ("id", key.node_id.krakend().to_string()),
        ];
        point(&mut out, "krakend_node", &tags, &fields, start_ms);
    }
    out
}

fn name(state: &ClusterState, id: NodeId) -> String {
    let node = state.node(id);
    node.map_or_else(|| id.krakend().to_string(), |node| node.name.clone())
}

type Fields = Vec<(&'static str, String)>;

fn integer(value: u64) -> String {
    // Signed 64 bits are what the protocol's integers are.
    format!("{}i", value.min(i64::MAX as u64))
}

fn percentiles(merged: &Merged, fields: &mut Fields) {
    for (name, q) in [
        ("p50_ms", 0.5),
        ("p90_ms", 0.9),
        ("p99_ms", 0.99),
        ("p999_ms", 0.999),
    ] {
        if let Some(value) = merged.quantile(q) {
            fields.push((name, format!("{value}")));
        }
    }
}

fn requests(merged: &Merged) -> Fields {
    let mut fields = vec![("requests", integer(merged.requests()))];
    for (name, class) in [
        ("status_2xx", 2),
        ("status_3xx", 3),
        ("status_4xx", 4),
        ("status_5xx", 5),
    ] {
        fields.push((name, integer(merged.class(class))));
    }
    fields.push(("bytes_sent", integer(merged.bytes_sent())));
    percentiles(merged, &mut fields);
    fields
}

fn calls(merged: &Merged) -> Fields {
    let mut fields = vec![
        ("calls", integer(merged.counter(Cells::CALLS))),
        ("errors", integer(merged.counter(Cells::ERRORS))),
        ("timeouts", integer(merged.counter(Cells::TIMEOUTS))),
    ];
    percentiles(merged, &mut fields);
    fields
}

fn point(
    out: &mut String,
    measurement: &str,
    tags: &[(&str, String)],
    fields: &[(&'static str, String)],
    at_ms: Millis,
) {
    out.push_str(measurement);
    // A tag must not be empty.
    for (name, value) in tags.iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(out, ",{name}={}", escaped(value));
    }
    for (at, (name, value)) in fields.iter().enumerate() {
        let _ = write!(out, "{}{name}={value}", if at == 0 { ' ' } else { ',' });
    }
    let _ = writeln!(out, " {at_ms}");
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ',' | '=' | ' ' => out.extend(['\\', c]),
            // There is no way to write these in a tag; a backslash at the end would escape what follows.
            '\n' | '\r' | '\t' => out.push('_'),
            '\\' => out.push('/'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_escaped_and_fields_typed() {
        let mut out = String::new();
        let tags = [
            ("fleet", "default".into()),
            ("endpoint", "/a b,c=d\\".into()),
            ("method", String::new()),
        ];
        let fields = [("requests", integer(3)), ("p50_ms", "1.5".into())];
        point(
            &mut out,
            "krakend_endpoint",
            &tags,
            &fields,
            1_700_000_000_000,
        );
        assert_eq!(
            out,
            "krakend_endpoint,fleet=default,endpoint=/a\\ b\\,c\\=d/ requests=3i,p50_ms=1.5 1700000000000\n"
        );
    }
}
