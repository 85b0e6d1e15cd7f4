//! Publishing, node by node. Without batches it is one column.

use super::View;
use crate::data::store::Store;
use crate::pages::nodes::row;
use crate::pure::rollout::{self, Step};
use crate::pure::{clock, format};
use crate::ui::mark::{self, MarkIcon};
use crate::view::prelude::*;
use krakend_api::{Node, NodeState};

const SHOWN: usize = 24;
const TRACK: f64 = 600.0;

/// Shown for the newest version only.
#[component]
pub fn Progress(store: Store, page: View) -> impl IntoView {
    let newest = Memo::new(move |_| {
        let first = page.versions.with(|v| v.first().map(|v| v.number));
        first.is_some() && first == page.shown.with(|s| s.as_ref().map(|s| s.number))
    });
    move || {
        newest.get().then(|| {
            store.newest.with(|n| {
                n.value.as_ref().and_then(Option::as_ref).map(|n| {
                    let running = rollout::is_running(&n.rollout);
                    let published = clock::parse(&n.published_at);
                    let p = n.rollout.clone();
                    let title = if running { format!("Publishing v{}", n.number) } else { format!("Published v{}", n.number) };
                    let text = if p.total == 0 {
                        "no node holds a seat".to_owned()
                    } else {
                        let part = |count: u32, word: &str| (count > 0).then(|| format!(", {count} {word}")).unwrap_or_default();
                        format!("{} of {} applied{}{}", p.applied, p.total, part(p.pending, "pending"), part(p.refused, "refused"))
                    };
                    let took = p.took_ms;
                    let time = move || match (took, published) {
                        (Some(ms), _) => format!("took {}", format::took(ms)),
                        (None, Some(at)) if running => format::duration(store.clock_ms.get() - at),
                        _ => String::new(),
                    };
                    let done = f64::from(p.applied) / f64::from(p.total.max(1)) * TRACK;
                    let number = n.number;
                    view! {
                        <section class="cell publishing" aria-labelledby="publishing-title" data-testid="progress" data-applied=p.applied data-total=p.total data-version=number>
                            <div class="cell-head"><h2 id="publishing-title">{title}</h2> <span class="context">{text}</span> <span class="grow"></span> <span class="context">{time}</span></div>
                            <svg class="publish-track" viewBox="0 0 600 4" preserveAspectRatio="none" aria-hidden="true"><rect class="rest" width=TRACK height="4" /><rect class="done" width=done height="4" /></svg>
                            {nodes(store, number)}
                        </section>
                    }
                })
            })
        })
    }
}

fn nodes(store: Store, number: u64) -> impl IntoView {
    move || {
        store.nodes.with(|n| {
            let mut seated: Vec<&Node> = n
                .value
                .iter()
                .flatten()
                .filter(|n| n.holds_seat && n.desired_version == Some(number))
                .collect();
            crate::pure::order::sort_by(&mut seated, |a, b| {
                let rank = |n: &krakend_api::Node| order(rollout::step(n));
                rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name))
            });
            let more = seated.len().saturating_sub(SHOWN);
            let rows = seated.into_iter().take(SHOWN).map(|n| line(store, n)).collect_view();
            view! {
                <ul class="publish-nodes">{rows}</ul>
                {(more > 0).then(|| view! { <p class="calm">{format!("and {more} more: ")} <a href="/nodes?configuration=behind">"those behind"</a></p> })}
            }
        })
    }
}

/// What is unfinished is seen first.
fn order(step: Step) -> u8 {
    match step {
        Step::Refused => 0,
        Step::Applying => 1,
        Step::Pending => 2,
        Step::Applied | Step::None => 3,
    }
}

fn line(store: Store, node: &Node) -> impl IntoView + use<> {
    let step = rollout::step(node);
    let silent = node.state != NodeState::Active && step != Step::Applied;
    let word = match (step, silent) {
        (Step::Applied, _) => String::new(),
        (_, true) => format!("held, {}", mark::of_node(node.state).1),
        (step, false) => step.word().to_owned(),
    };
    let mark = if silent {
        crate::pure::event::Mark::Held
    } else {
        row::configuration(node).0
    };
    let at = node
        .applied_at
        .as_deref()
        .and_then(clock::parse)
        .filter(|_| step == Step::Applied);
    let when = at.map(|at| store.zone().moment(at, store.now_ms()));
    view! {
        <li data-testid="publish-node" data-name=node.name.clone() data-step=step.word()>
            <MarkIcon mark />
            <a href=format!("/nodes/{}", node.id)>{node.name.clone()}</a>
            <span class="word" class:bad=step == Step::Refused title=node.refusal.clone()>{word}</span>
            <span class="grow"></span>
            <time title=at.map(clock::utc)>{when}</time>
        </li>
    }
}
