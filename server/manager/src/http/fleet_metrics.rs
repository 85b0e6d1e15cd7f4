//! What the fleets have served, as counters and histograms that never go back: every manager shows the same, so a
//! query takes the `max` over them.

use std::fmt::Write;

use krakend_domain::{Cells, ClusterState, Fleet, Kind, Merged, Packed, SeriesKey, Tier};

/// Upper bounds in seconds; the usual ones of Prometheus' clients.
const BOUNDS_S: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Endpoints and backends of all fleets together.
const MAX_ROWS: usize = 10_000;

struct Totals {
    fleet: String,
    restarts: u64,
    cpu_ms: u64,
    total: Merged,
    endpoints: Vec<Labelled>,
    backends: Vec<Labelled>,
}

struct Labelled {
    labels: String,
    merged: Merged,
}

/// Adds the families to a page that ends with `# EOF`.
pub fn append(page: &mut String, state: &ClusterState) {
    let end = "# EOF\n";
    if page.ends_with(end) {
        page.truncate(page.len() - end.len());
    }
    let mut left = MAX_ROWS;
    let fleets: Vec<Totals> = state
        .fleets()
        .filter_map(|fleet| totals(state, fleet, &mut left))
        .collect();
    fleet_families(page, &fleets);
    endpoint_families(page, &fleets);
    backend_families(page, &fleets);
    statistics_families(page, state);
    page.push_str(end);
}

/// What is folded into the fleet's total, and the minutes that are not yet.
fn totals(state: &ClusterState, fleet: &Fleet, left: &mut usize) -> Option<Totals> {
    let key = SeriesKey::of_fleet(Tier::FleetTotal, 0, &fleet.name);
    let folded = state.series_meta().folded_until_ms;
    let minutes = state.windows_from(Tier::FleetMinute, folded);
    let minutes = minutes.filter(|(key, _)| key.fleet == fleet.name);
    let mut all = state.series(&key).cloned();
    for (_, minute) in minutes {
        all = Some(match all {
            Some(before) => before.merge(minute),
            None => minute.clone(),
        });
    }
    let all: Packed = all?;
    let header = all.header();
    let mut out = Totals {
        fleet: fleet.name.to_string(),
        restarts: header.restarts,
        cpu_ms: header.cpu_ms,
        total: Merged::default(),
        endpoints: Vec::new(),
        backends: Vec::new(),
    };
    for cells in all.series() {
        let mut merged = Merged::default();
        merged.add(&cells);
        if cells.kind == Kind::Total {
            out.total = merged;
            continue;
        }
        if *left == 0 {
            continue;
        }
        *left -= 1;
        let (first, second) = (escaped(cells.first), escaped(cells.second));
        let fleet = &out.fleet;
        match cells.kind {
            Kind::Endpoint => out.endpoints.push(Labelled {
                labels: format!("fleet=\"{fleet}\",endpoint=\"{first}\",method=\"{second}\""),
                merged,
            }),
            _ => out.backends.push(Labelled {
                labels: format!("fleet=\"{fleet}\",host=\"{first}\",url_pattern=\"{second}\""),
                merged,
            }),
        }
    }
    Some(out)
}

/// As OpenMetrics wants label values.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

fn family(page: &mut String, name: &str, kind: &str, help: &str) {
    // Writing into a string cannot fail.
    let _ = writeln!(page, "# HELP krakend_cluster_{name} {help}.");
    let _ = writeln!(page, "# TYPE krakend_cluster_{name} {kind}");
}

fn line(page: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    let labels = match labels.is_empty() {
        true => String::new(),
        false => format!("{{{labels}}}"),
    };
    let _ = writeln!(page, "krakend_cluster_{name}{labels} {value}");
}

fn classes(page: &mut String, name: &str, labels: &str, merged: &Merged) {
    for class in 1..=5 {
        let count = merged.class(class);
        // What never happened is shown for fleets, whose graphs then begin at zero.
        if count > 0 || !labels.contains("endpoint=") {
            line(page, name, &format!("{labels},code=\"{class}xx\""), count);
        }
    }
}

