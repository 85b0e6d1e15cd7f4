//! Requests, latency, backends and process of one node.

use super::View;
use crate::data::store::Store;
use crate::pages::node_parts::{backend_name, error_share};
use crate::pages::nodes::row::{bytes, latency, none, with_unit};
use crate::pure::chart::{self, Chart};
use crate::pure::event;
use crate::pure::format;
use crate::pure::series::Input;
use crate::ui::cell;
use crate::ui::chart::LineChart;
use crate::view::prelude::*;
use krakend_api::{BackendTotals, Node, NodeState, ProcessPoint, Statistics};

fn line(store: Store, page: View, make: fn(&Input<'_>) -> Chart) -> Memo<Chart> {
    Memo::new(move |_| {
        let moments = store
            .events
            .with(|e| event::moments(e.value.as_deref().unwrap_or_default()));
        page.statistics.with(|statistics| {
            make(&Input {
                statistics: statistics.value.as_ref(),
                now: None,
                now_ms: store.clock_ms.get(),
                range_s: store.range_s.get(),
                offset_min: store.zone().offset_min,
                moments: &moments,
            })
        })
    })
}

fn now(page: View, read: fn(&Node) -> Option<f64>) -> Option<f64> {
    page.of(|n| (n.state == NodeState::Active).then(|| read(n)).flatten())
}

/// Requests per second.
#[component]
pub fn RequestsCell(store: Store, page: View) -> impl IntoView {
    let chart = line(store, page, |input| input.requests());
    let rate = move || now(page, |n| n.requests_per_s);
    let share = move || {
        let all = store.now.get().requests_per_s.filter(|r| *r > 0.0)?;
        Some(format!(
            "{} % of the fleet",
            format::percent((rate()? / all).min(1.0))
        ))
    };
    let sentence = Signal::derive(move || {
        format!(
            "Requests per second over time; now {}.",
            format::rate_text(rate())
        )
    });
    view! {
        <section class="cell" aria-labelledby="requests-title">
            <div class="cell-head"><h2 id="requests-title">"Requests"</h2> <span class="grow"></span> <span class="context">{share}</span></div>
            <p class="leading">
                <strong class:none=move || rate().is_none()>{move || rate().map_or_else(|| format::NO_DATA.to_owned(), format::rate)}</strong>
                <span class="unit">{move || rate().map(|_| "req/s")}</span>
            </p>
            <LineChart chart sentence hover=store.hover />
        </section>
    }
}

/// Percentiles.
#[component]
pub fn LatencyCell(store: Store, page: View) -> impl IntoView {
    let chart = line(store, page, |input| input.latency());
    let p99 = move || now(page, |n| n.latency_p99_ms);
    let number = move || p99().map_or_else(|| (format::NO_DATA.to_owned(), ""), format::latency);
    let median = move || {
        let p50 = page
            .statistics
            .with(|s| s.value.as_ref().and_then(|s| s.latency.p50_ms));
        p50.map(|ms| format!("p50 {} in this range", format::latency_text(Some(ms))))
    };
    let sentence = Signal::derive(move || {
        format!(
            "Latency percentiles over time; p99 now {}.",
            format::latency_text(p99())
        )
    });
    view! {
        <section class="cell" aria-labelledby="latency-title">
            <div class="cell-head"><h2 id="latency-title">"Latency"</h2> <span class="grow"></span> <span class="context">{median}</span></div>
            <p class="leading">
                <strong class:none=move || p99().is_none()>{move || number().0}</strong>
                <span class="unit">{move || p99().map(|_| format!("{}, p99", number().1))}</span>
            </p>
            <LineChart chart sentence hover=store.hover />
        </section>
    }
}

/// Backends as this node sees them.
#[component]
pub fn BackendsCell(store: Store, page: View) -> impl IntoView {
    view! {
        <section class="cell flush" aria-labelledby="backends-title">
            <div class="cell-head"><h2 id="backends-title">"Backends, as this node sees them"</h2></div>
            {cell::remote(page.statistics, move |s: &Statistics| backends(s, f64::from(store.range_s.get())))}
        </section>
    }
}

/// The node's own, or those of the whole answer where it does not tell nodes apart.
fn backends(statistics: &Statistics, range_s: f64) -> AnyView {
    let list: &[BackendTotals] = match statistics.nodes.first() {
        Some(node) if statistics.nodes.len() == 1 && !node.backends.is_empty() => &node.backends,
        _ => &statistics.backends,
    };
    if list.is_empty() {
        return view! { <p class="calm">"No call to a backend in this range."</p> }.into_any();
    }
    let rows = list.iter().map(|b| backend(b, range_s)).collect_view();
    view! {
        <table class="table dense">
            <thead><tr><th scope="col">"Backend"</th><th class="number" scope="col">"Calls/s"</th><th class="number" scope="col">"Errors"</th><th class="number" scope="col">"Time-outs/s"</th><th class="number" scope="col">"p50"</th><th class="number" scope="col">"p99"</th></tr></thead>
            <tbody>{rows}</tbody>
        </table>
    }
    .into_any()
}

fn backend(backend: &BackendTotals, range_s: f64) -> impl IntoView + use<> {
    let name = backend_name(backend);
    let per_s = |count: u64| format::rate(count as f64 / range_s.max(1.0));
    view! {
        <tr>
            <td class="wide"><code title=name.clone()>{name.clone()}</code></td>
            <td class="number">{per_s(backend.calls)}</td>
            <td class="number">{error_share(backend.errors, backend.calls)}</td>
            <td class="number">{per_s(backend.timeouts)}</td>
            <td class="number">{latency(backend.latency.p50_ms)}</td>
            <td class="number">{latency(backend.latency.p99_ms)}</td>
        </tr>
    }
}

/// CPU, memory, connections, restarts.
#[component]
pub fn ProcessCell(page: View) -> impl IntoView {
    let points = Memo::new(move |_| {
        page.statistics.with(|s| {
            s.value
                .as_ref()
                .map(|s| s.process.clone())
                .unwrap_or_default()
        })
    });
    let spark = move |read: fn(&ProcessPoint) -> Option<f64>| {
        points.with(|points| {
            let values: Vec<Option<f64>> = points.iter().map(read).collect();
            chart::sparkline(&values, 150.0, 20.0)
        })
    };
    let line = move |read: fn(&ProcessPoint) -> Option<f64>| {
        view! { <svg class="spark-cell" width="150" height="20" viewBox="0 0 150 20" aria-hidden="true"><path class="line s-all" d=move || spark(read) /></svg> }
    };
    let restarts =
        move || points.with(|p| (!p.is_empty()).then(|| p.iter().map(|p| p.restarts).sum::<u32>()));
    view! {
        <section class="cell" aria-labelledby="process-title">
            <div class="cell-head"><h2 id="process-title">"Process"</h2> <span class="grow"></span> <span class="context">"in this range, now"</span></div>
            <dl class="pairs process">
                <div><dt>"CPU"</dt>{line(|p| p.cpu_percent)}<dd>{move || page.of(|n| n.cpu_percent).map_or_else(none, |c| with_unit(format!("{c:.0}"), "%"))}</dd></div>
                <div><dt>"Memory"</dt>{line(|p| p.memory_bytes.map(|b| b as f64))}<dd>{move || page.of(|n| n.memory_bytes).map_or_else(none, bytes)}</dd></div>
                <div><dt>"Connections"</dt>{line(|p| p.connections.map(|c| c as f64))}<dd>{move || page.of(|n| n.connections).map_or_else(none, |c| format::integer(c).into_any())}</dd></div>
                <div><dt>"Restarts"</dt><dd>{move || restarts().map_or_else(none, |n| format!("{n} in this range").into_any())}</dd></div>
            </dl>
        </section>
    }
}
