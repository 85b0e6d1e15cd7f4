//! The sentence, and what wants an operator.

use crate::data::store::Store;
use crate::pure::attention;
use crate::pure::verdict::{Facts, Tone, Verdict};
use crate::ui::cell::Waiting;
use crate::ui::icon::{Icon, IconView};
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;

const SHOWN: usize = 5;

/// State and consequence.
#[component]
pub fn VerdictCell(store: Store) -> impl IntoView {
    let verdict = Memo::new(move |_| judge(store));
    view! {
        <section class="cell verdict-cell" class:bad=move || verdict.get().is_some_and(|v| v.tone == Tone::Bad) aria-live="polite">
            {move || match verdict.get() {
                None => view! { <Waiting /> }.into_any(),
                Some(verdict) => {
                    let lines = verdict.lines.into_iter().map(|line| view! { <p>{line}</p> }).collect_view();
                    view! {
                        <MarkIcon mark=verdict.mark />
                        <div>
                            <h2 data-testid="verdict">{verdict.title}</h2>
                            {lines}
                        </div>
                    }
                    .into_any()
                }
            }}
        </section>
    }
}

fn judge(store: Store) -> Option<Verdict> {
    let newest = store.newest.with(|n| {
        let newest = n.value.as_ref().and_then(Option::as_ref);
        newest.map(|n| (n.number, n.rollout.clone()))
    });
    let requests_per_s = store.now.get().requests_per_s;
    store.status.with(|status| {
        store.nodes.with(|nodes| {
            Some(Verdict::of(&Facts {
                status: status.value.as_ref()?,
                nodes: nodes.value.as_ref()?,
                requests_per_s,
                newest,
                now_ms: store.clock_ms.get(),
                zone: store.zone(),
            }))
        })
    })
}

/// What wants an operator.
#[component]
pub fn AttentionCell(store: Store) -> impl IntoView {
    let items = Memo::new(move |_| collect(store));
    view! {
        <section class="cell attention" aria-labelledby="attention-title">
            <h2 id="attention-title">
                "Needs attention"
                <span class="count">{move || Some(items.with(Vec::len)).filter(|n| *n > 0)}</span>
            </h2>
            {move || {
                let list = items.get();
                if list.is_empty() {
                    return view! { <p class="calm">"Nothing needs you."</p> }.into_any();
                }
                let more = list.len().saturating_sub(SHOWN);
                let rows = list.into_iter().take(SHOWN).map(|item| view! {
                    <li>
                        <a href=item.href>
                            <MarkIcon mark=item.mark />
                            <strong>{item.title}</strong>
                            <span>{item.detail}</span>
                            <IconView icon=Icon::Right />
                        </a>
                    </li>
                }).collect_view();
                view! {
                    <ul>{rows}</ul>
                    {(more > 0).then(|| view! { <p class="calm">{format!("and {more} more")}</p> })}
                }
                .into_any()
            }}
        </section>
    }
}

fn collect(store: Store) -> Vec<attention::Item> {
    let (status, managers, nodes) = (store.status.get(), store.managers.get(), store.nodes.get());
    let (newest, license) = (store.newest.get(), store.license.get());
    let newest = newest.value.as_ref().and_then(Option::as_ref);
    attention::items(&attention::Facts {
        status: status.value.as_ref(),
        managers: managers.value.as_deref().unwrap_or_default(),
        nodes: nodes.value.as_deref().unwrap_or_default(),
        newest: newest.map(|n| (n.number, &n.rollout)),
        license: license.value.as_ref(),
        now_ms: store.clock_ms.get(),
        zone: store.zone(),
    })
}
