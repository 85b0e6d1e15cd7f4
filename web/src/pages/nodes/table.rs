//! The table: only the rows that are seen are in the page.

use super::View;
use super::row;
use crate::data::store::Store;
use crate::pure::nodes::{self, Column, Sums};
use crate::pure::{format, rollout};
use crate::ui::icon::{Icon, IconView};
use crate::view::prelude::*;
use leptos::html::Div;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

const ROW_PX: f64 = 36.0;
const PHONE_ROW_PX: f64 = 63.0;

/// The rows that the filter lets through.
#[component]
pub fn Table(store: Store, page: View) -> impl IntoView {
    let host = NodeRef::<Div>::new();
    let scroll = RwSignal::new((0.0, 900.0, ROW_PX));
    let measure = move || {
        if let Some(element) = host.get_untracked() {
            let phone = element.client_width() < 640;
            let row = if phone { PHONE_ROW_PX } else { ROW_PX };
            let now = (
                f64::from(element.scroll_top()),
                f64::from(element.client_height()),
                row,
            );
            // Steps of four rows: scrolling by a pixel draws nothing anew.
            let step = row * 4.0;
            let now = ((now.0 / step).floor() * step, now.1, now.2);
            if scroll.get_untracked() != now {
                scroll.set(now);
            }
        }
    };
    Effect::new(move |_| {
        let Some(element) = host.get() else { return };
        let on_resize = Closure::<dyn FnMut()>::new(measure);
        if let Ok(observer) = web_sys::ResizeObserver::new(on_resize.as_ref().unchecked_ref()) {
            observer.observe(&element);
        }
        // It ends with the element.
        on_resize.forget();
    });
    let shown = Memo::new(move |_| {
        let (top, height, row) = scroll.get();
        let rows = page.rows.with(Vec::len);
        nodes::window(top, height, row, rows)
    });
    let head = move || {
        let columns = page.columns.get().into_iter();
        columns
            .map(|column| view! { <HeadCell page column /> })
            .collect_view()
    };
    let median = Memo::new(move |_| {
        store
            .nodes
            .with(|n| row::median(n.value.as_deref().unwrap_or_default()))
    });
    let most = Memo::new(move |_| {
        store.nodes.with(|n| {
            let all = n.value.iter().flatten().filter_map(|n| n.latency_p99_ms);
            all.fold(0.0, f64::max)
        })
    });
    let body = move || {
        let (from, to) = shown.get();
        let row_px = scroll.get().2;
        let rows = page.rows.get();
        let total = rows.len();
        let columns = page.columns.get();
        let peers = row::Peers {
            columns: &columns,
            median: median.get(),
            most: most.get(),
        };
        let span = columns.len() + 1;
        let drawn = store.nodes.with(|n| {
            let nodes = n.value.as_deref().unwrap_or_default();
            rows.get(from..to.min(total))
                .unwrap_or_default()
                .iter()
                .filter_map(|at| nodes.get(*at))
                .map(|node| row::view(store, node, &peers))
                .collect_view()
        });
        let space = |rows: usize| {
            (rows > 0).then(|| view! {
                <tr class="space" aria-hidden="true"><td colspan=span><svg width="1" height=rows as f64 * row_px></svg></td></tr>
            })
        };
        view! { {space(from)} {drawn} {space(total.saturating_sub(to))} }
    };
    view! {
        <div class="table-scroll" node_ref=host on:scroll=move |_| measure() tabindex="-1">
            <table class="table nodes-table" data-testid="nodes-table" aria-rowcount=move || page.rows.with(Vec::len)>
                <thead>
                    <tr>{head}</tr>
                    {move || sums_row(store, &page.columns.get())}
                </thead>
                <tbody>{body}</tbody>
            </table>
            {move || page.rows.with(Vec::is_empty).then(|| view! { <p class="cell calm">"No node matches. " <a href="/nodes">"Show all"</a></p> })}
        </div>
        <footer class="page-foot">
            <span>"Percentiles of the fleet come from merged sketches, not from averages."</span>
            <span class="grow"></span>
            <span class="key-hints" aria-hidden="true"><kbd>"J"</kbd> <kbd>"K"</kbd> " move " <kbd>"Enter"</kbd> " open " <kbd>"/"</kbd> " filter " <kbd>"?"</kbd> " all keys"</span>
        </footer>
    }
}

