//! Adding, removing, promoting, handing leadership over.

use crate::data::api::{self, Failure};
use crate::data::browser;
use crate::data::store::{Act, Ask, Store};
use crate::pure::{clock, format, route};
use crate::ui::button::{Action, act, ask};
use crate::ui::command::Command;
use crate::ui::dialog::Dialog;
use crate::ui::icon::{Icon, IconView};
use crate::view::prelude::*;
use krakend_api::{LeadershipTransfer, Manager, ManagerInvitation, ManagerRole, Role};
use leptos::task::spawn_local;
use std::sync::Arc;

/// Take a snapshot, transfer leadership, add a manager.
#[component]
pub fn HeadActions(store: Store) -> impl IntoView {
    let adding = RwSignal::new(false);
    let alone = Signal::derive(move || {
        let voters = store
            .status
            .with(|s| s.value.as_ref().map_or(0, |s| s.voters));
        (voters < 2).then(|| "There is no other voter.".to_owned())
    });
    let add = move || adding.set(true);
    let why = Memo::new(move |_| store.hindrance(Role::Admin));
    view! {
        {move || match why.get() {
            None => view! { <a class="button hide-phone" href="/v1/snapshot" download="krakend-cluster-manager.backup" data-testid="snapshot">"Download backup"</a> }.into_any(),
            Some(why) => view! { <span class="button hide-phone" aria-disabled="true" title=why>"Download backup"</span> }.into_any(),
        }}
        <Action store label=Signal::stored("Transfer leadership".to_owned()) need=Role::Admin blocked=alone testid="transfer" run=move || transfer(store, None) />
        <Action store label=Signal::stored("Add manager".to_owned()) need=Role::Admin class="primary" testid="add-manager" run=add />
        <AddManager store open=adding />
    }
}

/// Asks, then hands leadership to a voter: the one with the longest log unless one is named.
fn transfer(store: Store, to: Option<String>) {
    let leader = store
        .status
        .with_untracked(|s| s.value.as_ref().and_then(|s| s.leader_name.clone()))
        .unwrap_or_default();
    let target = to
        .clone()
        .unwrap_or_else(|| "the voter whose log reaches furthest".to_owned());
    let run: Act = Arc::new(move || {
        let body = match &to {
            Some(to) => serde_json::json!({ "to": to }).to_string(),
            None => "{}".to_owned(),
        };
        Box::pin(async move {
            let answer = api::write("POST", "/v1/leadership", Some(&body), &[]).await?;
            let now: LeadershipTransfer = api::parse(&answer)?;
            Ok(format!("{} leads.", now.leader_name))
        })
    });
    ask(
        store,
        Ask {
            title: format!("Hand leadership over to {target}?"),
            consequence: vec![(
                "Writes wait for a moment and then go on.".to_owned(),
                format!("Reads and nodes do not notice. {leader} stays a voter."),
            )],
            typed: None,
            safe: format!("Keep {leader}"),
            danger: "Transfer leadership".to_owned(),
            dangerous: false,
            run,
        },
    );
}

fn remove(store: Store, manager: &Manager) {
    let name = manager.name.clone();
    let (voters, reachable) = store.status.with_untracked(|s| {
        s.value
            .as_ref()
            .map_or((0, 0), |s| (s.voters, s.reachable_voters))
    });
    let left = voters.saturating_sub(u32::from(manager.voter));
    let alive = reachable.saturating_sub(u32::from(
        manager.voter && manager.role != ManagerRole::Unreachable,
    ));
    let can_lose = alive.saturating_sub(left / 2 + 1);
    let bold = match can_lose {
        0 => "After this no manager can be lost:".to_owned(),
        1 => "After this one manager can be lost:".to_owned(),
        n => format!("After this {n} managers can be lost:"),
    };
    let rest = match can_lose {
        0 => "if one stops, nothing can be changed until it is back. Nodes go on serving.",
        _ => "beyond that nothing can be changed until one is back. Nodes go on serving.",
    };
    let path = format!("/v1/managers/{}", route::encode(&manager.id));
    let said = format!("{name} removed.");
    let run: Act = Arc::new(move || {
        let (path, said) = (path.clone(), said.clone());
        Box::pin(async move { api::write("DELETE", &path, None, &[]).await.map(|_| said) })
    });
    ask(
        store,
        Ask {
            title: format!("Remove {name} from the group?"),
            consequence: vec![
                (
                    String::new(),
                    format!(
                        "{left} {} remain.",
                        if left == 1 { "voter" } else { "voters" }
                    ),
                ),
                (bold, rest.to_owned()),
                (
                    String::new(),
                    format!("{name} keeps its files but cannot join again under its id."),
                ),
            ],
            typed: Some(name.clone()),
            safe: format!("Keep {name}"),
            danger: format!("Remove {name}"),
            dangerous: true,
            run,
        },
    );
}

