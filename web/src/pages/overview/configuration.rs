//! The newest version and how far the nodes are with it.

use crate::data::store::{Newest, Store};
use crate::pure::{clock, format, rollout};
use crate::ui::cell;
use crate::ui::command::Command;
use crate::view::prelude::*;
use krakend_api::RolloutProgress;

/// Nodes drawn one by one; beyond, in proportion.
const BOXES: u32 = 24;
const WIDTH: f64 = 320.0;

/// Publishing while it runs, else the configuration.
#[component]
pub fn ConfigurationCell(store: Store) -> impl IntoView {
    let title = move || {
        store
            .newest
            .with(|n| match n.value.as_ref().and_then(Option::as_ref) {
                Some(n) if rollout::is_running(&n.rollout) => format!("Publishing v{}", n.number),
                _ => "Configuration".to_owned(),
            })
    };
    view! {
        <section class="cell" aria-labelledby="configuration-title">
            <div class="cell-head"><h2 id="configuration-title">{title}</h2> <span class="grow"></span> <a href="/configuration">"Open"</a></div>
            {cell::remote(store.newest, move |newest: &Option<Newest>| match newest {
                Some(newest) => version(store, newest).into_any(),
                None => nothing().into_any(),
            })}
        </section>
    }
}

fn nothing() -> impl IntoView {
    view! {
        <p class="text">"No version yet. Nodes answer 503 until one is published: " <a href="/configuration/editor">"publish the first version"</a> ", or from a shell"</p>
        <Command text="krakend-cluster-manager config publish krakend.json" />
    }
}

fn version(store: Store, newest: &Newest) -> impl IntoView + use<> {
    let progress = newest.rollout.clone();
    let running = rollout::is_running(&progress);
    let published = clock::parse(&newest.published_at);
    let (number, unit) = if running {
        (
            progress.applied.to_string(),
            format!("of {} applied", format::nodes(progress.total)),
        )
    } else {
        let on = if progress.total == 0 {
            "no node holds a seat".to_owned()
        } else {
            format!(
                "on {} of {}",
                progress.applied,
                format::nodes(progress.total)
            )
        };
        (format!("v{}", newest.number), on)
    };
    let took = progress.took_ms;
    let time = move || match (took, published) {
        (Some(ms), _) => format!("took {}", format::took(ms)),
        (None, Some(at)) if running => format::duration(store.clock_ms.get() - at),
        _ => String::new(),
    };
    let when = move || published.map(|at| store.zone().moment(at, store.clock_ms.get()));
    let message = if newest.message.is_empty() {
        "no message".to_owned()
    } else {
        newest.message.clone()
    };
    let digest = newest.digest.get(..12).unwrap_or(&newest.digest).to_owned();
    view! {
        <p class="leading">
            <strong>{number}</strong>
            <span class="unit">{unit}</span>
            <span class="grow"></span>
            <span class="beside">{time}</span>
        </p>
        {track(&progress)}
        <dl class="pairs">
            <div><dt>"Message"</dt><dd>{message}</dd></div>
            <div><dt>"Published"</dt><dd>{when} " by " {newest.author.clone()}</dd></div>
            <div><dt>"Digest"</dt><dd><code title=newest.digest.clone()>{digest}</code></dd></div>
        </dl>
    }
}

/// One box a node: applied, refused, pending.
fn track(progress: &RolloutProgress) -> impl IntoView + use<> {
    let total = progress.total.max(1);
    let label = format!(
        "{} of {} applied, {} pending, {} refused",
        progress.applied, progress.total, progress.pending, progress.refused
    );
    let class_of = |at: u32| match at {
        at if at < progress.applied => "box applied",
        at if at < progress.applied + progress.refused => "box refused",
        _ => "box pending",
    };
    let boxes = total.min(BOXES);
    let step = WIDTH / f64::from(boxes);
    let rects = (0..boxes)
        .map(|i| {
            let class = class_of(i * total / boxes);
            view! { <rect class=class x=f64::from(i) * step + 0.5 y="0.5" width=(step - 4.0).max(2.0) height="7" rx="2" /> }
        })
        .collect_view();
    view! { <svg class="track" viewBox="0 0 320 8" preserveAspectRatio="none" role="img" aria-label=label>{rects}</svg> }
}
