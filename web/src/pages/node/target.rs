//! What the node should run against what it runs.

use super::View;
use crate::data::store::Store;
use crate::pages::nodes::row;
use crate::pure::rollout::{self, Step};
use crate::pure::{clock, format};
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::Node;

/// Desired, applied, and what stands between.
#[component]
pub fn TargetCell(store: Store, page: View) -> impl IntoView {
    let diff = move || {
        let (applied, desired) = page.of(|n| (n.applied_version, n.desired_version));
        let (from, to) = (applied?, desired?);
        (from != to)
            .then(|| view! { <a href=format!("/configuration/{to}?from={from}")>"Diff"</a> })
    };
    view! {
        <section class="cell" aria-labelledby="target-title">
            <div class="cell-head"><h2 id="target-title">"Applied against desired"</h2> <span class="grow"></span> {diff}</div>
            {move || page.node.with(|n| n.as_ref().map(|n| body(store, n)))}
        </section>
    }
}

fn version(number: Option<u64>) -> AnyView {
    number.map_or_else(row::none, |v| {
        view! { <a class="strong" href=format!("/configuration/{v}")>{format!("v{v}")}</a> }
            .into_any()
    })
}

fn body(store: Store, node: &Node) -> impl IntoView + use<> {
    let digest = |text: Option<String>| {
        text.map_or_else(row::none, |d| {
            let short = d.get(..8).unwrap_or(&d).to_owned();
            view! { <code title=d>{short}</code> }.into_any()
        })
    };
    let (desired_generation, desired_digest) = store.fleet.with_untracked(|f| {
        let fleet = f.value.as_ref().and_then(Option::as_ref);
        (
            fleet.map(|f| f.generation),
            fleet.and_then(|f| f.digest.clone()),
        )
    });
    let generation = |g: Option<u64>| g.map_or_else(row::none, |g| format::integer(g).into_any());
    view! {
        <table class="table dense plain">
            <thead><tr><th></th><th class="number" scope="col">"Version"</th><th class="number" scope="col">"Generation"</th><th class="number" scope="col">"Digest"</th></tr></thead>
            <tbody>
                <tr><td>"Desired"</td><td class="number">{version(node.desired_version)}</td><td class="number">{generation(desired_generation)}</td><td class="number">{digest(desired_digest)}</td></tr>
                <tr><td>"Applied"</td><td class="number">{version(node.applied_version)}</td><td class="number">{generation(node.applied_generation)}</td><td class="number">{digest(node.applied_digest.clone())}</td></tr>
            </tbody>
        </table>
        {story(store, node)}
    }
}

/// What happened with the version, or stands in its way, in the node's own words.
fn story(store: Store, node: &Node) -> impl IntoView + use<> {
    let step = rollout::step(node);
    let (mark, words) = row::configuration(node);
    let at = node.applied_at.as_deref().and_then(clock::parse);
    let when = at.map(|at| store.zone().moment(at, store.now_ms()));
    let text = match (step, when) {
        (Step::Applied, Some(when)) => format!("Applied at {when}"),
        (Step::Applied, None) => "Applied".to_owned(),
        (Step::Applying, _) => "The node is applying it now".to_owned(),
        (Step::Pending, _) => "Waits until the node answers".to_owned(),
        (Step::Refused, _) => "The gateway refused it and goes on with what it had".to_owned(),
        (Step::None, _) => "Nothing is published for this fleet yet".to_owned(),
    };
    let refusal = node.refusal.clone().filter(|_| step == Step::Refused);
    let drift = node.drift.clone();
    view! {
        <p class="story" title=at.map(clock::utc)><MarkIcon mark /> <strong>{words}</strong> <span>{text}</span></p>
        {refusal.map(|words| view! { <pre class="quote" data-testid="refusal">{words}</pre> })}
        {drift.map(|drift| view! {
            <p class="story"><MarkIcon mark=crate::pure::event::Mark::Drift /> <strong>"Changed by somebody else"</strong> <span>{drift.reason}</span></p>
            <pre class="quote">{drift.file}</pre>
        })}
    }
}
