//! Access tokens: who may do what, until when.

use crate::data::api::{self, Failure};
use crate::data::resource;
use crate::data::store::{Act, Ask, Login, Store};
use crate::pure::event::Mark;
use crate::pure::{clock, format, route};
use crate::ui::button::{Action, ask};
use crate::ui::cell;
use crate::ui::command::Command;
use crate::ui::control::Segments;
use crate::ui::dialog::Dialog;
use crate::ui::frame::Head;
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::Role;
use leptos::html::Input;
use leptos::task::spawn_local;
use serde::Deserialize;
use std::sync::Arc;

/// A token as the list tells it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Token {
    id: String,
    name: String,
    role: Role,
    created_by: String,
    expires_at: Option<String>,
    token: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    last_used_at: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct TokenList {
    tokens: Vec<Token>,
}

const DAY_S: u64 = 86_400;
const LIVES: [(u64, &str); 4] = [
    (DAY_S, "1 day"),
    (30 * DAY_S, "30 days"),
    (365 * DAY_S, "1 year"),
    (0, "No end"),
];

fn may(role: Role) -> &'static str {
    match role {
        Role::Viewer => "reads everything but secrets",
        Role::Operator => "publishes, rolls back, drains and removes nodes",
        Role::Admin => "everything: managers, licence, tokens, keys",
    }
}

fn word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

/// The page.
#[component]
pub fn Tokens(store: Store) -> impl IntoView {
    let list = resource::live::<TokenList>(store, || "/v1/tokens?consistency=stale".to_owned());
    let creating = RwSignal::new(false);
    let count = Signal::derive(move || {
        list.with(|l| {
            l.value.as_ref().map_or_else(String::new, |l| {
                if l.tokens.len() == 1 {
                    "1 token".to_owned()
                } else {
                    format!("{} tokens", l.tokens.len())
                }
            })
        })
    });
    let actions = view! { <Action store label=Signal::stored("Create token".to_owned()) need=Role::Admin class="primary" testid="create-token" run=move || creating.set(true) /> }.into_any();
    view! {
        <Head store title="Tokens" context=count actions />
        <div class="page-text cell"><p class="text">"A token is kept as its SHA-256: its text is shown once. Revoking one ends its sessions at once. Every write under it is in the " <a href="/events?tab=audit">"audit trail"</a> "."</p></div>
        <div class="row row-tokens">
            <section class="flush" aria-label="Tokens">{cell::remote(list, move |l: &TokenList| table(store, l))}</section>
            <section class="cell" aria-labelledby="roles-title">
                <h2 id="roles-title">"What a role may do"</h2>
                <ul class="rows states-list">
                    {[Role::Viewer, Role::Operator, Role::Admin].map(|r| view! { <li><b>{word(r)}</b> <span>{may(r)}</span></li> }).into_iter().collect_view()}
                </ul>
                <p class="note">"Each includes the ones above it. For machines, give a token of its own to each, with an end."</p>
                <Command text="krakend-cluster-manager token create --name ci --role operator" />
            </section>
        </div>
        <Create store open=creating />
    }
}

fn table(store: Store, list: &TokenList) -> impl IntoView + use<> {
    let mut sorted = list.tokens.clone();
    crate::pure::order::sort_by(&mut sorted, |a, b| {
        b.role.cmp(&a.role).then_with(|| a.name.cmp(&b.name))
    });
    let used = sorted.iter().any(|t| t.last_used_at.is_some());
    let rows = sorted
        .into_iter()
        .map(|t| row(store, t, used))
        .collect_view();
    view! {
        <table class="table tokens-table" data-testid="tokens">
            <thead><tr><th scope="col">"Name"</th><th scope="col">"Role"</th><th class="hide-phone" scope="col">"Created by"</th><th scope="col">"Ends"</th>{used.then(|| view! { <th scope="col">"Last used"</th> })}<th class="hide-phone" scope="col">"Id"</th><th><span class="reader">"Actions"</span></th></tr></thead>
            <tbody>{rows}</tbody>
        </table>
    }
}