fn fleet_families(page: &mut String, fleets: &[Totals]) {
    let label = |it: &Totals| format!("fleet=\"{}\"", it.fleet);
    family(
        page,
        "fleet_requests",
        "counter",
        "Requests that the fleet's gateways have answered, by class of status",
    );
    for it in fleets {
        classes(page, "fleet_requests_total", &label(it), &it.total);
    }
    let name = "fleet_response_bytes";
    family(page, name, "counter", "Bytes of the bodies of answers");
    for it in fleets {
        line(
            page,
            &format!("{name}_total"),
            &label(it),
            it.total.bytes_sent(),
        );
    }
    family(
        page,
        "fleet_request_duration_seconds",
        "histogram",
        "From a request's head to the end of its answer, within 1 %",
    );
    let bounds_ms = BOUNDS_S.map(|bound| bound * 1_000.0);
    let name = "fleet_request_duration_seconds";
    for it in fleets {
        let counts = it.total.cumulative(&bounds_ms);
        let bucket = format!("{name}_bucket");
        for (bound, count) in BOUNDS_S.iter().zip(counts) {
            let labels = format!("{},le=\"{bound:?}\"", label(it));
            line(page, &bucket, &labels, count);
        }
        let labels = format!("{},le=\"+Inf\"", label(it));
        line(page, &bucket, &labels, it.total.measured());
        sum_and_count(page, name, &label(it), &it.total);
    }
    family(
        page,
        "fleet_gateway_restarts",
        "counter",
        "Gateways that died and were started again",
    );
    for it in fleets {
        line(
            page,
            "fleet_gateway_restarts_total",
            &label(it),
            it.restarts,
        );
    }
    family(
        page,
        "fleet_cpu_seconds",
        "counter",
        "Processor time of nodes and gateways",
    );
    for it in fleets {
        let seconds = it.cpu_ms as f64 / 1000.0;
        line(page, "fleet_cpu_seconds_total", &label(it), seconds);
    }
}

fn sum_and_count(page: &mut String, name: &str, labels: &str, merged: &Merged) {
    let seconds = merged.sum_us as f64 / 1_000_000.0;
    line(page, &format!("{name}_sum"), labels, seconds);
    line(page, &format!("{name}_count"), labels, merged.measured());
}

fn endpoint_families(page: &mut String, fleets: &[Totals]) {
    let all = || fleets.iter().flat_map(|it| &it.endpoints);
    family(
        page,
        "endpoint_requests",
        "counter",
        "Requests by endpoint, method and class of status",
    );
    for it in all() {
        classes(page, "endpoint_requests_total", &it.labels, &it.merged);
    }
    let name = "endpoint_response_bytes";
    family(
        page,
        name,
        "counter",
        "Bytes of the bodies of answers by endpoint and method",
    );
    for it in all() {
        line(
            page,
            &format!("{name}_total"),
            &it.labels,
            it.merged.bytes_sent(),
        );
    }
    let name = "endpoint_request_duration_seconds";
    family(page, name, "summary", "Latency by endpoint and method");
    for it in all() {
        sum_and_count(page, name, &it.labels, &it.merged);
    }
}

fn backend_families(page: &mut String, fleets: &[Totals]) {
    let all = || fleets.iter().flat_map(|it| &it.backends);
    for (name, id, help) in [
        ("backend_calls", Cells::CALLS, "Calls of backends"),
        (
            "backend_errors",
            Cells::ERRORS,
            "Calls of backends without a usable answer, time-outs included",
        ),
        (
            "backend_timeouts",
            Cells::TIMEOUTS,
            "Calls of backends that ran out of time",
        ),
    ] {
        family(page, name, "counter", help);
        for it in all() {
            let count = it.merged.counter(id);
            line(page, &format!("{name}_total"), &it.labels, count);
        }
    }
    let name = "backend_call_duration_seconds";
    family(page, name, "summary", "Latency of backends");
    for it in all() {
        sum_and_count(page, name, &it.labels, &it.merged);
    }
}

fn statistics_families(page: &mut String, state: &ClusterState) {
    let meta = state.series_meta();
    for (name, help, value) in [
        (
            "statistics_bytes",
            "Room that the windows of statistics take",
            state.series_bytes(),
        ),
        (
            "statistics_max_bytes",
            "Room that they may take",
            meta.max_bytes,
        ),
        (
            "statistics_windows",
            "Windows of statistics",
            state.series_count() as u64,
        ),
    ] {
        family(page, name, "gauge", help);
        line(page, name, "", value);
    }
    family(
        page,
        "statistics_windows_evicted",
        "counter",
        "Windows that went before their time for lack of room",
    );
    line(page, "statistics_windows_evicted_total", "", meta.evicted);
}
