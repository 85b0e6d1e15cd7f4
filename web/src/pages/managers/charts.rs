//! Entries, lag and leaders over time. The first two are measured by this page since it was opened, and say so.

use crate::data::store::{Remote, Store};
use crate::pure::chart::{Chart, Sample, Series};
use crate::pure::{format, scale, timeline};
use crate::ui::cell;
use crate::ui::chart::LineChart;
use crate::view::prelude::*;
use krakend_api::EventList;

const DAY_MS: i64 = 86_400_000;
const LINES: [&str; 6] = ["s-p99", "s-p90", "s-p50", "s-p999", "s-p90", "s-p50"];

fn frame(store: Store, series: Vec<Series>) -> Chart {
    let now = store.clock_ms.get();
    let first = store.lags.with(|l| l.first().map_or(now, |l| l.at_ms));
    Chart {
        from: first.min(now - 600_000),
        to: now,
        logarithmic: false,
        series,
        moments: Vec::new(),
        offset_min: store.zone().offset_min,
    }
}

fn since(store: Store) -> impl Fn() -> Option<String> {
    move || {
        store.lags.with(|l| {
            l.first()
                .map(|l| format!("since {}, by this page", store.zone().minutes(l.at_ms)))
        })
    }
}

/// Entries committed per second.
#[component]
pub fn EntriesCell(store: Store) -> impl IntoView {
    let samples = Memo::new(move |_| {
        store.lags.with(|lags| {
            lags.windows(2)
                .filter(|w| w[1].at_ms > w[0].at_ms && w[0].applied_index > 0)
                .map(|w| Sample {
                    from: w[0].at_ms,
                    to: w[1].at_ms,
                    value: Some(
                        w[1].applied_index.saturating_sub(w[0].applied_index) as f64
                            / (w[1].at_ms - w[0].at_ms) as f64
                            * 1000.0,
                    ),
                })
                .collect::<Vec<_>>()
        })
    });
    let chart = Memo::new(move |_| {
        frame(
            store,
            vec![Series {
                class: "s-all",
                label: "",
                area: true,
                samples: samples.get(),
            }],
        )
    });
    let now = move || samples.with(|s| s.last().and_then(|s| s.value));
    let sentence = Signal::derive(move || {
        format!(
            "Entries per second since the page was opened; now {}.",
            now().map_or_else(|| format::NO_DATA.to_owned(), format::rate)
        )
    });
    view! {
        <section class="cell" aria-labelledby="entries-title">
            <div class="cell-head"><h2 id="entries-title">"Log entries per second"</h2> <span class="context">{since(store)}</span></div>
            <LineChart chart sentence hover=store.hover />
        </section>
    }
}

/// How far each follower is behind.
#[component]
pub fn BehindCell(store: Store) -> impl IntoView {
    let chart = Memo::new(move |_| {
        let series = store.lags.with(|lags| {
            let mut names: Vec<String> = lags
                .last()
                .map(|l| l.behind.iter().map(|b| b.0.clone()).collect())
                .unwrap_or_default();
            crate::pure::order::sort_texts(&mut names);
            names
                .iter()
                .zip(LINES)
                .map(|(name, class)| {
                    let at = |l: &crate::data::store::Lag| {
                        l.behind.iter().find(|b| b.0 == *name).map(|b| b.1 as f64)
                    };
                    let samples = lags
                        .windows(2)
                        .map(|w| Sample {
                            from: w[0].at_ms,
                            to: w[1].at_ms,
                            value: at(&w[1]),
                        })
                        .collect();
                    Series {
                        class,
                        label: "",
                        area: false,
                        samples,
                    }
                })
                .collect::<Vec<_>>()
        });
        frame(store, series)
    });
    let keys = move || {
        let mut names: Vec<String> = store.lags.with(|l| {
            l.last()
                .map(|l| l.behind.iter().map(|b| b.0.clone()).collect())
                .unwrap_or_default()
        });
        crate::pure::order::sort_texts(&mut names);
        names.into_iter().zip(LINES).map(|(name, class)| view! { <span class="legend"><svg width="14" height="4" aria-hidden="true"><line class=format!("line {class}") x1="0" x2="14" y1="2" y2="2" /></svg> {name}</span> }).collect_view()
    };
    let unknown = move || {
        store
            .lags
            .with(|l| l.last().is_some_and(|l| l.behind.is_empty()))
    };
    let sentence = Signal::stored(
        "Entries that each manager is behind the leader, since the page was opened.".to_owned(),
    );
    view! {
        <section class="cell" aria-labelledby="behind-title">
            <div class="cell-head"><h2 id="behind-title">"Entries behind the leader"</h2> <span class="grow"></span> {keys}</div>
            {move || if unknown() {
                view! { <p class="calm">"No data: this manager does not know, and the leader does not answer."</p> }.into_any()
            } else {
                view! { <LineChart chart sentence hover=store.hover /> }.into_any()
            }}
        </section>
    }
}