/// What can be done with one manager.
#[component]
pub fn RowMenu(store: Store, manager: Manager) -> impl IntoView {
    let open = RwSignal::new(false);
    let manager = StoredValue::new(manager);
    let name = manager.with_value(|m| m.name.clone());
    let close_soon = move |e: web_sys::FocusEvent| {
        use wasm_bindgen::JsCast;
        let inside = e
            .related_target()
            .and_then(|t| t.dyn_into::<web_sys::Element>().ok())
            .is_some_and(|t| t.closest(".menu-host").ok().flatten().is_some());
        if !inside {
            open.set(false);
        }
    };
    let lead = move || {
        open.set(false);
        transfer(store, Some(manager.with_value(|m| m.id.clone())));
    };
    let promote = move || {
        open.set(false);
        let (id, name) = manager.with_value(|m| (m.id.clone(), m.name.clone()));
        let run: Act = Arc::new(move || {
            let (path, said) = (
                format!("/v1/managers/{}/promote", route::encode(&id)),
                format!("{name} votes."),
            );
            Box::pin(async move { api::write("POST", &path, None, &[]).await.map(|_| said) })
        });
        act(store, &run);
    };
    let (voter, leads) = manager.with_value(|m| (m.voter, m.role == ManagerRole::Leader));
    let gone = move || {
        open.set(false);
        manager.with_value(|m| remove(store, m));
    };
    let copy = move |_| {
        open.set(false);
        manager.with_value(|m| browser::copy(&m.id));
    };
    let test_name = name.clone();
    view! {
        <div class="menu-host" on:focusout=close_soon on:keydown=move |e: web_sys::KeyboardEvent| if e.key() == "Escape" { open.set(false) }>
            <button type="button" class="quiet-icon" aria-haspopup="menu" aria-expanded=move || open.get().to_string() aria-label=format!("Actions for {name}") data-testid=format!("menu-{test_name}") on:click=move |_| open.update(|o| *o = !*o)>
                <IconView icon=Icon::More />
            </button>
            {move || open.get().then(|| view! {
                <div class="menu">
                    {(voter && !leads).then(|| view! { <Action store label=Signal::stored("Make it lead".to_owned()) need=Role::Admin class="item" testid="menu-lead" run=lead /> })}
                    {(!voter).then(|| view! { <Action store label=Signal::stored("Let it vote".to_owned()) need=Role::Admin class="item" testid="menu-promote" run=promote /> })}
                    <button type="button" class="button item" on:click=copy>"Copy its id"</button>
                    <Action store label=Signal::stored("Remove\u{2026}".to_owned()) need=Role::Admin class="item danger" testid="menu-remove" run=gone />
                </div>
            })}
        </div>
    }
}

#[component]
fn AddManager(store: Store, open: RwSignal<bool>) -> impl IntoView {
    let made = RwSignal::new(None::<ManagerInvitation>);
    let wrong = RwSignal::new(None::<String>);
    let busy = RwSignal::new(false);
    Effect::new(move |_| {
        if !open.get() {
            made.set(None);
            wrong.set(None);
        }
    });
    let create = move |_| {
        busy.set(true);
        spawn_local(async move {
            let answer = api::write("POST", "/v1/managers", Some("{}"), &[]).await;
            busy.set(false);
            match answer.and_then(|text| api::parse::<ManagerInvitation>(&text)) {
                Ok(invitation) => made.set(Some(invitation)),
                Err(failure) => wrong.set(Some(Failure::text(&failure))),
            }
        });
    };
    let voters = move || {
        let now = store
            .status
            .with(|s| s.value.as_ref().map_or(0, |s| s.voters));
        let next = now + 1;
        let can_lose = next.saturating_sub(next / 2 + 1);
        format!(
            "With {next} voters {} can be lost.",
            format::count_word(can_lose).to_lowercase()
        )
    };
    view! {
        <Dialog open title="Add a manager" wide=true>
            {move || match made.get() {
                None => view! {
                    <p>"It joins as a learner, takes the log over, and votes once it has caught up. " <strong>{voters}</strong></p>
                    <p>"Its token is good once, for an hour, and gives it the group\u{2019}s secret: keep it as you keep that."</p>
                    <p class="field-note" role="alert">{move || wrong.get()}</p>
                    <div class="dialog-foot">
                        <button type="button" class="button" on:click=move |_| open.set(false)>"Close"</button>
                        <button type="button" class="button primary" data-testid="create-invitation" prop:disabled=move || busy.get() on:click=create>"Create join token"</button>
                    </div>
                }.into_any(),
                Some(it) => {
                    let until = clock::parse(&it.expires_at).map(|at| store.zone().moment(at, store.now_ms()));
                    view! {
                        <p>"On the new machine, put this token into a file only root reads. " <strong>"It is shown this once"</strong> {until.map(|u| format!(", and good until {u}"))} "."</p>
                        <Command text=it.token.clone() />
                        <p>"Then these lines into " <code>"/etc/krakend/cluster-manager.yml"</code> ":"</p>
                        <Command text=format!("join: [{}]\njoin_token_file: /etc/krakend/manager-token", it.join.join(", ")) />
                        <div class="dialog-foot"><button type="button" class="button primary" on:click=move |_| open.set(false)>"Done"</button></div>
                    }.into_any()
                }
            }}
        </Dialog>
    }
}
