//! The line at the bottom of every page.

use super::mark::MarkIcon;
use crate::data::browser;
use crate::data::store::{Connection, Store};
use crate::data::stream;
use crate::pure::event::Mark;
use crate::pure::format;
use crate::view::prelude::*;

/// Connection, leader, managers, nodes, generation, index, zone, clock.
#[component]
pub fn StatusLine(store: Store) -> impl IntoView {
    let stale = Memo::new(move |_| store.is_stale());
    let no_leader = Memo::new(move |_| {
        store
            .status
            .with(|s| s.value.as_ref().is_some_and(|s| s.leader_id.is_none()))
    });
    let class = move || match (stale.get(), no_leader.get()) {
        (true, _) => "status-line reconnecting",
        (_, true) => "status-line no-leader",
        _ => "status-line",
    };
    view! {
        <footer class=class role="status" data-testid="status-line">
            {connection(store)}
            {move || if stale.get() { old(store).into_any() } else { facts(store).into_any() }}
            <span class="grow"></span>
            {move || stale.get().then(|| view! {
                <button type="button" class="link" on:click=move |_| stream::open(store)>"Try now"</button>
            })}
            <span class="part zone">"Times in " {browser::zone_name()}</span>
            <time class="part clock" aria-hidden="true">{move || store.zone().seconds(store.clock_ms.get())}</time>
        </footer>
    }
}

fn connection(store: Store) -> impl IntoView {
    let state = move || match store.connection.get() {
        Connection::Live => "live",
        Connection::Reconnecting { .. } => "reconnecting",
        Connection::Connecting => "connecting",
    };
    let from = move || {
        let name = store
            .status
            .with(|s| s.value.as_ref().map(|s| s.answered_by_name.clone()));
        match (store.connection.get(), name) {
            (Connection::Live, Some(name)) => format!("Live from {name}"),
            (Connection::Live, None) => "Live".to_owned(),
            (Connection::Reconnecting { .. }, _) => "Reconnecting".to_owned(),
            (Connection::Connecting, _) => "Connecting".to_owned(),
        }
    };
    view! {
        <span class="connection" data-testid="live" data-state=state>
            {move || {
                let mark = match store.connection.get() {
                    Connection::Live => Mark::Live,
                    Connection::Reconnecting { .. } => Mark::Reconnecting,
                    Connection::Connecting => Mark::Applying,
                };
                view! { <MarkIcon mark /> }
            }}
            {from}
        </span>
    }
}

fn facts(store: Store) -> impl IntoView {
    move || {
        store.status.with(|s| {
            let s = s.value.as_ref()?;
            let leader = match &s.leader_name {
                Some(name) => format!("{name} leads, term {}", s.term),
                None => format!("No leader, term {}", s.term),
            };
            let mark = if s.leader_id.is_some() { Mark::Leader } else { Mark::ManagerUnreachable };
            let writes = if s.leader_id.is_none() {
                format!("{} of {} managers needed to write", s.voters / 2 + 1, s.voters)
            } else if s.can_lose == 0 {
                "none can be lost".to_owned()
            } else {
                format!("can lose {}", s.can_lose)
            };
            let nodes = if s.nodes_total == 0 {
                "No nodes".to_owned()
            } else {
                format!("{} of {} nodes active", s.nodes_active, s.nodes_total)
            };
            Some(view! {
                <span class="part leader"><MarkIcon mark /> {leader}</span>
                <span class="part managers">{if s.leader_id.is_none() { writes } else { format!("{} of {} managers, {writes}", s.reachable_voters, s.voters) }}</span>
                <span class="part nodes">{nodes}</span>
                <span class="part generation">{format!("Generation {}", format::integer(s.generation))}</span>
                <span class="part index" aria-hidden="true">{format!("Index {}", format::integer(s.applied_index))}</span>
            })
        })
    }
}

fn old(store: Store) -> impl IntoView {
    move || {
        let Connection::Reconnecting { heard_ms } = store.connection.get() else {
            return None;
        };
        let name = store.status.with(|s| {
            s.value
                .as_ref()
                .map_or_else(browser::host, |s| s.answered_by_name.clone())
        });
        let at = store.zone().seconds(heard_ms);
        let age = move || format::duration(store.clock_ms.get() - heard_ms);
        Some(view! {
            <span class="part">{format!("{name} does not answer since {at}")}</span>
            {move || match (store.elsewhere.get(), store.trying.get()) {
                (Some(there), _) => view! { <a class="part link" data-testid="elsewhere" href=there.address>{format!("{} answers: go there", there.name)}</a> }.into_any(),
                (None, Some(name)) => view! { <span class="part managers" data-testid="trying">{format!("Trying {name}")}</span> }.into_any(),
                (None, None) => view! { <span class="part managers">"Trying again by itself"</span> }.into_any(),
            }}
            <span class="part nodes" aria-hidden="true">{format!("Showing {at}, ")} {age} " old"</span>
        })
    }
}
