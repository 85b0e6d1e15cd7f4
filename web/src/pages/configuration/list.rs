//! All versions, newest first.

use super::View;
use crate::data::navigation;
use crate::data::store::Store;
use crate::pure::event::Mark;
use crate::pure::{clock, rollout};
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::VersionSummary;

/// The list; two can be chosen to compare.
#[component]
pub fn List(store: Store, page: View) -> impl IntoView {
    let comparing = RwSignal::new(false);
    let rows = move || {
        page.versions.with(|versions| {
            let newest = versions.first().map(|v| v.number);
            versions
                .iter()
                .map(|v| row(store, page, comparing, v, newest == Some(v.number)))
                .collect_view()
        })
    };
    view! {
        <section class="version-list" aria-labelledby="versions-title">
            <div class="list-head">
                <h2 id="versions-title">"Versions"</h2>
                <span class="grow"></span>
                <button type="button" class="link" aria-pressed=move || comparing.get().to_string() on:click=move |_| comparing.update(|c| *c = !*c)>
                    {move || if comparing.get() { "Done" } else { "Compare two" }}
                </button>
            </div>
            {move || comparing.get().then(|| view! { <p class="list-note">"Choose what the shown version is compared with."</p> })}
            <ul>{rows}</ul>
        </section>
    }
}

/// Nodes that run a version, of those that hold a seat.
fn on(store: Store, number: u64) -> (usize, usize) {
    store.nodes.with(|n| {
        let nodes = n.value.as_deref().unwrap_or_default();
        let seated = || nodes.iter().filter(|n| n.holds_seat);
        (
            seated()
                .filter(|n| n.applied_version == Some(number))
                .count(),
            seated().count(),
        )
    })
}

fn state(store: Store, number: u64, newest: bool) -> (Mark, String) {
    let (running, all) = on(store, number);
    let refused: Vec<String> = store.nodes.with(|n| {
        let nodes = n.value.iter().flatten();
        let refused = nodes.filter(|n| n.desired_version == Some(number) && n.refusal.is_some());
        refused.map(|n| n.name.clone()).collect()
    });
    if let Some(first) = refused.first() {
        let more = refused.len() - 1;
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        return (Mark::Refused, format!("refused by {first}{more}"));
    }
    let publishing = newest
        && store.newest.with(|n| {
            let newest = n.value.as_ref().and_then(Option::as_ref);
            newest.is_some_and(|n| n.number == number && rollout::is_running(&n.rollout))
        });
    match (publishing, newest, running) {
        (true, ..) => (Mark::Applying, format!("publishing, {running} of {all}")),
        (_, true, _) if all == 0 => (Mark::Pending, "no node yet".to_owned()),
        (_, true, _) => (Mark::Applied, format!("on {running} of {all}")),
        (_, _, 0) => (Mark::Applied, "replaced".to_owned()),
        _ => (Mark::Held, format!("still on {running} of {all}")),
    }
}

fn row(
    store: Store,
    page: View,
    comparing: RwSignal<bool>,
    version: &VersionSummary,
    newest: bool,
) -> impl IntoView + use<> {
    let number = version.number;
    let at = clock::parse(&version.published_at);
    let when = move || at.map(|at| store.zone().event_short(at, store.clock_ms.get()));
    let state = Memo::new(move |_| state(store, number, newest));
    let current = move || {
        page.shown
            .with(|s| s.as_ref().is_some_and(|s| s.number == number))
    };
    let against = move || {
        page.against
            .with(|s| s.as_ref().is_some_and(|s| s.number == number))
    };
    let message = if version.message.is_empty() {
        "no message".to_owned()
    } else {
        version.message.clone()
    };
    let href = move || match (
        comparing.get(),
        page.shown.with(|s| s.as_ref().map(|s| s.number)),
    ) {
        (true, Some(shown)) if shown != number => format!("/configuration/{shown}?from={number}"),
        _ => format!("/configuration/{number}"),
    };
    let open = move |e: web_sys::MouseEvent| {
        // The list stays where it is scrolled to.
        e.prevent_default();
        navigation::go(store, &href());
    };
    view! {
        <li>
            <a class="version row-link" href=href class:against=against aria-current=move || current().then_some("true") data-testid="version" data-number=number on:click=open>
                <span class="version-head">
                    <strong>{format!("v{number}")}</strong>
                    {move || { let (mark, word) = state.get(); view! { <MarkIcon mark /> <span class:bad=mark == Mark::Refused>{word}</span> } }}
                    <span class="grow"></span>
                    <time title=at.map(clock::utc)>{when}</time>
                </span>
                <span class="version-text">{message} " " <small>{version.author.clone()}</small></span>
            </a>
        </li>
    }
}