fn row(store: Store, t: Token, used: bool) -> impl IntoView {
    let now = store.now_ms();
    let end = t.expires_at.as_deref().and_then(clock::parse);
    let ends = match end {
        None => "no end".to_owned(),
        Some(at) if at <= now => "over".to_owned(),
        Some(at) => format!("in {}", format::duration(at - now)),
    };
    let soon = end.is_some_and(|at| at - now < 7 * 86_400_000);
    let moment = |text: &Option<String>| {
        text.as_deref().and_then(clock::parse).map_or_else(
            || format::NO_DATA.to_owned(),
            |at| store.zone().moment(at, now),
        )
    };
    let mine = store
        .login
        .with_untracked(|l| matches!(l, Login::In(s) if s.name == t.name));
    let last = moment(&t.last_used_at);
    let created = t
        .created_at
        .as_deref()
        .and_then(clock::parse)
        .map(|at| format!(", {}", store.zone().moment(at, now)));
    let (id, name) = (t.id.clone(), t.name.clone());
    let revoke = move || {
        let (path, said) = (
            format!("/v1/tokens/{}", route::encode(&id)),
            format!("{name} revoked."),
        );
        let run: Act = Arc::new(move || {
            let (path, said) = (path.clone(), said.clone());
            Box::pin(async move { api::write("DELETE", &path, None, &[]).await.map(|_| said) })
        });
        let mut consequence = vec![(
            "Whoever uses it is locked out at once.".to_owned(),
            "Programs with it fail from the next request on.".to_owned(),
        )];
        if mine {
            consequence.push((
                "You are signed in with a token of this name:".to_owned(),
                "if it is this one, this page ends, too.".to_owned(),
            ));
        }
        ask(
            store,
            Ask {
                title: format!("Revoke {name}?"),
                consequence,
                typed: Some(name.clone()),
                safe: format!("Keep {name}"),
                danger: format!("Revoke {name}"),
                dangerous: true,
                run,
            },
        );
    };
    view! {
        <tr data-testid="token-row" data-name=t.name.clone()>
            <td class="wide"><strong>{t.name.clone()}</strong> {mine.then(|| view! { <span class="tag">"yours"</span> })}</td>
            <td>{word(t.role)}</td>
            <td class="hide-phone">{t.created_by.clone()} {created}</td>
            <td><time title=end.map(clock::utc)>{soon.then(|| view! { <MarkIcon mark=Mark::Expiring /> " " })} {ends}</time></td>
            {used.then(|| view! { <td>{last}</td> })}
            <td class="hide-phone"><code title=t.id.clone()>{format::short_id(&t.id).to_owned()}</code></td>
            <td class="c-menu"><Action store label=Signal::stored("Revoke".to_owned()) need=Role::Admin class="danger small" testid="revoke" run=revoke /></td>
        </tr>
    }
}

#[component]
fn Create(store: Store, open: RwSignal<bool>) -> impl IntoView {
    let field = NodeRef::<Input>::new();
    let role = RwSignal::new(Role::Viewer);
    let life = RwSignal::new(30 * DAY_S);
    let made = RwSignal::new(None::<Token>);
    let wrong = RwSignal::new(None::<String>);
    let busy = RwSignal::new(false);
    Effect::new(move |_| {
        if !open.get() {
            made.set(None);
            wrong.set(None);
            busy.set(false);
        }
    });
    let create = move |_| {
        let name = field
            .get_untracked()
            .map(|f| f.value().trim().to_owned())
            .unwrap_or_default();
        if name.is_empty() {
            return wrong.set(Some("Give it a name: who or what uses it.".to_owned()));
        }
        let mut body = serde_json::json!({ "name": name, "role": role.get_untracked() });
        if life.get_untracked() > 0 {
            body["ttl_s"] = life.get_untracked().into();
        }
        busy.set(true);
        spawn_local(async move {
            let answer = api::write("POST", "/v1/tokens", Some(&body.to_string()), &[]).await;
            busy.set(false);
            match answer.and_then(|text| api::parse::<Token>(&text)) {
                Ok(token) => {
                    made.set(Some(token));
                    store.refresh_soon();
                }
                Err(failure) => wrong.set(Some(Failure::text(&failure))),
            }
        });
    };
    view! {
        <Dialog open title="Create a token" wide=true>
            {move || match made.get() {
                None => view! {
                    <label for="token-name">"Name"</label>
                    <div class="field"><input id="token-name" data-testid="token-name" node_ref=field autocomplete="off" maxlength="100" autofocus on:input=move |_| wrong.set(None) /></div>
                    <p class="label">"Role"</p>
                    <Segments label="Role" choices=vec![(Role::Viewer, "Viewer"), (Role::Operator, "Operator"), (Role::Admin, "Admin")] chosen=role choose=move |r| role.set(r) />
                    <p class="note">{move || may(role.get())}</p>
                    <p class="label">"Ends after"</p>
                    <Segments label="Ends after" choices=LIVES.to_vec() chosen=life choose=move |l| life.set(l) />
                    <p class="field-note" role="alert">{move || wrong.get()}</p>
                    <div class="dialog-foot">
                        <button type="button" class="button" on:click=move |_| open.set(false)>"Cancel"</button>
                        <button type="button" class="button primary" data-testid="token-submit" prop:disabled=move || busy.get() on:click=create>"Create token"</button>
                    </div>
                }.into_any(),
                Some(t) => view! {
                    <p>"The text of " <strong>{t.name.clone()}</strong> ", " {word(t.role)} ". " <strong>"It is shown this once."</strong></p>
                    <div data-testid="token-text"><Command text=t.token.clone().unwrap_or_default() /></div>
                    <div class="dialog-foot"><button type="button" class="button primary" data-testid="token-done" on:click=move |_| open.set(false)>"Done"</button></div>
                }.into_any(),
            }}
        </Dialog>
    }
}
