//! What one version changed: by endpoint first, then the documents.

use super::View;
use super::source::Document;
use crate::data::resource;
use crate::data::store::Store;
use crate::pure::{clock, route};
use crate::ui::cell;
use crate::ui::control::Segments;
use crate::ui::diff::{SideBySide, Unified};
use crate::view::prelude::*;
use krakend_api::{ChangeKind, ConfigurationChange, ConfigurationDiff, VersionSummary};

/// Structural lines, then side by side or unified.
#[component]
pub fn Compare(store: Store, page: View) -> impl IntoView {
    let sides = RwSignal::new("side".to_owned());
    let diff = resource::live::<ConfigurationDiff>(store, move || {
        let fleet = store.fleet_name.get();
        match (page.against.get(), page.shown.get()) {
            (Some(from), Some(to)) => format!(
                "/v1/fleets/{}/diff?from={}&to={}",
                route::encode(&fleet),
                from.number,
                to.number
            ),
            _ => String::new(),
        }
    });
    let choices = vec![
        ("side".to_owned(), "Side by side"),
        ("unified".to_owned(), "Unified"),
        ("document".to_owned(), "Document"),
    ];
    let title = move || match (page.against.get(), page.shown.get()) {
        (Some(from), Some(to)) => format!("v{} to v{}", from.number, to.number),
        (None, Some(to)) => format!("v{}, the first version", to.number),
        _ => String::new(),
    };
    let counts = move || diff.with(|d| d.value.as_ref().map(counts));
    view! {
        <section class="compare" aria-labelledby="compare-title">
            <div class="cell-head">
                <h2 id="compare-title">{title}</h2>
                <span class="context">{counts}</span>
                <span class="grow"></span>
                <Segments label="How to show it" choices chosen=sides choose=move |s| sides.set(s) />
            </div>
            {move || {
                let first = page.against.with(Option::is_none);
                if first || sides.get() == "document" {
                    return view! { <Document store page /> }.into_any();
                }
                let side = sides.get() == "side";
                cell::remote(diff, move |d: &ConfigurationDiff| body(store, page, d, side)).into_any()
            }}
        </section>
    }
}

fn counts(diff: &ConfigurationDiff) -> String {
    let endpoints = |n: u32| {
        if n == 1 {
            "1 endpoint".to_owned()
        } else {
            format!("{n} endpoints")
        }
    };
    let mut parts = Vec::new();
    if diff.endpoints_changed > 0 {
        parts.push(format!("{} changed", endpoints(diff.endpoints_changed)));
    }
    if diff.endpoints_added > 0 {
        parts.push(format!("{} added", diff.endpoints_added));
    }
    if diff.endpoints_removed > 0 {
        parts.push(format!("{} removed", diff.endpoints_removed));
    }
    if parts.is_empty() {
        "no endpoint changed".to_owned()
    } else {
        parts.join(", ")
    }
}

fn body(store: Store, page: View, diff: &ConfigurationDiff, side: bool) -> impl IntoView + use<> {
    let same = diff.changes.is_empty();
    let head = move |v: Option<VersionSummary>| {
        v.map(|v| {
        let at = clock::parse(&v.published_at);
        let when = at.map(|at| store.zone().moment(at, store.now_ms()));
        view! { <strong>{format!("v{}", v.number)}</strong> <code title=v.digest.clone()>{v.digest.get(..8).unwrap_or_default().to_owned()}</code> <span title=at.map(clock::utc)>{v.author} ", " {when}</span> }
    })
    };
    let unified = diff.unified.clone();
    view! {
        <Changes changes=diff.changes.clone() />
        {same.then(|| view! { <p class="cell calm">"Both have the same content."</p> })}
        {(!same && side).then(|| view! { <div class="diff-heads"><p>{head(page.against.get_untracked())}</p><p>{head(page.shown.get_untracked())}</p></div> })}
        {(!same).then(|| if side { view! { <SideBySide unified /> }.into_any() } else { view! { <Unified unified /> }.into_any() })}
    }
}

/// `~ GET /v1/orders/{id} timeout 2s, then 3s`.
#[component]
pub fn Changes(changes: Vec<ConfigurationChange>) -> impl IntoView {
    let lines = changes
        .into_iter()
        .map(|change| {
            let (sign, class, word) = match change.kind {
                ChangeKind::Added => ("+", "sign new", "added"),
                ChangeKind::Changed => ("~", "sign", "changed"),
                ChangeKind::Removed => ("\u{2212}", "sign old", "removed"),
            };
            let subject = match (&change.method, &change.endpoint) {
                (Some(method), Some(endpoint)) => format!("{method} {endpoint}"),
                _ => change.subject.clone(),
            };
            let details = if change.details.is_empty() { word.to_owned() } else { change.details.join(", ") };
            // The font has no arrow.
            let details = details.replace('\u{2192}', "to");
            view! { <li><span class=class aria-label=word>{sign}</span> <code>{subject}</code> <span>{details}</span></li> }
        })
        .collect_view();
    view! { <ul class="changes" data-testid="changes">{lines}</ul> }
}
