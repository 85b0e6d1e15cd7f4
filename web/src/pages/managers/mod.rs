//! The Raft group: can it write, who is behind, who led, and what a loss would mean.

mod actions;
mod charts;
mod help;
mod ruler;

use crate::data::resource;
use crate::data::store::Store;
use crate::pure::event::{self, Mark};
use crate::pure::{clock, format, trail};
use crate::ui::cell::{self, Failed};
use crate::ui::frame::Head;
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::{Event, EventKind, EventList, GroupStatus, KeyringStatus, ManagerRole};

const EVENTS: usize = 6;

/// The page.
#[component]
pub fn Managers(store: Store) -> impl IntoView {
    let group = Signal::derive(move || {
        store.status.with(|s| {
            s.value.as_ref().map_or_else(String::new, |s| {
                format!("group {}", format::short_id(&s.group_id))
            })
        })
    });
    let lost = Memo::new(move |_| {
        store
            .status
            .with(|s| s.value.as_ref().is_some_and(|s| s.leader_id.is_none()))
    });
    let events = resource::live::<EventList>(store, || {
        "/v1/events?history=true&limit=1000&consistency=stale".to_owned()
    });
    view! {
        <Head store title="Managers" context=group actions=view! { <actions::HeadActions store /> }.into_any() />
        <Verdict store />
        <ruler::Ruler store />
        {move || if lost.get() {
            view! { <help::WhatToDo store /> }.into_any()
        } else {
            view! {
                <div class="row row-thirds">
                    <charts::EntriesCell store />
                    <charts::BehindCell store />
                    <charts::LeadersCell store events />
                </div>
                <div class="row row-thirds">
                    <GossipCell store />
                    <help::IfLost store />
                    <GroupEvents store />
                </div>
            }.into_any()
        }}
    }
}

fn verdict(s: &GroupStatus, behind: Option<(String, u64)>) -> (Mark, String, String, bool) {
    let needed = s.voters / 2 + 1;
    if s.leader_id.is_none() {
        return (
            Mark::ManagerUnreachable,
            format!("No leader. {needed} of {} managers must reach each other.", s.voters),
            "All nodes go on serving, on their leases. Nothing can be changed until enough managers are back.".to_owned(),
            true,
        );
    }
    let follows = match behind {
        Some((name, n)) if n > 100 => {
            format!(" {name} follows {} entries behind.", format::integer(n))
        }
        _ => " All follow closely.".to_owned(),
    };
    let needs = format!(
        "{} {}, {needed} {} needed to write.",
        s.voters,
        if s.voters == 1 { "voter" } else { "voters" },
        if needed == 1 { "is" } else { "are" }
    );
    let missing = s.voters.saturating_sub(s.reachable_voters);
    let title = match (missing, s.can_lose) {
        (0, 0) => "Working. No manager can be lost.".to_owned(),
        (0, 1) => "Healthy. One manager can be lost.".to_owned(),
        (0, n) => format!("Healthy. {} managers can be lost.", format::count_word(n)),
        (m, 0) => format!(
            "{} {} not answer. None can be lost now.",
            format::count_word(m),
            if m == 1 {
                "manager does"
            } else {
                "managers do"
            }
        ),
        (m, n) => format!(
            "{} {} not answer. {n} more can be lost.",
            format::count_word(m),
            if m == 1 {
                "manager does"
            } else {
                "managers do"
            }
        ),
    };
    let mark = if missing > 0 {
        Mark::Unreachable
    } else {
        Mark::Applied
    };
    (mark, title, format!("{needs}{follows}"), false)
}

#[component]
fn Verdict(store: Store) -> impl IntoView {
    let behind = move || {
        store.managers.with(|m| {
            let known = m
                .value
                .iter()
                .flatten()
                .filter_map(|m| Some((m.name.clone(), m.behind?)));
            known.max_by_key(|(_, n)| *n)
        })
    };
    let facts = Memo::new(move |_| {
        store
            .status
            .with(|s| s.value.as_ref().map(|s| verdict(s, behind())))
    });
    let leader = move || {
        store.status.with(|s| {
            s.value
                .as_ref()
                .map(|s| s.leader_name.clone().unwrap_or_else(|| "none".to_owned()))
        })
    };
    let since = move || {
        let at = store.events.with(|e| {
            let elected = e
                .value
                .iter()
                .flatten()
                .find(|e| e.kind == EventKind::LeaderElected);
            elected.and_then(|e| clock::parse(&e.time))
        });
        let term = store
            .status
            .with(|s| s.value.as_ref().map(|s| s.term))
            .unwrap_or_default();
        match at {
            Some(at) => format!(
                "term {term}, for {}",
                format::duration(store.clock_ms.get() - at)
            ),
            None => format!("term {term}"),
        }
    };
    let read = move |read: fn(&GroupStatus) -> String| {
        move || store.status.with(|s| s.value.as_ref().map(read))
    };
    let backup = move || {
        store.status.with(|s| {
            let s = s.value.as_ref()?;
            Some(match &s.last_backup {
                Some(b) => {
                    let at = clock::parse(&b.at)
                        .map(|at| store.zone().moment(at, store.clock_ms.get()))
                        .unwrap_or_default();
                    (
                        at,
                        format!(
                            "{} on {}, index {}",
                            format::bytes(b.bytes),
                            b.manager,
                            format::integer(b.index)
                        ),
                    )
                }
                None => ("none".to_owned(), "no schedule wrote one yet".to_owned()),
            })
        })
    };
    view! {
        {move || facts.get().map(|(mark, title, text, bad)| view! {
            <div class="row row-group" class:lost=bad>
                <section class="cell verdict-cell" class:bad=bad>
                    <MarkIcon mark />
                    <div><h2 data-testid="group-verdict">{title}</h2><p>{text}</p></div>
                </section>
                <dl class="cell figure"><dt>"Leader"</dt><dd>{leader}</dd><dd class="more-fact">{since}</dd></dl>
                <dl class="cell figure"><dt>"Log index"</dt><dd>{read(|s| format::integer(s.applied_index))}</dd><dd class="more-fact">{read(|s| format!("committed {}, epoch {}", format::integer(s.committed_index), s.epoch))}</dd></dl>
                <dl class="cell figure"><dt>"Last backup"</dt><dd>{move || backup().map(|b| b.0)}</dd><dd class="more-fact">{move || backup().map(|b| b.1)}</dd></dl>
            </div>
        })}
        {move || store.managers.with(|m| m.failure.clone().filter(|_| m.value.is_none())).map(|text| view! { <div class="cell"><Failed text /></div> })}
    }
}