#[component]
fn HeadCell(page: View, column: Column) -> impl IntoView {
    let place = Memo::new(move |_| {
        page.order.with(|order| {
            let at = order.iter().position(|(c, _)| *c == column)?;
            Some((at + 1, order[at].1, order.len()))
        })
    });
    let sort = move || match place.get() {
        Some((1, true, _)) => "descending",
        Some((1, false, _)) => "ascending",
        _ => "none",
    };
    let spark = (column == Column::Requests).then(
        || view! { <th class="c-spark"><span class="reader">"Last five minutes"</span></th> },
    );
    let class = format!(
        "c-{}{}",
        column.key(),
        if column.is_number() { " number" } else { "" }
    );
    view! {
        {spark}
        <th class=class aria-sort=sort scope="col">
            <button type="button" class="head-sort" data-testid=format!("sort-{}", column.key()) on:click=move |_| page.order.update(|order| *order = nodes::clicked(order, column))>
                {column.name()}
                {move || place.get().map(|(at, descends, levels)| view! {
                    <IconView icon=if descends { Icon::Sorted } else { Icon::SortedUp } />
                    {(levels > 1).then(|| view! { <small>{at}</small> })}
                })}
            </button>
        </th>
    }
}

fn sums_row(store: Store, columns: &[Column]) -> AnyView {
    let now_ms = store.clock_ms.get();
    let sums: Sums = store
        .nodes
        .with(|n| nodes::sums(n.value.as_deref().unwrap_or_default(), now_ms));
    let running = store.newest.with(|n| {
        let newest = n.value.as_ref().and_then(Option::as_ref);
        newest.is_some_and(|n| rollout::is_running(&n.rollout))
    });
    let cells = columns
        .iter()
        .skip(Column::FIXED)
        .map(|column| sum(store, &sums, *column, running))
        .collect_view();
    view! {
        <tr class="sums">
            <td colspan="3" class="c-state">{format!("Fleet, {} of {} reporting", sums.reporting, sums.total)}</td>
            {cells}
        </tr>
    }
    .into_any()
}

fn sum(store: Store, sums: &Sums, column: Column, running: bool) -> AnyView {
    let percent = |share: Option<f64>| match share {
        Some(share) => row::with_unit(format::percent(share), "%"),
        None => row::none(),
    };
    let content = match column {
        Column::Configuration => sums
            .desired
            .map_or_else(
                || "no version".to_owned(),
                |v| format!("{} of {} on v{v}", sums.applied, sums.total),
            )
            .into_any(),
        Column::Requests => sums
            .requests_per_s
            .map_or_else(row::none, |r| row::with_unit(format!("{r:.1}"), "")),
        Column::Errors => percent(sums.error_ratio),
        Column::P99 => row::latency(store.now.get().latency.p99_ms),
        Column::Cpu => sums
            .cpu_percent
            .map_or_else(row::none, |p| row::with_unit(format!("{p:.0}"), "%")),
        Column::Memory => sums.memory_bytes.map_or_else(row::none, row::bytes),
        Column::Lease => sums
            .lease_left_ms
            .map(|ms| format!("min {}", format::duration(ms)))
            .into_any(),
        _ => ().into_any(),
    };
    let mut class = format!("c-{}", column.key());
    if column.is_number() {
        class.push_str(" number");
    }
    if running && column == Column::Generation {
        class.push_str(" running");
    }
    let spark = (column == Column::Requests).then(|| view! { <td class="c-spark"></td> });
    view! { {spark} <td class=class>{content}</td> }.into_any()
}
