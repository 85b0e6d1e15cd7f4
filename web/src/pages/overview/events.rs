//! What just happened, newest first.

use crate::data::store::Store;
use crate::pure::{clock, event};
use crate::ui::cell;
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::Event;

const SHOWN: usize = 14;

/// The newest events.
#[component]
pub fn EventsCell(store: Store) -> impl IntoView {
    view! {
        <section class="cell events" aria-labelledby="events-title">
            <div class="cell-head"><h2 id="events-title">"Events"</h2> <span class="grow"></span> <a href="/events">"All events"</a></div>
            {cell::remote(store.events, move |events: &Vec<Event>| list(store, events))}
        </section>
    }
}

fn list(store: Store, events: &[Event]) -> AnyView {
    if events.is_empty() {
        return view! { <p class="calm">"Nothing has happened yet."</p> }.into_any();
    }
    let rows = events
        .iter()
        .take(SHOWN)
        .map(|e| row(store, e))
        .collect_view();
    view! { <ul class="rows event-rows" tabindex="0" aria-labelledby="events-title">{rows}</ul> }
        .into_any()
}

fn row(store: Store, event: &Event) -> impl IntoView + use<> {
    let at = clock::parse(&event.time);
    let time = move || at.map(|at| store.zone().event(at, store.now_ms()));
    let message = event.message.clone();
    view! {
        <li>
            <time title=at.map(clock::utc)>{time}</time>
            <MarkIcon mark=event::mark(event.kind) />
            <span title=message.clone()>{message.clone()}</span>
        </li>
    }
}