#[component]
fn GossipCell(store: Store) -> impl IntoView {
    let ring =
        resource::live::<KeyringStatus>(store, || "/v1/keyring?consistency=stale".to_owned());
    let members = move || {
        let managers = store
            .managers
            .with(|m| m.value.as_ref().map_or(0, Vec::len));
        let nodes = store.nodes.with(|n| n.value.as_ref().map_or(0, Vec::len));
        format!(
            "{managers} managers, {}",
            format::nodes(u32::try_from(nodes).unwrap_or(u32::MAX))
        )
    };
    let count = move || {
        let (nodes_active, unreachable, down) = store.status.with(|s| {
            s.value.as_ref().map_or((0, 0, 0), |s| {
                (s.nodes_active, s.nodes_unreachable, s.nodes_down)
            })
        });
        let managers = store.managers.with(|m| {
            let all = m.value.iter().flatten();
            all.filter(|m| m.role != ManagerRole::Unreachable).count()
        });
        let lost = store
            .managers
            .with(|m| m.value.as_ref().map_or(0, Vec::len))
            - managers;
        (
            u32::try_from(managers).unwrap_or(0) + nodes_active,
            unreachable,
            down + u32::try_from(lost).unwrap_or(0),
        )
    };
    let blocked = move || {
        store.nodes.with(|n| {
            n.value
                .iter()
                .flatten()
                .filter(|n| n.gossip_blocked_since.is_some())
                .map(|n| n.name.clone())
                .collect::<Vec<_>>()
        })
    };
    view! {
        <section class="cell" aria-labelledby="gossip-title">
            <div class="cell-head">
                <h2 id="gossip-title">"Gossip"</h2>
                <span class="grow"></span>
                <span class="legend"><MarkIcon mark=Mark::Active /> {move || count().0} " alive"</span>
                <span class="legend"><MarkIcon mark=Mark::Unreachable /> {move || count().1} " silent"</span>
                <span class="legend"><MarkIcon mark=Mark::Down /> {move || count().2} " down"</span>
            </div>
            <dl class="pairs">
                <div><dt>"Members"</dt><dd>{members}</dd></div>
                <div><dt>"UDP blocked"</dt><dd>{move || { let names = blocked(); if names.is_empty() { "nowhere".to_owned() } else { names.join(", ") } }}</dd></div>
            </dl>
            {cell::remote(ring, move |ring: &KeyringStatus| keys(store, ring))}
        </section>
    }
}

fn keys(store: Store, ring: &KeyringStatus) -> impl IntoView + use<> {
    let used = ring.keys.iter().find(|k| k.in_use);
    let since = used
        .and_then(|k| k.installed.as_deref().and_then(clock::parse))
        .map(|at| format!(", since {}", store.zone().day(at, store.now_ms())));
    let keys = if ring.keys.len() == 1 {
        "1 key".to_owned()
    } else {
        format!("{} keys", ring.keys.len())
    };
    let waiting = if ring.waiting_for.is_empty() {
        "all have the newest ring".to_owned()
    } else {
        format!("waits for {}", ring.waiting_for.join(", "))
    };
    let encrypts = used.is_some_and(|k| k.encrypts);
    view! {
        <dl class="pairs after">
            <div><dt>"Key ring"</dt><dd>{keys} ", in use " <code>{ring.in_use.get(..8).unwrap_or(&ring.in_use).to_owned()}</code> {since}</dd></div>
            <div><dt>"Packets"</dt><dd>{if encrypts { "authenticated and encrypted" } else { "authenticated" }}</dd></div>
            <div><dt>"Rotation"</dt><dd>{format!("revision {}, {waiting}", ring.revision)}</dd></div>
        </dl>
    }
}

#[component]
fn GroupEvents(store: Store) -> impl IntoView {
    view! {
        <section class="cell" aria-labelledby="group-events-title">
            <div class="cell-head"><h2 id="group-events-title">"Group events"</h2> <span class="grow"></span> <a href="/events?kind=group">"All events"</a></div>
            {cell::remote(store.events, move |events: &Vec<Event>| {
                let rows = events.iter().filter(|e| trail::kind(e.kind) == "group").take(EVENTS).map(|e| {
                    let at = clock::parse(&e.time);
                    let time = at.map(|at| store.zone().event(at, store.now_ms()));
                    view! { <li><time title=at.map(clock::utc)>{time}</time> <MarkIcon mark=event::mark(e.kind) /> <span title=e.message.clone()>{e.message.clone()}</span></li> }
                }).collect_view();
                view! { <ul class="rows event-rows">{rows}</ul> }
            })}
        </section>
    }
}
