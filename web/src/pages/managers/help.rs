//! What a loss means, and what to do when it is there.

use crate::data::store::Store;
use crate::pure::event::Mark;
use crate::pure::{clock, format};
use crate::ui::command::Command;
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::ManagerRole;

/// The shortest lease of a node, in milliseconds.
fn shortest_lease(store: Store) -> Option<i64> {
    let now = store.clock_ms.get();
    store.nodes.with(|n| {
        let leases = n
            .value
            .iter()
            .flatten()
            .filter_map(|n| n.lease_expires_at.as_deref().and_then(clock::parse));
        leases.map(|at| at - now).min()
    })
}

/// How many may go, and what then.
#[component]
pub fn IfLost(store: Store) -> impl IntoView {
    let rows = move || {
        let voters = store
            .status
            .with(|s| s.value.as_ref().map_or(0, |s| s.voters));
        let can_lose = store
            .status
            .with(|s| s.value.as_ref().map_or(0, |s| s.can_lose));
        let lease = shortest_lease(store).map(format::duration);
        let mut rows: Vec<(Mark, String, String)> = Vec::new();
        if can_lose > 0 {
            rows.push((
                Mark::Applied,
                format!("any {}", format::count_word(can_lose).to_lowercase()),
                "writes go on, another leads".to_owned(),
            ));
        }
        if can_lose + 1 < voters {
            rows.push((
                Mark::Refused,
                format!("any {}", format::count_word(can_lose + 1).to_lowercase()),
                "no writes; nodes go on serving".to_owned(),
            ));
        }
        rows.push((
            Mark::Refused,
            "all of them".to_owned(),
            "nodes serve on their lease".to_owned(),
        ));
        if let Some(lease) = lease {
            rows.push((
                Mark::Held,
                format!("all, for {lease}"),
                "nodes fall to the free version".to_owned(),
            ));
        }
        rows.push((
            Mark::Dot,
            "removed automatically".to_owned(),
            "after a day, while three voters remain".to_owned(),
        ));
        rows.into_iter().map(|(mark, what, then)| view! { <li><MarkIcon mark /> <span>{what}</span> <span class="grow"></span> <small>{then}</small></li> }).collect_view()
    };
    view! {
        <section class="cell" aria-labelledby="lost-title">
            <div class="cell-head"><h2 id="lost-title">"If a manager is lost"</h2></div>
            <ul class="rows consequences">{rows}</ul>
        </section>
    }
}

/// Without a leader: what works, what to do.
#[component]
pub fn WhatToDo(store: Store) -> impl IntoView {
    let lost = move || {
        let names: Vec<String> = store.managers.with(|m| {
            m.value
                .iter()
                .flatten()
                .filter(|m| m.role == ManagerRole::Unreachable)
                .map(|m| m.name.clone())
                .collect()
        });
        if names.is_empty() {
            "the managers that do not answer".to_owned()
        } else {
            names.join(" or ")
        }
    };
    let here = move || {
        store.status.with(|s| {
            s.value
                .as_ref()
                .map(|s| s.answered_by_name.clone())
                .unwrap_or_default()
        })
    };
    view! {
        <section class="cell what-to-do" aria-labelledby="todo-title">
            <h2 id="todo-title">"What to do"</h2>
            <ol>
                <li><strong>"Start " {lost} " again"</strong> <p>"As many as are needed for a majority. The group elects a leader by itself and nothing is lost."</p>
                    <Command text="sudo systemctl start krakend-cluster-manager" /></li>
                <li><strong>"Only if their disks are lost: recover from " {here}</strong> <p>"Makes it a group of one. Entries that only the lost managers had are gone; the dry run names them."</p>
                    <Command text="krakend-cluster-manager recover --dry-run" /></li>
            </ol>
            <h2>"Until then"</h2>
            <ul class="rows consequences">
                <li><MarkIcon mark=Mark::Applied /> <span>"Traffic"</span> <span class="grow"></span> <small>"served by every node with the configuration it has"</small></li>
                <li><MarkIcon mark=Mark::Applied /> <span>"Reading"</span> <span class="grow"></span> <small>{move || format!("from {}, marked with its age", here())}</small></li>
                <li><MarkIcon mark=Mark::Refused /> <span>"Publishing, joining, tokens, licence"</span> <span class="grow"></span> <small>"refused with 503; nothing is half done"</small></li>
            </ul>
        </section>
    }
}
