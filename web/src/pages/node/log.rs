//! The newest lines of the node program and its gateway.

use super::View;
use crate::data::resource;
use crate::data::store::{Remote, Store};
use crate::pure::clock;
use crate::pure::event::Mark;
use crate::ui::cell;
use crate::ui::control::Choice;
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::{NodeLog, NodeLogLine};
use leptos::html::Div;

const LEVELS: [&str; 4] = ["ERROR", "WARN", "INFO", "DEBUG"];
const LINES: u32 = 200;

/// Follows until it is paused.
#[component]
pub fn LogCell(store: Store, page: View) -> impl IntoView {
    let follows = RwSignal::new(true);
    let level = RwSignal::new("INFO".to_owned());
    let log = resource::live::<NodeLog>(store, move || {
        if follows.get() {
            page.id
                .with_value(|id| format!("/v1/nodes/{id}/log?lines={LINES}&consistency=stale"))
        } else {
            String::new()
        }
    });
    // A pause keeps what is there.
    let shown = RwSignal::new(Remote::<NodeLog>::default());
    Effect::new(move |_| {
        let new = log.get();
        if new.value.is_some() || new.failure.is_some() {
            shown.set(new);
        }
    });
    let host = NodeRef::<Div>::new();
    Effect::new(move |_| {
        shown.track();
        if let Some(element) = host.get()
            && follows.get()
        {
            element.set_scroll_top(element.scroll_height());
        }
    });
    let choices: Vec<(String, String)> = [
        ("ERROR", "error"),
        ("WARN", "warn and above"),
        ("INFO", "info and above"),
        ("DEBUG", "all"),
    ]
    .map(|(v, w)| (v.to_owned(), w.to_owned()))
    .to_vec();
    view! {
        <section class="cell log-cell" aria-labelledby="log-title">
            <div class="cell-head">
                <h2 id="log-title">"Gateway log"</h2>
                {move || follows.get().then(|| view! { <span class="tag"><MarkIcon mark=Mark::Live /> "following"</span> })}
                <span class="grow"></span>
                <Choice label="Level" choices=Signal::stored(choices) chosen=level choose=move |l| level.set(l) />
                <button type="button" class="link" on:click=move |_| follows.update(|f| *f = !*f)>{move || if follows.get() { "Pause" } else { "Follow" }}</button>
            </div>
            <div class="log" node_ref=host tabindex="0" role="log" aria-label="Log lines">
                {cell::remote(shown, move |log: &NodeLog| lines(store, log, &level.get()))}
            </div>
        </section>
    }
}

fn lines(store: Store, log: &NodeLog, level: &str) -> AnyView {
    let rank = |l: &str| LEVELS.iter().position(|known| *known == l).unwrap_or(2);
    let most = rank(level);
    let found: Vec<&NodeLogLine> = log
        .lines
        .iter()
        .filter(|l| rank(&l.level) <= most)
        .collect();
    if found.is_empty() {
        return view! { <p class="calm">"No line of this level."</p> }.into_any();
    }
    found
        .into_iter()
        .map(|line| {
            let at = clock::parse(&line.time);
            let time = at.map_or_else(|| line.time.clone(), |at| format!("{}.{:03}", store.zone().seconds(at), at.rem_euclid(1000)));
            let class = format!("level {}", line.level.to_lowercase());
            view! {
                <p class="log-line"><time title=at.map(clock::utc)>{time}</time> <b class=class>{line.level.clone()}</b> <span>{line.source.clone()} ": " {line.message.clone()}</span></p>
            }
        })
        .collect_view()
        .into_any()
}
