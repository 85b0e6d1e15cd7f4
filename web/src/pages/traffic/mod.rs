//! Endpoints and backends: lines, heat, top errors.

mod range;

use crate::data::navigation;
use crate::data::resource;
use crate::data::store::{Remote, Store};
use crate::pages::node_parts::{backend_name, error_share, latency};
use crate::pure::chart::Chart;
use crate::pure::event;
use crate::pure::heat::{self, Measure};
use crate::pure::series::Input;
use crate::pure::{clock, format, order, route};
use crate::ui::cell;
use crate::ui::chart::LineChart;
use crate::ui::control::{Choice, Ranges, Segments};
use crate::ui::frame::Head;
use crate::ui::heat::{Key, Strip};
use crate::view::prelude::*;
use krakend_api::{EndpointTotals, Statistics};

const FEW: usize = 12;
const TOP: usize = 50;

/// What the cells of the page share.
#[derive(Clone, Copy)]
struct View {
    statistics: RwSignal<Remote<Statistics>>,
    /// The stretch that the address names.
    named: Memo<Option<(i64, i64)>>,
    measure: RwSignal<Measure>,
    order: RwSignal<String>,
    all: RwSignal<bool>,
}

/// The page.
#[component]
pub fn Traffic(store: Store) -> impl IntoView {
    let node = Memo::new(move |_| {
        store
            .place
            .with(|p| p.get("node").map(str::to_owned))
            .unwrap_or_default()
    });
    let order = RwSignal::new("requests".to_owned());
    let named = Memo::new(move |_| store.place.with(range::window));
    let statistics = resource::live::<Statistics>(store, move || {
        let (fleet, order) = (store.fleet_name.get(), order.get());
        let (range, from, to) = match named.get() {
            Some((from, to)) => (String::new(), clock::rfc3339(from), clock::rfc3339(to)),
            None => (
                store.range_s.get().to_string(),
                String::new(),
                String::new(),
            ),
        };
        let (node, top) = (node.get(), TOP.to_string());
        route::address(
            "/v1/statistics",
            &[
                ("fleet", &fleet),
                ("node", &node),
                ("range_s", &range),
                ("from", &from),
                ("to", &to),
                ("top", &top),
                ("order", &order),
                ("consistency", "stale"),
            ],
        )
    });
    let page = View {
        statistics,
        named,
        measure: RwSignal::new(Measure::P99),
        order,
        all: RwSignal::new(false),
    };
    let context = Signal::derive(move || {
        let name = node_name(store, &node.get());
        format!(
            "{}, {}",
            store.fleet_name.get(),
            name.unwrap_or_else(|| "all nodes".to_owned())
        )
    });
    let choices = Signal::derive(move || {
        let mut out = vec![(String::new(), "all".to_owned())];
        store.nodes.with(|n| {
            out.extend(
                n.value
                    .iter()
                    .flatten()
                    .map(|n| (n.id.clone(), n.name.clone())),
            )
        });
        out
    });
    let choose = move |id: String| {
        let kept = |key| {
            store
                .place
                .with_untracked(|p| p.get(key).map(str::to_owned))
        };
        let (from, to) = (
            kept("from").unwrap_or_default(),
            kept("to").unwrap_or_default(),
        );
        let pairs = [("node", id.as_str()), ("from", &from), ("to", &to)];
        navigation::replace(store, &route::address("/traffic", &pairs));
    };
    let actions = view! {
        <Choice label="Node" choices chosen=node choose />
        <Ranges store />
        <range::Between store named />
    }
    .into_any();
    view! {
        <Head store title="Traffic" context actions />
        <div class="row row-halves">
            <RequestsCell store page />
            <LatencyCell store page />
        </div>
        <div class="row row-traffic">
            <EndpointsCell store page />
            <div class="stack">
                <BackendsCell store page />
                <ErrorsCell store page />
            </div>
        </div>
    }
}

fn node_name(store: Store, id: &str) -> Option<String> {
    store.nodes.with(|n| {
        n.value
            .iter()
            .flatten()
            .find(|n| n.id == id)
            .map(|n| n.name.clone())
    })
}

