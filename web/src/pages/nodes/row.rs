//! One row of the table.

use crate::data::store::Store;
use crate::pure::columns::Column;
use crate::pure::event::Mark;
use crate::pure::nodes::{error_ratio, trouble};
use crate::pure::rollout::{self, Step};
use crate::pure::{chart, clock, format};
use crate::ui::mark::{self, MarkIcon};
use crate::view::prelude::*;
use krakend_api::{GatewayKind, Node, NodeState};

/// An outlier is above this multiple of its peers' median.
const OUTLIER: f64 = 1.3;
const BAR_PX: f64 = 48.0;

/// Median p99 of those that report, when there are enough to speak of peers.
pub fn median(nodes: &[Node]) -> Option<f64> {
    let mut values: Vec<f64> = nodes.iter().filter_map(|n| n.latency_p99_ms).collect();
    crate::pure::order::sort_by(&mut values, f64::total_cmp);
    (values.len() >= 3).then(|| values[values.len() / 2])
}

/// A number with its unit in a lighter ink.
pub fn with_unit(value: String, unit: &'static str) -> AnyView {
    if unit.is_empty() {
        return value.into_any();
    }
    view! { {value} " " <span class="unit">{unit}</span> }.into_any()
}

/// What stands where a value is missing.
pub fn none() -> AnyView {
    view! { <span class="none">{format::NO_DATA}</span> }.into_any()
}

/// A latency, or that there is none.
pub fn latency(ms: Option<f64>) -> AnyView {
    ms.map_or_else(none, |ms| {
        let (value, unit) = format::latency(ms);
        with_unit(value, unit)
    })
}

/// A size in its unit.
pub fn bytes(value: u64) -> AnyView {
    let text = format::bytes(value);
    match text.split_once(' ') {
        Some((number, "MiB")) => with_unit(number.to_owned(), "MiB"),
        Some((number, "GiB")) => with_unit(number.to_owned(), "GiB"),
        _ => text.into_any(),
    }
}

/// Mark and words of what a node does about its version.
pub fn configuration(node: &Node) -> (Mark, String) {
    if node.drift.is_some() {
        return (
            Mark::Drift,
            format!("{}, drifted", rollout::version_text(node)),
        );
    }
    let applied = node.applied_version.map(|v| format!("v{v}"));
    match (rollout::step(node), applied, node.desired_version) {
        (Step::None, _, _) => (Mark::Pending, "no version".to_owned()),
        (Step::Applied, Some(v), _) => (Mark::Applied, v),
        (Step::Applying, Some(v), Some(to)) => (Mark::Applying, format!("{v} to v{to}")),
        (Step::Refused, _, Some(to)) => (Mark::Refused, format!("refused v{to}")),
        (Step::Pending, Some(v), _) => (Mark::Held, format!("{v}, held")),
        (step, _, _) => (mark::of_step(step), rollout::version_text(node)),
    }
}

/// State, or what is more urgent about the node.
pub fn state(node: &Node) -> (Mark, &'static str) {
    let (icon, word) = mark::of_node(node.state);
    match node.state {
        NodeState::Active if node.duplicate_since.is_some() => (Mark::Unreachable, "twice"),
        NodeState::Active if node.draining_since.is_some() => (Mark::Held, "draining"),
        NodeState::Active if node.ready == Some(false) => (Mark::Unreachable, "not ready"),
        _ => (icon, word),
    }
}

/// `KrakenD 2.13.8`.
pub fn runtime(node: &Node) -> String {
    let name = match node.gateway {
        GatewayKind::Krakend => "KrakenD",
        GatewayKind::Embedded => "embedded",
    };
    // The embedded gateway names its program, too.
    let version = node.gateway_version.rsplit('/').next().unwrap_or_default();
    format!("{name} {version}")
}

/// What a row is drawn with.
pub struct Peers<'a> {
    pub columns: &'a [Column],
    /// Of those that report, when there are enough to speak of peers.
    pub median: Option<f64>,
    /// The largest p99, for the bars.
    pub most: f64,
}

/// The row.
pub fn view(store: Store, node: &Node, peers: &Peers<'_>) -> AnyView {
    let (mark, word) = state(node);
    let class = match (node.state, trouble(node)) {
        (NodeState::Removed, _) => "gone",
        (NodeState::Down, _) => "trouble",
        (_, 2..) => "attention",
        _ => "",
    };
    let id = format!("krakend_{}", node.id);
    let first = view! {
        <td class="c-state"><MarkIcon mark /> <span class="word">{word}</span></td>
        <td class="c-node"><code title=id>"krakend_" <b>{format::short_id(&node.id).to_owned()}</b></code></td>
        <td class="c-host"><a class="row-link" href=format!("/nodes/{}", node.id)>{node.name.clone()}</a></td>
    };
    let rest = match node.state {
        NodeState::Removed => removed(store, node, peers.columns.len()).into_any(),
        _ => peers
            .columns
            .iter()
            .skip(Column::FIXED)
            .map(|column| figure(store, node, *column, peers))
            .collect_view()
            .into_any(),
    };
    view! { <tr class=class data-testid="node-row" data-name=node.name.clone() data-state=mark::of_node(node.state).1>{first} {rest}</tr> }.into_any()
}

