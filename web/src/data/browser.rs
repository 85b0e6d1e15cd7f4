//! The little that the page needs from the browser: clock, zone, storage, clipboard.

use crate::pure::clock::Zone;
use wasm_bindgen::{JsCast, JsValue};

/// The browser's clock, Unix milliseconds.
#[must_use]
pub fn now_ms() -> i64 {
    js_sys::Date::now() as i64
}

/// The reader's zone now.
#[must_use]
pub fn zone() -> Zone {
    Zone {
        offset_min: -(js_sys::Date::new_0().get_timezone_offset() as i64),
    }
}

/// Short name of the reader's zone, such as `CET` or `UTC`.
#[must_use]
pub fn zone_name() -> String {
    let options = js_sys::Object::new();
    let set = js_sys::Reflect::set(
        &options,
        &JsValue::from_str("timeZoneName"),
        &JsValue::from_str("short"),
    );
    let text: String = js_sys::Date::new_0()
        .to_locale_date_string("en-GB", &options)
        .into();
    // `21/11/2026, CET`: the name follows the date.
    match (set, text.rsplit(' ').next()) {
        (Ok(true), Some(name)) if name.contains(|c: char| c.is_ascii_alphabetic()) => {
            name.to_owned()
        }
        _ => "local time".to_owned(),
    }
}

/// `host:port` of the manager that served the page.
#[must_use]
pub fn host() -> String {
    web_sys::window()
        .and_then(|w| w.location().host().ok())
        .unwrap_or_default()
}

/// `http:` or `https:`.
#[must_use]
pub fn scheme() -> String {
    web_sys::window()
        .and_then(|w| w.location().protocol().ok())
        .unwrap_or_default()
}

/// What follows `#` in the address, with it.
#[must_use]
pub fn fragment() -> String {
    web_sys::window()
        .and_then(|w| w.location().hash().ok())
        .unwrap_or_default()
}

/// Takes the fragment out of the address.
pub fn drop_fragment() {
    if let Some(history) = web_sys::window().and_then(|w| w.history().ok()) {
        history
            .replace_state_with_url(&JsValue::NULL, "", Some(&address()))
            .unwrap_or_default();
    }
}

/// Opens another address in the place of this page.
pub fn leave_for(address: &str) {
    if let Some(window) = web_sys::window() {
        window.location().assign(address).unwrap_or_default();
    }
}

/// Whether the page has something that a selector finds.
#[must_use]
pub fn has(selector: &str) -> bool {
    web_sys::window()
        .and_then(|w| w.document())
        .is_some_and(|d| {
            d.query_selector(selector)
                .is_ok_and(|found| found.is_some())
        })
}

/// A remembered choice.
#[must_use]
pub fn recall(key: &str) -> Option<String> {
    storage()?.get_item(key).ok().flatten()
}

/// Remembers a choice. Where storage is off, the choice holds until the page is left.
pub fn remember(key: &str, value: &str) {
    if let Some(storage) = storage() {
        storage.set_item(key, value).unwrap_or_default();
    }
}

fn storage() -> Option<web_sys::Storage> {
    web_sys::window()?.local_storage().ok().flatten()
}

/// Puts text on the clipboard.
pub fn copy(text: &str) {
    if let Some(window) = web_sys::window() {
        // The promise is not awaited: a refusal changes nothing that could be shown better than the text itself.
        drop(window.navigator().clipboard().write_text(text));
    }
}

/// True when the system asks for a dark page.
#[must_use]
pub fn system_is_dark() -> bool {
    web_sys::window()
        .and_then(|w| w.match_media("(prefers-color-scheme: dark)").ok().flatten())
        .is_some_and(|query| query.matches())
}

/// Sets or clears the theme that overrides the system's.
pub fn set_theme(theme: &str) {
    let root = web_sys::window()
        .and_then(|w| w.document())
        .and_then(|d| d.document_element());
    if let Some(root) = root {
        root.set_attribute("data-theme", theme).unwrap_or_default();
    }
}

/// A key for one write, so that its repetition is recognised.
#[must_use]
pub fn random_key() -> String {
    let part = || (js_sys::Math::random() * 4_294_967_296.0) as u32;
    format!("web-{:x}-{:08x}{:08x}", now_ms(), part(), part())
}

/// Lets the reader keep text as a file.
pub fn download(name: &str, kind: &str, text: &str) {
    let make = || -> Result<(), JsValue> {
        let parts = js_sys::Array::of1(&JsValue::from_str(text));
        let options = web_sys::BlobPropertyBag::new();
        options.set_type(kind);
        let blob = web_sys::Blob::new_with_str_sequence_and_options(&parts, &options)?;
        let url = web_sys::Url::create_object_url_with_blob(&blob)?;
        let document = web_sys::window().and_then(|w| w.document());
        let document = document.ok_or(JsValue::NULL)?;
        let link: web_sys::HtmlAnchorElement = document.create_element("a")?.dyn_into()?;
        link.set_href(&url);
        link.set_download(name);
        link.click();
        web_sys::Url::revoke_object_url(&url)
    };
    if make().is_err() {
        copy(text);
    }
}

/// Path and query of the page.
#[must_use]
pub fn address() -> String {
    let Some(location) = web_sys::window().map(|w| w.location()) else {
        return "/".to_owned();
    };
    let path = location.pathname().unwrap_or_default();
    path + &location.search().unwrap_or_default()
}

/// Moves the focus to the first element of a selector.
pub fn focus(selector: &str) {
    let found = web_sys::window()
        .and_then(|w| w.document())
        .and_then(|d| d.query_selector(selector).ok().flatten())
        .and_then(|e| e.dyn_into::<web_sys::HtmlElement>().ok());
    if let Some(element) = found {
        element.focus().unwrap_or_default();
    }
}
