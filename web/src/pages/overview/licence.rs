//! The licence with its seats.

use crate::data::store::Store;
use crate::pure::event::Mark;
use crate::pure::{clock, format};
use crate::ui::cell;
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::{License, LicenseState};

/// Seats drawn one by one; beyond, in proportion.
const BOXES: u32 = 30;
const WIDTH: f64 = 320.0;

/// State, days left, seats.
#[component]
pub fn LicenceCell(store: Store) -> impl IntoView {
    let owner = move || {
        store.license.with(|l| {
            let l = l.value.as_ref()?;
            Some(match &l.subscriber {
                Some(name) => format!("{name}, {}", l.level),
                None => "none installed".to_owned(),
            })
        })
    };
    view! {
        <section class="cell" aria-labelledby="licence-title">
            <div class="cell-head">
                <h2 id="licence-title">"Licence"</h2>
                <span class="context">{owner}</span>
                <span class="grow"></span>
                <a href="/licence">"Open"</a>
            </div>
            {cell::remote(store.license, move |license: &License| body(store, license))}
        </section>
    }
}

fn body(store: Store, license: &License) -> impl IntoView + use<> {
    let (number, unit) = match (license.state, license.days_left) {
        (LicenseState::Free, _) => (
            license.free_max_nodes.to_string(),
            "nodes without a licence".to_owned(),
        ),
        (_, Some(days)) => (
            format::integer(days.unsigned_abs()),
            if days < 0 { "days over" } else { "days left" }.to_owned(),
        ),
        (_, None) => (
            license.max_nodes.to_string(),
            "seats, no end date".to_owned(),
        ),
    };
    let (mark, word, tone) = match license.state {
        LicenseState::Valid => (Mark::Applied, "valid", "tag ok"),
        LicenseState::Expiring => (Mark::Expiring, "expiring", "tag warn"),
        LicenseState::Grace => (Mark::Expiring, "in grace", "tag warn"),
        LicenseState::Free => (Mark::Pending, "free limits", "tag"),
    };
    let use_text = match license.over_by {
        0 => format!("{} of {} in use", license.seats_used, license.max_nodes),
        over => format!(
            "{} of {} in use, over by {over}: nobody new is let in",
            license.seats_used, license.max_nodes
        ),
    };
    let text = after(store, license);
    view! {
        <p class="leading">
            <strong>{number}</strong>
            <span class="unit">{unit}</span>
            <span class="grow"></span>
            <span class=tone><MarkIcon mark /> {word}</span>
        </p>
        <p class="seats-head"><span>"Seats"</span> <span>{use_text.clone()}</span></p>
        {seats(store, license, use_text)}
        <p class="note">{text}</p>
        {unverified(license).map(|text| view! { <p class="note"><MarkIcon mark=Mark::Unreachable /> {text}</p> })}
    }
}

/// Managers whose key does not fit the licence.
fn unverified(license: &License) -> Option<String> {
    let failed = license.checks.iter().filter(|it| it.problem.is_some());
    let names: Vec<_> = failed.map(|it| it.manager.as_str()).collect();
    (!names.is_empty()).then(|| format!("Not verified by {}: see the alarms.", names.join(", ")))
}

/// What happens next, in one sentence.
fn after(store: Store, license: &License) -> String {
    let day = |text: &Option<String>| {
        let at = text.as_deref().and_then(clock::parse)?;
        Some(store.zone().day(at, store.now_ms()))
    };
    let free = format!(
        "the free limits of {}",
        format::nodes(license.free_max_nodes)
    );
    match (
        license.state,
        day(&license.expires_at),
        day(&license.grace_ends_at),
    ) {
        (LicenseState::Free, ..) => "Traffic of seated nodes does not stop.".to_owned(),
        (LicenseState::Grace, _, Some(end)) => {
            format!("Grace ends on {end}, then {free}. Traffic does not stop.")
        }
        (_, Some(end), Some(grace)) => {
            format!("After {end}: grace until {grace}, then {free}. Traffic does not stop.")
        }
        (_, Some(end), None) => format!("After {end}: {free}. Traffic does not stop."),
        _ => String::new(),
    }
}

fn seats(store: Store, license: &License, label: String) -> impl IntoView + use<> {
    let silent = store.nodes.with_untracked(|nodes| {
        let nodes = nodes.value.as_deref().unwrap_or_default();
        let held =
            |n: &&krakend_api::Node| n.holds_seat && n.state != krakend_api::NodeState::Active;
        u32::try_from(nodes.iter().filter(held).count()).unwrap_or(0)
    });
    let total = license.max_nodes.max(license.seats_used).max(1);
    let answering = license.seats_used.saturating_sub(silent);
    let boxes = total.min(BOXES);
    let step = WIDTH / f64::from(boxes);
    let rects = (0..boxes)
        .map(|i| {
            let class = match i * total / boxes {
                at if at < answering => "box seat",
                at if at < license.seats_used => "box silent",
                _ => "box free",
            };
            view! { <rect class=class x=f64::from(i) * step + 0.5 y="0.5" width=(step - 4.0).max(2.0) height="7" rx="2" /> }
        })
        .collect_view();
    view! { <svg class="track" viewBox="0 0 320 8" preserveAspectRatio="none" role="img" aria-label=label>{rects}</svg> }
}
