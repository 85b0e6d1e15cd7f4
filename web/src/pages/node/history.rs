//! What the node was in the last days, by its events.

use super::View;
use crate::data::api::{self, Failure};
use crate::data::store::{Remote, Store};
use crate::pure::timeline::{self, Stretch};
use crate::pure::{clock, format, order};
use crate::ui::cell;
use crate::view::prelude::*;
use krakend_api::{EventKind, EventList};
use leptos::task::spawn_local;

const DAYS: i64 = 14;
const DAY_MS: i64 = 86_400_000;
const WIDTH: f64 = 640.0;
/// Events of one answer, and how many answers are asked for at most when the page opens.
const PAGE: usize = 1_000;
const MAX_PAGES: usize = 20;

/// The node's own events of these days: all of them once, then what is new with every beat.
pub fn events(store: Store, id: String) -> RwSignal<Remote<EventList>> {
    let into = RwSignal::new(Remote::<EventList>::default());
    Effect::new(move |before: Option<()>| {
        store.beat.track();
        let (id, pages) = (id.clone(), if before.is_none() { MAX_PAGES } else { 1 });
        let since = store.now_ms() - DAYS * DAY_MS;
        spawn_local(async move {
            let read = read(&id, pages, since).await;
            // The page may be gone by now.
            into.try_update(|into| match read {
                Ok(list) => {
                    into.failure = None;
                    merge(into.value.get_or_insert_with(none), list);
                }
                Err(failure) => into.failure = Some(failure.text()),
            });
        });
    });
    into
}

/// Newest first; only those about the node, so that few are kept.
async fn read(id: &str, pages: usize, since: i64) -> Result<EventList, Failure> {
    let mut found = none();
    let mut cursor = String::new();
    for _ in 0..pages {
        let path = format!("/v1/events?history=true&limit={PAGE}&consistency=stale{cursor}");
        let list: EventList = api::get(&path).await?;
        let last = list.events.last().and_then(|e| clock::parse(&e.time));
        let own = list.events.into_iter();
        found
            .events
            .extend(own.filter(|e| e.subject_id.as_deref() == Some(id)));
        match list.next_cursor {
            Some(next) if last.is_none_or(|at| at >= since) => cursor = format!("&cursor={next}"),
            _ => break,
        }
    }
    Ok(found)
}

fn none() -> EventList {
    EventList {
        events: Vec::new(),
        oldest_index: 0,
        next_cursor: None,
    }
}

/// Answers may come in any order, and overlap.
fn merge(all: &mut EventList, more: EventList) {
    all.events.extend(more.events);
    order::sort_by(&mut all.events, |a, b| {
        (b.index, b.position).cmp(&(a.index, a.position))
    });
    all.events.dedup_by_key(|e| (e.index, e.position));
}

/// One line of 14 days with the versions that were applied.
#[component]
pub fn HistoryCell(store: Store, page: View) -> impl IntoView {
    view! {
        <section class="cell" aria-labelledby="history-title">
            <div class="cell-head"><h2 id="history-title">"History, 14 days"</h2> <span class="grow"></span> <span class="context">{move || page.events.with(|e| e.value.as_ref().map(|e| summary(store, page, e)))}</span></div>
            {cell::remote(page.events, move |events: &EventList| line(store, page, events))}
        </section>
    }
}

fn stretches(store: Store, page: View, events: &EventList) -> (Vec<Stretch>, (i64, i64)) {
    let now = store.now_ms();
    let range = (now - DAYS * DAY_MS, now);
    let joined = page.time(|n| Some(n.joined_at.clone()));
    let found = page
        .id
        .with_value(|id| timeline::history(&events.events, id, joined, range));
    (found, range)
}

fn summary(store: Store, page: View, events: &EventList) -> String {
    let (line, range) = stretches(store, page, events);
    let totals = timeline::totals(&line, range);
    let all: i64 = totals.iter().map(|t| t.1).sum();
    let parts = totals.iter().map(|(kind, ms)| match *kind {
        "active" => format!(
            "active {} %",
            format::percent(*ms as f64 / all.max(1) as f64)
        ),
        kind => format!("{kind} {}", format::duration(*ms)),
    });
    parts.collect::<Vec<_>>().join(", ")
}

fn line(store: Store, page: View, events: &EventList) -> impl IntoView + use<> {
    let (found, range) = stretches(store, page, events);
    let zone = store.zone();
    let now = store.now_ms();
    let rects = found
        .iter()
        .map(|s| {
            let title = format!("{} from {}", s.label, zone.moment(s.at_ms, now));
            let width = ((s.to - s.from) * WIDTH).max(2.0);
            view! { <rect class=format!("state {}", s.kind) x=s.from * WIDTH y="20" width=width height="10"><title>{title}</title></rect> }
        })
        .collect_view();
    let share = |at: i64| (at - range.0) as f64 / (range.1 - range.0) as f64 * WIDTH;
    let mut last = -100.0;
    let versions = page.id.with_value(|id| {
        let mut applied: Vec<(f64, String)> = events
            .events
            .iter()
            .filter(|e| e.kind == EventKind::VersionApplied && e.subject_id.as_deref() == Some(id))
            .filter_map(|e| Some((share(clock::parse(&e.time)?), format!("v{}", e.version?))))
            .filter(|(x, _)| *x >= 0.0)
            .collect();
        applied.reverse();
        applied
            .into_iter()
            .map(|(x, label)| {
                // Labels that would lie over each other are left out; the stroke stays.
                let room = x - last > 30.0;
                if room {
                    last = x;
                }
                let label_x = if x > WIDTH - 30.0 { x - 4.0 } else { x + 4.0 };
                let anchor = if x > WIDTH - 30.0 {
                    "axis axis-y applied"
                } else {
                    "axis applied"
                };
                view! {
                    <line class="applied-line" x1=x x2=x y1="10" y2="34" />
                    {room.then(|| view! { <text class=anchor x=label_x y="14">{label}</text> })}
                }
            })
            .collect_view()
    });
    let days = (1..DAYS)
        .step_by(2)
        .map(|day| {
            let at = range.0 + day * DAY_MS;
            view! { <text class="axis axis-x" x=share(at) y="48">{zone.day(at, now)}</text> }
        })
        .collect_view();
    view! {
        <svg class="history" viewBox="0 0 640 52" role="img" aria-label="States of the last 14 days">
            <rect class="state unknown" x="0" y="20" width=WIDTH height="10" />
            {rects} {versions} {days}
        </svg>
    }
}
