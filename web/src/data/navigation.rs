//! Addresses: links and the back button change the page without loading it anew.

use wasm_bindgen::closure::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, MouseEvent};

use super::browser;
use super::store::Store;
use crate::pure::route::Place;
use leptos::prelude::*;

/// Opens an address of the dashboard.
pub fn go(store: Store, address: &str) {
    if browser::address() != address
        && let Some(history) = web_sys::window().and_then(|w| w.history().ok())
    {
        history
            .push_state_with_url(&JsValue::NULL, "", Some(address))
            .unwrap_or_default();
    }
    show(store, address, true);
}

/// Changes the address of the page that is open: a filter, say. The back button does not stop there.
pub fn replace(store: Store, address: &str) {
    if let Some(history) = web_sys::window().and_then(|w| w.history().ok()) {
        history
            .replace_state_with_url(&JsValue::NULL, "", Some(address))
            .unwrap_or_default();
    }
    show(store, address, false);
}

fn show(store: Store, address: &str, from_top: bool) {
    let place = Place::parse(address);
    let same_page = store.place.with_untracked(|old| old.page == place.page);
    if store.place.with_untracked(|old| *old != place) {
        store.place.set(place);
    }
    if from_top && !same_page {
        store.hover.set(None);
        // Where readers go on.
        browser::focus("#sheet");
    }
}

/// Listens to links and to the back button, as long as the page lives.
pub fn listen(store: Store) {
    let Some(window) = web_sys::window() else {
        return;
    };
    let back = Closure::<dyn FnMut()>::new(move || show(store, &browser::address(), true));
    window.set_onpopstate(Some(back.as_ref().unchecked_ref()));
    back.forget();
    let click = Closure::<dyn FnMut(MouseEvent)>::new(move |event: MouseEvent| {
        if let Some(address) = followed(&event) {
            event.prevent_default();
            go(store, &address);
        }
    });
    if let Some(document) = window.document() {
        document.set_onclick(Some(click.as_ref().unchecked_ref()));
    }
    click.forget();
}

/// The address of a link that this page opens by itself: no new tab, no file, not the API.
fn followed(event: &MouseEvent) -> Option<String> {
    let plain = event.button() == 0
        && !event.ctrl_key()
        && !event.meta_key()
        && !event.shift_key()
        && !event.alt_key();
    if !plain || event.default_prevented() {
        return None;
    }
    let target: Element = event.target()?.dyn_into().ok()?;
    let link = target.closest("a[href]").ok().flatten()?;
    let address = link.get_attribute("href")?;
    let own = address.starts_with('/')
        && !address.starts_with("//")
        && !address.starts_with("/v1")
        && !address.starts_with("/metrics");
    (own && !link.has_attribute("download") && !link.has_attribute("target")).then_some(address)
}
