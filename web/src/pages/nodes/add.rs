//! What a new node needs: a join token, and one line.

use crate::data::api::{self, Failure};
use crate::data::store::Store;
use crate::pure::clock;
use crate::ui::command::Command;
use crate::ui::control::Segments;
use crate::ui::dialog::Dialog;
use crate::view::prelude::*;
use krakend_api::{JoinToken, Role};
use leptos::task::spawn_local;

const USES: [(u32, &str); 3] = [(1, "1 node"), (10, "10 nodes"), (100, "100 nodes")];
const TTL_S: u64 = 86_400;

/// Makes a join token and shows where it goes. The token is shown this once.
#[component]
pub fn AddNode(store: Store, open: RwSignal<bool>) -> impl IntoView {
    let uses = RwSignal::new(1u32);
    let made = RwSignal::new(None::<JoinToken>);
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
        let fleet = store.fleet_name.get_untracked();
        let body =
            serde_json::json!({ "fleet": fleet, "ttl_s": TTL_S, "max_uses": uses.get_untracked() });
        spawn_local(async move {
            let answer = api::write("POST", "/v1/join-tokens", Some(&body.to_string()), &[]).await;
            busy.set(false);
            match answer.and_then(|text| api::parse::<JoinToken>(&text)) {
                Ok(token) => made.set(Some(token)),
                Err(failure) => wrong.set(Some(Failure::text(&failure))),
            }
        });
    };
    let seed = move || {
        store.managers.with(|m| {
            let first = m.value.as_ref().and_then(|m| m.first());
            first.map_or_else(|| "<manager>:7000".to_owned(), |m| m.node_address.clone())
        })
    };
    let ask = move || {
        let why = store.hindrance(Role::Admin);
        let blocked = why.is_some();
        view! {
            <p>"A node enrols with a join token and takes one of the licence\u{2019}s seats. The token is good for 24 hours and for as many nodes as you say."</p>
            <Segments label="Good for" choices=USES.to_vec() chosen=uses choose=move |n| uses.set(n) />
            <p class="field-note" role="alert">{move || wrong.get()} {why}</p>
            <div class="dialog-foot">
                <button type="button" class="button" on:click=move |_| open.set(false)>"Close"</button>
                <button type="button" class="button primary" data-testid="create-join-token" prop:disabled=move || busy.get() || blocked on:click=create>"Create join token"</button>
            </div>
        }
    };
    let show = move |token: JoinToken| {
        let until =
            clock::parse(&token.expires_at).map(|at| store.zone().moment(at, store.now_ms()));
        view! {
            <p>"Put it into " <code>"/etc/krakend/join-token"</code> " (mode 0600) on the node\u{2019}s machine. " <strong>"It is shown this once"</strong> {until.map(|u| format!(", and good until {u}"))} "."</p>
            <Command text=token.token.clone() />
            <p>"Then name one manager and start the node:"</p>
            <Command text=format!("echo 'seed: {}' | sudo tee /etc/krakend/service.yml && sudo systemctl restart krakend-node", seed()) />
            <div class="dialog-foot"><button type="button" class="button primary" on:click=move |_| open.set(false)>"Done"</button></div>
        }
    };
    view! {
        <Dialog open title="Add a node" wide=true>
            {move || match made.get() {
                None => ask().into_any(),
                Some(token) => show(token).into_any(),
            }}
        </Dialog>
    }
}