fn line(store: Store, page: View, make: fn(&Input<'_>) -> Chart) -> Memo<Chart> {
    Memo::new(move |_| {
        let moments = store
            .events
            .with(|e| event::moments(e.value.as_deref().unwrap_or_default()));
        let (now_ms, range_s) = range::shown(store, page.named.get());
        page.statistics.with(|s| {
            make(&Input {
                statistics: s.value.as_ref(),
                now: None,
                now_ms,
                range_s,
                offset_min: store.zone().offset_min,
                moments: &moments,
            })
        })
    })
}

/// Values under the cross-hair, with their time here and in UTC.
#[component]
fn Readout(
    store: Store,
    chart: Memo<Chart>,
    names: &'static [&'static str],
    write: fn(f64) -> String,
) -> impl IntoView {
    move || {
        let at = store.hover.get()?;
        let rows = chart.with(|c| {
            c.series
                .iter()
                .zip(names)
                .map(|(s, name)| {
                    let value = s.value_at(at).map_or_else(|| format::NO_DATA.to_owned(), write);
                    view! { <li><svg width="16" height="6" aria-hidden="true"><line class=format!("line {}", s.class) x1="0" x2="16" y1="3" y2="3" /></svg> <span>{*name}</span> <b>{value}</b></li> }
                })
                .collect_view()
        });
        Some(
            view! { <div class="readout"><p><strong>{store.zone().minutes(at)}</strong> " " {clock::utc(at)}</p><ul>{rows}</ul></div> },
        )
    }
}

#[component]
fn RequestsCell(store: Store, page: View) -> impl IntoView {
    let chart = line(store, page, |input| input.by_status());
    let total = move || {
        page.statistics
            .with(|s| s.value.as_ref().map(|s| s.totals.requests))
    };
    let sentence = Signal::derive(move || {
        format!(
            "Requests per second over time, all and those answered 4xx and 5xx; {} in this range.",
            total().map_or_else(|| format::NO_DATA.to_owned(), format::integer)
        )
    });
    view! {
        <section class="cell with-readout" aria-labelledby="requests-title">
            <div class="cell-head">
                <h2 id="requests-title">"Requests per second"</h2>
                <span class="context">{move || total().map(|n| format!("{} in this range", format::integer(n)))}</span>
                <span class="grow"></span>
                <span class="legend"><i class="key s-all"></i> "all"</span>
                <span class="legend"><i class="key s-4xx"></i> "4xx"</span>
                <span class="legend"><i class="key s-5xx"></i> "5xx"</span>
            </div>
            <LineChart chart sentence hover=store.hover tall=true />
            <Readout store chart names=&["all", "4xx", "5xx"] write=|v| format!("{} req/s", format::rate(v)) />
        </section>
    }
}

#[component]
fn LatencyCell(store: Store, page: View) -> impl IntoView {
    let chart = line(store, page, |input| input.latency());
    let step = move || {
        page.statistics.with(|s| {
            let s = s.value.as_ref()?;
            let ms = if s.step_ms > 0 {
                s.step_ms
            } else {
                s.points.first()?.duration_ms
            };
            Some(format!(
                "step {}",
                format::duration(i64::try_from(ms).ok()?)
            ))
        })
    };
    let sentence = Signal::derive(move || {
        let p99 = page
            .statistics
            .with(|s| s.value.as_ref().and_then(|s| s.latency.p99_ms));
        format!(
            "Latency percentiles over time; p99 of the range {}.",
            format::latency_text(p99)
        )
    });
    view! {
        <section class="cell with-readout" aria-labelledby="latency-title">
            <div class="cell-head"><h2 id="latency-title">"Latency, ms"</h2> <span class="context">"logarithmic"</span> <span class="grow"></span> <span class="context">{step}</span></div>
            <LineChart chart sentence hover=store.hover tall=true />
            <Readout store chart names=&["p50", "p90", "p99", "p99.9"] write=|v| format::latency_text(Some(v)) />
        </section>
    }
}