fn removed(store: Store, node: &Node, columns: usize) -> AnyView {
    let at = clock::parse(&node.state_since);
    let when = at.map(|at| store.zone().moment(at, store.now_ms()));
    let text = format!(
        "removed {}; its statistics stay until their windows run out",
        when.unwrap_or_default()
    );
    // The line beside the rate is a column of its own.
    let span = columns.saturating_sub(Column::FIXED) + 1;
    view! { <td class="c-rest" colspan=span title=at.map(clock::utc)>{text}</td> }.into_any()
}

fn number(class: &'static str, content: AnyView) -> AnyView {
    view! { <td class=class>{content}</td> }.into_any()
}

fn text(class: &'static str, text: String) -> AnyView {
    let title = text.clone();
    view! { <td class=class title=title>{text}</td> }.into_any()
}

fn figure(store: Store, node: &Node, column: Column, peers: &Peers<'_>) -> AnyView {
    let silent = node.state != NodeState::Active;
    let known = |value: Option<f64>| value.filter(|_| !silent);
    match column {
        Column::State | Column::Node | Column::Host => ().into_any(),
        Column::Configuration => {
            let (mark, words) = configuration(node);
            view! { <td class="c-configuration"><MarkIcon mark /> <span class="words" title=node.refusal.clone()>{words}</span></td> }.into_any()
        }
        Column::Generation => number(
            "c-generation number",
            node.applied_generation
                .map_or_else(none, |g| format::integer(g).into_any()),
        ),
        Column::Requests => {
            let spark = chart::sparkline(&node.recent_requests_per_s, 60.0, 16.0);
            let rate =
                known(node.requests_per_s).map_or_else(none, |r| with_unit(format!("{r:.1}"), ""));
            view! {
                <td class="c-spark"><svg class="spark-cell" width="60" height="16" viewBox="0 0 60 16" aria-hidden="true"><path class="line s-all" d=spark /></svg></td>
                <td class="c-requests number">{rate} <span class="unit phone">" req/s"</span></td>
            }.into_any()
        }
        Column::Errors => number(
            "c-errors number",
            known(error_ratio(node)).map_or_else(none, |e| with_unit(format::percent(e), "%")),
        ),
        Column::P99 => {
            let p99 = known(node.latency_p99_ms);
            let outlier = p99
                .zip(peers.median)
                .is_some_and(|(p99, m)| p99 > OUTLIER * m);
            let bar = p99.map(|ms| (ms / peers.most.max(1.0) * BAR_PX).max(1.0));
            view! {
                <td class="c-p99 number" class:outlier=outlier>
                    <span class="p99">
                        {bar.map(|width| view! { <svg class="bar" class:slow=outlier width=BAR_PX height="6" aria-hidden="true"><rect x=BAR_PX - width width=width height="6" rx="1" /></svg> })}
                        <span>{latency(p99)}</span>
                    </span>
                </td>
            }.into_any()
        }
        Column::Cpu => number(
            "c-cpu number",
            known(node.cpu_percent).map_or_else(none, |c| with_unit(format!("{c:.0}"), "%")),
        ),
        Column::Memory => number(
            "c-memory number",
            node.memory_bytes
                .filter(|_| !silent)
                .map_or_else(none, bytes),
        ),
        Column::Connections => number(
            "c-connections number",
            node.connections
                .filter(|_| !silent)
                .map_or_else(none, |c| format::integer(c).into_any()),
        ),
        Column::Runtime => text("c-runtime", runtime(node)),
        Column::Address => text("c-address", node.gateway_address.clone()),
        Column::Program => text("c-program", node.version.clone()),
        Column::Manager => text(
            "c-manager",
            node.session_manager
                .clone()
                .unwrap_or_else(|| "none".to_owned()),
        ),
        Column::Joined => {
            let at = clock::parse(&node.joined_at);
            let when = at.map(|at| store.zone().moment(at, store.now_ms()));
            view! { <td class="c-joined" title=at.map(clock::utc)>{when}</td> }.into_any()
        }
        Column::Lease => {
            let lease = node.lease_expires_at.as_deref().and_then(clock::parse);
            let left = lease.map(|at| format::duration(at - store.clock_ms.get_untracked()));
            view! { <td class="c-lease number">{left}</td> }.into_any()
        }
    }
}
