//! Requests, errors, latency: a leading number each, and its hour.

use crate::data::store::Store;
use crate::pure::chart::Chart;
use crate::pure::clock;
use crate::pure::event;
use crate::pure::format;
use crate::pure::series::Input;
use crate::ui::chart::LineChart;
use crate::view::prelude::*;

/// A chart that follows the store.
fn chart(store: Store, make: fn(&Input<'_>) -> Chart) -> Memo<Chart> {
    let moments = Memo::new(move |_| {
        store
            .events
            .with(|e| event::moments(e.value.as_deref().unwrap_or_default()))
    });
    Memo::new(move |_| {
        store.statistics.with(|statistics| {
            moments.with(|moments| {
                make(&Input {
                    statistics: statistics.value.as_ref(),
                    now: (!store.is_stale()).then(|| store.now.get()),
                    now_ms: store.clock_ms.get(),
                    range_s: store.range_s.get(),
                    offset_min: store.zone().offset_min,
                    moments,
                })
            })
        })
    })
}

/// The value under the cross-hair with its time, or what stands beside the number otherwise.
fn beside(
    store: Store,
    chart: Memo<Chart>,
    series: usize,
    unit: &'static str,
    otherwise: impl Fn() -> String + Send + 'static,
) -> impl IntoView {
    move || {
        let Some(at) = store.hover.get() else {
            return otherwise();
        };
        let value = chart.with(|c| c.series.get(series).and_then(|s| s.value_at(at)));
        let value = match (value, unit) {
            (None, _) => format::NO_DATA.to_owned(),
            (Some(v), "%") => format!("{} %", format::percent(v / 100.0)),
            (Some(v), "ms") => format::latency_text(Some(v)),
            (Some(v), unit) => format!("{} {unit}", format::rate(v)),
        };
        format!(
            "{value} at {}, {}",
            store.zone().minutes(at),
            clock::utc(at)
        )
    }
}

/// Text that needs a figure of this moment.
fn old_or(store: Store, text: impl Fn() -> String) -> String {
    if store.is_stale() {
        "not up to date".to_owned()
    } else {
        text()
    }
}

/// Requests per second.
#[component]
pub fn RequestsCell(store: Store) -> impl IntoView {
    let chart = chart(store, |input| input.requests());
    let now = move || store.now.get().requests_per_s;
    let sentence = Signal::derive(move || {
        format!(
            "Requests per second over time; now {}.",
            format::rate_text(now())
        )
    });
    let total = move || {
        old_or(store, || {
            let total = store
                .statistics
                .with(|s| s.value.as_ref().map(|s| s.totals.requests));
            total.map_or_else(String::new, |n| {
                format!("{} in this range", format::integer(n))
            })
        })
    };
    view! {
        <section class="cell" aria-labelledby="requests-title">
            <div class="cell-head">
                <h2 id="requests-title"><a class="title-link" href="/traffic">"Requests"</a></h2>
                <span class="grow"></span>
                <span class="legend"><i class="key s-all"></i> "all"</span>
                <span class="legend"><i class="key s-4xx"></i> "4xx and 5xx"</span>
            </div>
            <p class="leading">
                {move || match now() {
                    Some(rate) => view! { <strong data-testid="requests-per-s">{format::rate(rate)}</strong> <span class="unit">"req/s"</span> }.into_any(),
                    None => view! { <strong class="none" data-testid="requests-per-s">"no data"</strong> }.into_any(),
                }}
                <span class="beside">{beside(store, chart, 0, "req/s", total)}</span>
            </p>
            <LineChart chart sentence hover=store.hover />
        </section>
    }
}

/// Share of failed requests.
#[component]
pub fn ErrorsCell(store: Store) -> impl IntoView {
    let chart = chart(store, |input| input.errors());
    let ratio = move || store.now.get().error_ratio();
    let text = move || ratio().map_or_else(|| format::NO_DATA.to_owned(), format::percent);
    let sentence =
        Signal::derive(move || format!("Failed requests in per cent over time; now {}.", text()));
    let rate = move || {
        old_or(store, || match store.now.get().errors_per_s {
            Some(0.0) => "none failed just now".to_owned(),
            Some(rate) => format!("{} req/s failed", format::rate(rate)),
            None => String::new(),
        })
    };
    view! {
        <section class="cell" aria-labelledby="errors-title">
            <div class="cell-head"><h2 id="errors-title"><a class="title-link" href="/traffic">"Errors"</a></h2></div>
            <p class="leading">
                <strong class:none=move || ratio().is_none()>{text}</strong>
                <span class="unit">{move || ratio().map(|_| "% of requests")}</span>
                <span class="beside">{beside(store, chart, 0, "%", rate)}</span>
            </p>
            <LineChart chart sentence hover=store.hover />
        </section>
    }
}

/// Percentiles of the fleet.
#[component]
pub fn LatencyCell(store: Store) -> impl IntoView {
    let chart = chart(store, |input| input.latency());
    let p99 = move || store.now.get().latency.p99_ms;
    let number = move || p99().map_or_else(|| (format::NO_DATA.to_owned(), ""), format::latency);
    let sentence = Signal::derive(move || {
        format!(
            "Latency percentiles over time; p99 now {}.",
            format::latency_text(p99())
        )
    });
    let median = move || {
        old_or(store, || {
            let p50 = store.now.get().latency.p50_ms;
            p50.map_or_else(String::new, |_| {
                format!("p50 {}", format::latency_text(p50))
            })
        })
    };
    view! {
        <section class="cell" aria-labelledby="latency-title">
            <div class="cell-head"><h2 id="latency-title"><a class="title-link" href="/traffic">"Latency"</a></h2></div>
            <p class="leading">
                <strong class:none=move || p99().is_none()>{move || number().0}</strong>
                <span class="unit">{move || p99().map(|_| format!("{}, p99 of the fleet", number().1))}</span>
                <span class="beside">{beside(store, chart, 2, "ms", median)}</span>
            </p>
            <LineChart chart sentence hover=store.hover />
        </section>
    }
}
