//! The nodes in a grid, trouble first.

use crate::data::store::Store;
use crate::pure::event::Mark;
use crate::pure::rollout::{self, Step};
use crate::pure::{chart, clock, format};
use crate::ui::cell;
use crate::ui::command::Command;
use crate::ui::mark::{self, MarkIcon};
use crate::view::prelude::*;
use krakend_api::{Node, NodeState};

/// Nodes in the grid. The rest is counted.
const SHOWN: usize = 60;
/// An outlier is above this multiple of its peers' median.
const OUTLIER: f64 = 1.3;

/// All nodes of the fleet.
#[component]
pub fn NodesCell(store: Store) -> impl IntoView {
    view! {
        <section class="cell nodes" aria-labelledby="nodes-title">
            <div class="cell-head">
                <h2 id="nodes-title"><a class="title-link" href="/nodes">"Nodes"</a></h2>
                <span class="context">{move || store.nodes.with(|n| n.value.as_deref().map(summary))}</span>
                <span class="grow"></span>
                <span class="context">{move || if store.is_stale() { "rate and p99, old" } else { "rate and p99, now" }}</span>
            </div>
            {cell::remote(store.nodes, move |nodes: &Vec<Node>| grid(store, nodes))}
            <div class="key-row">
                {[(Mark::Active, "active"), (Mark::Unreachable, "unreachable"), (Mark::Down, "down"), (Mark::Applied, "applied"), (Mark::Applying, "applying"), (Mark::Pending, "pending")]
                    .into_iter()
                    .map(|(mark, word)| view! { <span><MarkIcon mark /> {word}</span> })
                    .collect_view()}
            </div>
        </section>
    }
}

fn summary(nodes: &[Node]) -> String {
    let states = [
        NodeState::Active,
        NodeState::Unreachable,
        NodeState::Down,
        NodeState::Removed,
    ];
    let parts: Vec<String> = states
        .into_iter()
        .map(|state| {
            (
                nodes.iter().filter(|n| n.state == state).count(),
                mark::of_node(state).1,
            )
        })
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() {
        "none yet".to_owned()
    } else {
        parts.join(", ")
    }
}

fn grid(store: Store, nodes: &[Node]) -> AnyView {
    if nodes.is_empty() {
        return view! {
            <div class="empty">
                <p>"A node needs one line, and a join token in its own file. Then it finds everything by itself."</p>
                <Command text="echo 'seed: <manager>:7000' | sudo tee /etc/krakend/service.yml" />
            </div>
        }
        .into_any();
    }
    let median = median(nodes);
    let tiles = nodes
        .iter()
        .take(SHOWN)
        .map(|node| tile(store, node, median))
        .collect_view();
    let more = nodes.len().saturating_sub(SHOWN);
    // Few nodes get wide tiles: the cell is as tall as its neighbours anyway.
    let class = match nodes.len() {
        0..=4 => "grid-nodes few",
        5..=8 => "grid-nodes some",
        _ => "grid-nodes",
    };
    view! {
        <ul class=class>{tiles}</ul>
        {(more > 0).then(|| view! { <p class="calm">{format!("and {more} more")}</p> })}
    }
    .into_any()
}

fn median(nodes: &[Node]) -> Option<f64> {
    let mut values: Vec<f64> = nodes.iter().filter_map(|n| n.latency_p99_ms).collect();
    crate::pure::order::sort_by(&mut values, f64::total_cmp);
    (values.len() >= 3).then(|| values[values.len() / 2])
}

fn tile(store: Store, node: &Node, median: Option<f64>) -> impl IntoView + use<> {
    let (state_mark, state_word) = mark::of_node(node.state);
    let step = rollout::step(node);
    let class = match node.state {
        NodeState::Unreachable => "tile attention",
        NodeState::Down => "tile trouble",
        _ => "tile",
    };
    let state = state_word.to_owned();
    let version = node
        .applied_version
        .map_or_else(String::new, |v| v.to_string());
    let outlier = node
        .latency_p99_ms
        .zip(median)
        .is_some_and(|(p99, median)| p99 > OUTLIER * median);
    let spark = chart::sparkline(&node.recent_requests_per_s, 120.0, 18.0);
    let title = format!(
        "krakend_{}, {}, serves on {}",
        node.id, node.gateway_version, node.gateway_address
    );
    let step_words = format!(" {}", step.word());
    view! {
        <li class=class data-testid="node" data-name=node.name.clone() data-state=state data-version=version title=title>
            <div class="tile-head">
                <MarkIcon mark=state_mark />
                <span class="reader">{state_word} " "</span>
                <a class="tile-link row-link" href=format!("/nodes/{}", node.id)>{node.name.clone()}</a>
                <span class="tile-version">{rollout::version_text(node)}</span>
                {(step != Step::None).then(|| view! { <MarkIcon mark=mark::of_step(step) /> <span class="reader">{step_words}</span> })}
            </div>
            <svg class="spark" viewBox="0 0 120 18" preserveAspectRatio="none" role="img" aria-label="Requests per second, last samples">
                <path class="line s-all" d=spark />
            </svg>
            {foot(store, node, outlier)}
        </li>
    }
}

fn foot(store: Store, node: &Node, outlier: bool) -> AnyView {
    let silent = matches!(
        node.state,
        NodeState::Unreachable | NodeState::Down | NodeState::Removed
    );
    if silent {
        let since = clock::parse(&node.state_since);
        let word = mark::of_node(node.state).1;
        return view! {
            <div class="tile-foot">
                <span class="word">{word}</span>
                <span>{move || since.map(|at| format::duration_short(store.clock_ms.get() - at))}</span>
            </div>
        }
        .into_any();
    }
    if node.refusal.is_some() {
        return view! { <div class="tile-foot"><span class="word bad" title=node.refusal.clone()>"refused"</span> <span>{format::rate_text(node.requests_per_s)}</span></div> }.into_any();
    }
    view! {
        <div class="tile-foot">
            <span>{format::rate_text(node.requests_per_s)}</span>
            <span class:outlier=outlier>{node.latency_p99_ms.map(|ms| format::latency_text(Some(ms)))}</span>
        </div>
    }
    .into_any()
}