/// Who led in the last day, by the events.
#[component]
pub fn LeadersCell(store: Store, events: RwSignal<Remote<EventList>>) -> impl IntoView {
    view! {
        <section class="cell" aria-labelledby="leaders-title">
            <div class="cell-head"><h2 id="leaders-title">"Who led"</h2> <span class="context">"last 24 h"</span></div>
            {cell::remote(events, move |events: &EventList| lanes(store, events))}
        </section>
    }
}

fn lanes(store: Store, events: &EventList) -> AnyView {
    const LEFT: f64 = 78.0;
    const WIDTH: f64 = 360.0;
    let now = store.now_ms();
    // A young group is shown closely.
    let first = events
        .events
        .last()
        .and_then(|e| crate::pure::clock::parse(&e.time))
        .unwrap_or(now - DAY_MS);
    let span = (now - first).clamp(600_000, DAY_MS);
    let range = (now - span, now);
    let led = timeline::leaders(&events.events, range);
    if led.is_empty() {
        return view! { <p class="calm">"No election in this time."</p> }.into_any();
    }
    let mut names: Vec<String> = store
        .managers
        .with_untracked(|m| m.value.iter().flatten().map(|m| m.name.clone()).collect());
    names.extend(led.iter().map(|l| l.0.clone()));
    crate::pure::order::sort_texts(&mut names);
    names.dedup();
    names.truncate(7);
    let height = 26.0 * names.len() as f64 + 26.0;
    let x = |share: f64| LEFT + share * (WIDTH - LEFT);
    let rows = names.iter().enumerate().map(|(n, name)| {
        let y = 22.0 + 26.0 * n as f64;
        view! { <text class="axis" x="0" y=y + 4.0>{name.clone()}</text> <line class="grid" x1=LEFT x2=WIDTH y1=y y2=y /> }
    }).collect_view();
    let mut last_label = -100.0;
    let bars = led.iter().filter_map(|(name, s)| {
        let y = 22.0 + 26.0 * names.iter().position(|n| n == name)? as f64;
        let width = (x(s.to) - x(s.from)).max(3.0);
        let leads = s.to >= 1.0;
        let room = x(s.from) - last_label > 46.0 && width > 30.0;
        if room {
            last_label = x(s.from);
        }
        let title = format!("{name}, {} from {}", s.label, store.zone().moment(s.at_ms, now));
        Some(view! {
            <rect class=if leads { "led now" } else { "led" } x=x(s.from) y=y - 4.0 width=width height="8" rx="1.5"><title>{title}</title></rect>
            {room.then(|| view! { <text class="axis" x=x(s.from) y=y - 8.0>{s.label.clone()}</text> })}
        })
    }).collect_view();
    let ticks = scale::time_ticks(range.0, range.1, 5, store.zone().offset_min).into_iter().map(|at| {
        let share = (at - range.0) as f64 / (range.1 - range.0) as f64;
        view! { <text class="axis axis-x" x=x(share) y=height - 6.0>{store.zone().minutes(at)}</text> }
    }).collect_view();
    view! { <svg class="lanes" viewBox=format!("0 0 360 {height}") role="img" aria-label="Who led when">{rows} {bars} {ticks}</svg> }.into_any()
}
