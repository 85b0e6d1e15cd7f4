//! The node's own figures in Prometheus' text form.

use std::fmt::Write;

use krakend_gossip::{MemberState, Role};
use serde_json::Value;

use crate::status::StatusBoard;

#[derive(Default)]
struct Page(String);

impl Page {
    /// One family: its name without prefix, its type, what it is, and its series as label sets with a value.
    fn family<L: AsRef<str>>(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        series: impl IntoIterator<Item = (L, u64)>,
    ) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP krakend_node_{name} {help}");
        let _ = writeln!(self.0, "# TYPE krakend_node_{name} {kind}");
        for (labels, value) in series {
            let _ = writeln!(self.0, "krakend_node_{name}{} {value}", labels.as_ref());
        }
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "gauge", help, [("", value)]);
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.family(name, "counter", help, [("", value)]);
    }
}

const STATES: [&str; 5] = ["standalone", "enrolling", "joining", "joined", "refused"];
const MODES: [&str; 3] = ["standalone", "cluster", "free"];

/// `/metrics`.
pub fn page(board: &StatusBoard) -> String {
    let status = board.json();
    let number = |value: &Value| value.as_u64().unwrap_or(0);
    let mut page = Page::default();
    let build = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    page.family("build_info", "gauge", "This program.", [(build, 1)]);
    page.gauge(
        "ready",
        "1 while the gateway serves.",
        u64::from(status["ready"] == true),
    );
    page.gauge(
        "draining",
        "1 while an operator wants no new traffic on this node.",
        u64::from(status["draining"] == true),
    );
    let one_of = |label: &'static str, all: &'static [&'static str], is: &Value| {
        let is = is.as_str().unwrap_or_default().to_owned();
        all.iter()
            .map(move |it| (format!("{{{label}=\"{it}\"}}"), u64::from(*it == is)))
    };
    let states = one_of("state", &STATES, &status["state"]);
    page.family(
        "session_state",
        "gauge",
        "1 for how it stands with the managers.",
        states,
    );
    let modes = one_of("mode", &MODES, &status["mode"]);
    page.family(
        "mode",
        "gauge",
        "1 for the limits that hold: of the cluster, or of the free version.",
        modes,
    );
    let lease = number(&status["lease"]["remaining_ms"]) / 1000;
    page.gauge(
        "lease_remaining_seconds",
        "Until the lease ends; 0 without one.",
        lease,
    );
    let length = number(&status["lease"]["duration_ms"]) / 1000;
    page.gauge(
        "lease_duration_seconds",
        "What the lease was given for.",
        length,
    );
    let desired = board.applier.desired();
    page.gauge("desired_epoch", "Epoch of the newest order.", desired.epoch);
    page.gauge(
        "desired_generation",
        "Generation of the newest order.",
        desired.generation,
    );
    page.gauge(
        "applied_epoch",
        "Epoch of what serves.",
        number(&status["applied"]["epoch"]),
    );
    page.gauge(
        "applied_generation",
        "Generation of what serves; behind the desired one while a version is fetched, or was refused.",
        number(&status["applied"]["generation"]),
    );
    page.gauge(
        "applied_version",
        "Number of the version that serves.",
        number(&status["applied"]["number"]),
    );
    let requests = board.totals.requests();
    let requests = requests.map(|(class, count)| (format!("{{code=\"{class}\"}}"), count));
    page.family(
        "gateway_requests_total",
        "counter",
        "Requests that the gateway has answered, as of the newest sample.",
        requests,
    );
    page.counter(
        "gateway_response_bytes_total",
        "Bytes of the bodies of the gateway's answers, as of the newest sample.",
        board.totals.bytes_sent(),
    );
    page.counter(
        "gateway_connections_total",
        "Client connections, as of the newest sample.",
        board.totals.connections(),
    );
    page.gauge(
        "gateway_open_connections",
        "Client connections that were open at the newest sample.",
        board.totals.open_connections(),
    );
    page.counter(
        "gateway_backend_errors_total",
        "Calls of backends without a usable answer, as of the newest sample.",
        board.totals.backend_errors(),
    );
    let used = board.runtime.process_sample();
    page.counter(
        "gateway_restarts_total",
        "How often a gateway that died was started again.",
        used.map_or(0, |used| u64::from(used.restarts)),
    );
    let own = crate::runtime::process::read_use(std::process::id());
    page.gauge(
        "memory_bytes",
        "Resident memory of this program.",
        own.map_or(0, |own| own.memory_bytes),
    );
    page.counter(
        "cpu_milliseconds_total",
        "Processor time of this program.",
        own.map_or(0, |own| own.cpu_ms),
    );
    members(&mut page, board);
    page.gauge(
        "spool_samples",
        "Samples that wait for a manager.",
        number(&status["samples_waiting"]),
    );
    page.gauge(
        "spool_bytes",
        "Bytes of the samples that wait.",
        board.spool.bytes(),
    );
    page.counter(
        "spool_dropped_total",
        "Samples that were lost: damaged, or pushed out by newer ones.",
        board.spool.dropped(),
    );
    page.0
}

fn members(page: &mut Page, board: &StatusBoard) {
    let pool = board.pool();
    let mut series = Vec::new();
    for (role, role_name) in [(Role::Manager, "manager"), (Role::Node, "node")] {
        for (state, name) in [
            (MemberState::Alive, "alive"),
            (MemberState::Suspect, "suspect"),
            (MemberState::Down, "down"),
            (MemberState::Left, "left"),
        ] {
            let count = pool
                .iter()
                .filter(|it| it.role == role && it.state == state)
                .count();
            let labels = format!("{{role=\"{role_name}\",state=\"{name}\"}}");
            series.push((labels, count as u64));
        }
    }
    page.family(
        "gossip_members",
        "gauge",
        "Members that gossip knows, but for this one.",
        series,
    );
    let counters = board.gossip().map(|gossip| gossip.counters());
    let counters = counters.unwrap_or_default();
    let dropped = [
        ("bad_mac", counters.bad_mac),
        ("replayed", counters.replayed),
        ("malformed", counters.malformed + counters.oversized),
    ];
    page.family(
        "gossip_packets_dropped_total",
        "counter",
        "Gossip packets that changed nothing: not made with a key of the ring, seen before, not of the format. From 0 whenever \
         the node joins gossip.",
        dropped.map(|(reason, count)| (format!("{{reason=\"{reason}\"}}"), count)),
    );
    page.counter(
        "gossip_packets_received_total",
        "Gossip packets that arrived, dropped ones included. From 0 whenever the node joins gossip.",
        counters.packets_in,
    );
}
