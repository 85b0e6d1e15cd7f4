//! One row of the table.

use crate::data::store::Store;
use crate::pure::event::Mark;
use crate::pure::nodes::{error_ratio, trouble};
use crate::pure::rollout::{self, Step};
use crate::pure::{chart, clock, format};
use crate::ui::mark::{self, MarkIcon};
use krakend_api::{GatewayKind, Node, NodeState};
use leptos::prelude::*;

/// An outlier is above this multiple of its peers' median.
const OUTLIER: f64 = 1.3;
const BAR_PX: f64 = 48.0;

/// Median p99 of those that report, when there are enough to speak of peers.
pub fn median(nodes: &[Node]) -> Option<f64> {
    let mut values: Vec<f64> = nodes.iter().filter_map(|n| n.latency_p99_ms).collect();
    values.sort_by(f64::total_cmp);
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

/// The row; `most` is the largest p99, for the bars.
pub fn view(store: Store, node: &Node, median: Option<f64>, most: f64) -> impl IntoView + use<> {
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
        NodeState::Removed => removed(store, node).into_any(),
        _ => figures(store, node, median, most).into_any(),
    };
    view! { <tr class=class data-testid="node-row" data-name=node.name.clone() data-state=mark::of_node(node.state).1>{first} {rest}</tr> }
}

fn removed(store: Store, node: &Node) -> impl IntoView + use<> {
    let at = clock::parse(&node.state_since);
    let when = at.map(|at| store.zone().moment(at, store.now_ms()));
    let text = format!(
        "removed {}; its statistics stay until their windows run out",
        when.unwrap_or_default()
    );
    view! { <td class="c-rest" colspan="10" title=at.map(clock::utc)>{text}</td> }
}

fn figures(store: Store, node: &Node, median: Option<f64>, most: f64) -> impl IntoView + use<> {
    let silent = node.state != NodeState::Active;
    let (mark, words) = configuration(node);
    let spark = chart::sparkline(&node.recent_requests_per_s, 60.0, 16.0);
    let p99 = node.latency_p99_ms.filter(|_| !silent);
    let outlier = p99.zip(median).is_some_and(|(p99, m)| p99 > OUTLIER * m);
    let bar = p99.map(|ms| (ms / most.max(1.0) * BAR_PX).max(1.0));
    let lease = node.lease_expires_at.as_deref().and_then(clock::parse);
    let left = move || lease.map(|at| format::duration(at - store.clock_ms.get_untracked()));
    let known = |value: Option<f64>| value.filter(|_| !silent);
    let errors = error_ratio(node).filter(|_| !silent);
    view! {
        <td class="c-configuration"><MarkIcon mark /> <span class="words" title=node.refusal.clone()>{words}</span></td>
        <td class="c-generation number">{node.applied_generation.map_or_else(none, |g| format::integer(g).into_any())}</td>
        <td class="c-spark"><svg class="spark-cell" width="60" height="16" viewBox="0 0 60 16" aria-hidden="true"><path class="line s-all" d=spark /></svg></td>
        <td class="c-requests number">{known(node.requests_per_s).map_or_else(none, |r| with_unit(format!("{r:.1}"), ""))} <span class="unit phone">" req/s"</span></td>
        <td class="c-errors number">{errors.map_or_else(none, |e| with_unit(format::percent(e), "%"))}</td>
        <td class="c-p99 number" class:outlier=outlier>
            <span class="p99">
                {bar.map(|width| view! { <svg class="bar" class:slow=outlier width=BAR_PX height="6" aria-hidden="true"><rect x=BAR_PX - width width=width height="6" rx="1" /></svg> })}
                <span>{latency(p99)}</span>
            </span>
        </td>
        <td class="c-cpu number">{known(node.cpu_percent).map_or_else(none, |c| with_unit(format!("{c:.0}"), "%"))}</td>
        <td class="c-memory number">{node.memory_bytes.filter(|_| !silent).map_or_else(none, bytes)}</td>
        <td class="c-runtime">{runtime(node)}</td>
        <td class="c-lease number">{left}</td>
    }
}