#[component]
fn EndpointsCell(store: Store, page: View) -> impl IntoView {
    let about = move || {
        page.statistics.with(|s| {
            s.value.as_ref().map(|s| {
                let all = s.endpoints.len();
                let shown = if page.all.get() { all } else { all.min(FEW) };
                let by = match page.order.get().as_str() {
                    "errors" => "errors",
                    "p99" => "p99",
                    _ => "rate",
                };
                format!("{shown} of {all} by {by}, latency in ms")
            })
        })
    };
    let choices = vec![
        (Measure::P99, "p99"),
        (Measure::Errors, "Errors"),
        (Measure::Rate, "Rate"),
    ];
    view! {
        <section class="cell flush endpoints" aria-labelledby="endpoints-title">
            <div class="cell-head">
                <h2 id="endpoints-title">"Endpoints"</h2>
                <span class="context">{about}</span>
                <span class="grow"></span>
                <Key measure=page.measure />
                <Segments label="What the colour shows" choices chosen=page.measure choose=move |m| page.measure.set(m) />
            </div>
            {cell::remote(page.statistics, move |s: &Statistics| endpoints(store, page, s))}
        </section>
    }
}

fn endpoints(store: Store, page: View, s: &Statistics) -> AnyView {
    if s.endpoints.is_empty() {
        return view! { <p class="cell calm">"No request in this range."</p> }.into_any();
    }
    let mut list: Vec<&EndpointTotals> = s.endpoints.iter().collect();
    let errors = |e: &EndpointTotals| e.totals.status_4xx + e.totals.status_5xx;
    match page.order.get().as_str() {
        "errors" => order::sort_by(&mut list, |a, b| errors(b).cmp(&errors(a))),
        "p99" => order::sort_by(&mut list, |a, b| {
            b.latency
                .p99_ms
                .unwrap_or(-1.0)
                .total_cmp(&a.latency.p99_ms.unwrap_or(-1.0))
        }),
        _ => order::sort_by(&mut list, |a, b| b.totals.requests.cmp(&a.totals.requests)),
    }
    let more = list.len().saturating_sub(FEW);
    if !page.all.get() {
        list.truncate(FEW);
    }
    let now = store.now_ms();
    let range = (
        clock::parse(&s.from).unwrap_or(now - i64::from(store.range_s.get()) * 1000),
        clock::parse(&s.to).unwrap_or(now).min(now),
    );
    let seconds = ((range.1 - range.0) as f64 / 1000.0).max(1.0);
    let mut p99: Vec<f64> = s
        .endpoints
        .iter()
        .filter_map(|e| e.latency.p99_ms)
        .collect();
    order::sort_by(&mut p99, f64::total_cmp);
    let median = p99.get(p99.len() / 2).copied().unwrap_or(f64::MAX);
    let rows = list
        .into_iter()
        .map(|e| {
            let series = s.endpoint_series.iter().find(|it| it.endpoint == e.endpoint && it.method == e.method);
            let cells = series.map(|it| heat::cells(it, page.measure.get(), s.step_ms, range, crate::ui::heat::WIDTH));
            let sentence = format!("{} {} over time", e.method, e.endpoint);
            let outlier = e.latency.p99_ms.is_some_and(|ms| p99.len() >= 3 && ms > 1.3 * median && ms > 50.0);
            let ms = |value: Option<f64>| value.map_or_else(|| view! { <span class="none">{format::NO_DATA}</span> }.into_any(), |v| format::latency(v).0.into_any());
            view! {
                <tr data-testid="endpoint" data-endpoint=e.endpoint.clone()>
                    <td class="method"><code>{e.method.clone()}</code></td>
                    <td class="wide"><code title=e.endpoint.clone()>{e.endpoint.clone()}</code></td>
                    <td class="c-heat">{match cells {
                        Some(cells) => view! { <Strip cells range hover=store.hover sentence /> }.into_any(),
                        None => view! { <span class="none">"no series"</span> }.into_any(),
                    }}</td>
                    <td class="number">{format!("{:.1}", e.totals.requests as f64 / seconds)}</td>
                    <td class="number">{error_share(errors(e), e.totals.requests)}</td>
                    <td class="number">{ms(e.latency.p50_ms)}</td>
                    <td class="number hide-phone">{ms(e.latency.p90_ms)}</td>
                    <td class="number" class:outlier=outlier>{ms(e.latency.p99_ms)}</td>
                    <td class="number hide-phone">{ms(e.latency.p999_ms)}</td>
                </tr>
            }
        })
        .collect_view();
    let head = |order: &'static str, word: &'static str| {
        view! { <button type="button" class="head-sort" aria-pressed=move || (page.order.get() == order).to_string() on:click=move |_| page.order.set(order.to_owned())>{word} {move || (page.order.get() == order).then(|| view! { <crate::ui::icon::IconView icon=crate::ui::icon::Icon::Sorted /> })}</button> }
    };
    view! {
        <table class="table dense endpoints-table" data-testid="endpoints">
            <thead><tr>
                <th scope="col" colspan="2">"Endpoint"</th>
                <th class="c-heat" scope="col"><span class="ends"><span>{store.zone().moment(range.0, now)}</span><span>{store.zone().moment(range.1, now)}</span></span></th>
                <th class="number" scope="col">{head("requests", "Requests/s")}</th><th class="number" scope="col">{head("errors", "Errors")}</th>
                <th class="number" scope="col">"p50"</th><th class="number hide-phone" scope="col">"p90"</th><th class="number" scope="col">{head("p99", "p99")}</th><th class="number hide-phone" scope="col">"p99.9"</th>
            </tr></thead>
            <tbody>{rows}</tbody>
        </table>
        {(more > 0).then(|| view! {
            <p class="cell more-rows">{move || if page.all.get() { String::new() } else { format!("{more} more endpoints ") }}
                <button type="button" class="link" on:click=move |_| page.all.update(|a| *a = !*a)>{move || if page.all.get() { "Show fewer" } else { "Show all" }}</button></p>
        })}
    }
    .into_any()
}

