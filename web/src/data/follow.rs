//! Finds another manager when the one that served the page is gone, and opens the same page there.
//!
//! Pages may not read what another address answers, so all that is asked is whether anybody answers; the manager's content
//! security policy names the addresses that may be asked. The session's cookie is good at every manager that the browser
//! knows by the same host name; elsewhere the sign-in page opens, with the page that was asked for behind it.

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen_futures::JsFuture;
use web_sys::{RequestCredentials, RequestInit, RequestMode};

use super::browser;
use super::model::{Connection, Elsewhere};
use super::store::Store;
use crate::pure::follow;
use crate::pure::route::Page;

/// Once a second while nothing is heard. `turn` moves with every call.
pub fn step(store: Store, turn: u64) {
    let Connection::Reconnecting { heard_ms } = store.connection.get_untracked() else {
        return;
    };
    let silent_ms = store.now_ms() - heard_ms;
    let refused = store.status.with_untracked(|s| s.failure.is_some());
    if silent_ms < follow::PATIENCE_MS || !(refused || silent_ms > follow::STALLED_MS) {
        return;
    }
    let host = browser::host();
    let found = store.managers.with_untracked(|m| {
        let managers = m.value.as_deref().unwrap_or_default();
        let next = follow::next(managers, &host, turn).cloned();
        next.map(|next| (next, follow::is_direct(managers, &host)))
    });
    let Some((next, direct)) = found else { return };
    store.trying.set(Some(next.name.clone()));
    let scheme = browser::scheme();
    let address = follow::address(&scheme, &next, &browser::address(), browser::recall);
    spawn_local(async move {
        let there = answers(&format!("{scheme}//{}/livez", next.http_address)).await;
        let lost = matches!(
            store.connection.get_untracked(),
            Connection::Reconnecting { .. }
        );
        if !there || !lost {
            return;
        }
        if direct && !is_busy(store) {
            browser::leave_for(&address);
        } else {
            let name = next.name;
            store.elsewhere.set(Some(Elsewhere { name, address }));
        }
    });
}

/// Takes over what the page brought along from another manager.
pub fn arrive() {
    let Some(carried) = follow::carried(&browser::fragment()) else {
        return;
    };
    for (key, value) in carried {
        browser::remember(key, &value);
    }
    browser::drop_fragment();
}

/// True while something is typed or shown that would be lost: then the reader says when to go.
fn is_busy(store: Store) -> bool {
    let editor = store
        .place
        .with_untracked(|place| matches!(place.page, Page::Editor));
    let fleet = store.fleet_name.get_untracked();
    let draft = browser::recall(&format!("draft:{fleet}")).is_some_and(|text| !text.is_empty());
    (editor && draft) || browser::has("dialog[open]")
}

/// Whether anybody answers there; what it answers cannot be read.
async fn answers(url: &str) -> bool {
    let Some(window) = web_sys::window() else {
        return false;
    };
    let init = RequestInit::new();
    init.set_mode(RequestMode::NoCors);
    init.set_credentials(RequestCredentials::Omit);
    init.set_cache(web_sys::RequestCache::NoStore);
    let asked = window.fetch_with_str_and_init(url, &init);
    JsFuture::from(asked).await.is_ok()
}