#[component]
fn BackendsCell(store: Store, page: View) -> impl IntoView {
    view! {
        <section class="cell flush" aria-labelledby="backends-title">
            <div class="cell-head"><h2 id="backends-title">"Backends"</h2></div>
            {cell::remote(page.statistics, move |s: &Statistics| {
                if s.backends.is_empty() {
                    return view! { <p class="calm">"No call to a backend in this range."</p> }.into_any();
                }
                let seconds = f64::from(range::shown(store, page.named.get()).1).max(1.0);
                let rows = s.backends.iter().take(FEW).map(|b| {
                    let name = backend_name(b);
                    view! {
                        <tr><td class="wide"><code title=name.clone()>{name.clone()}</code></td><td class="number">{format::rate(b.calls as f64 / seconds)}</td><td class="number">{error_share(b.errors, b.calls)}</td><td class="number">{latency(b.latency.p99_ms)}</td></tr>
                    }
                }).collect_view();
                view! {
                    <table class="table dense">
                        <thead><tr><th scope="col">"Backend"</th><th class="number" scope="col">"Calls/s"</th><th class="number" scope="col">"Errors"</th><th class="number" scope="col">"p99"</th></tr></thead>
                        <tbody>{rows}</tbody>
                    </table>
                }.into_any()
            })}
        </section>
    }
}

#[component]
fn ErrorsCell(store: Store, page: View) -> impl IntoView {
    let range = move || {
        format!(
            "requests in {}",
            format::duration(i64::from(range::shown(store, page.named.get()).1) * 1000)
        )
    };
    view! {
        <section class="cell" aria-labelledby="top-errors-title">
            <div class="cell-head"><h2 id="top-errors-title">"Top errors"</h2> <span class="grow"></span> <span class="context">{range}</span></div>
            {cell::remote(page.statistics, |s: &Statistics| {
                let failed = s.totals.status_4xx + s.totals.status_5xx;
                if s.top_errors.is_empty() {
                    let text = if failed == 0 { "No errors in this range.".to_owned() } else { format!("{} failed requests; this manager does not tell them apart.", format::integer(failed)) };
                    return view! { <p class="calm">{text}</p> }.into_any();
                }
                let most = s.top_errors.iter().map(|e| e.requests).max().unwrap_or(1).max(1);
                let rows = s.top_errors.iter().take(8).map(|e| {
                    let width = (e.requests as f64 / most as f64 * 300.0).max(2.0);
                    let class = if e.status >= 500 { "error-bar s-5xx" } else { "error-bar s-4xx" };
                    view! {
                        <li><p><strong>{e.status}</strong> <code>{e.method.clone()} " " {e.endpoint.clone()}</code> <span class="grow"></span> <span>{format::integer(e.requests)}</span></p>
                            <svg class=class viewBox="0 0 300 4" preserveAspectRatio="none" aria-hidden="true"><rect class="rest" width="300" height="4" rx="2" /><rect class="share" width=width height="4" rx="2" /></svg></li>
                    }
                }).collect_view();
                view! { <ul class="top-errors">{rows}</ul> }.into_any()
            })}
        </section>
    }
}
