//! Keys that work on every page, and the list of them.

use super::dialog::Dialog;
use crate::data::browser;
use crate::data::navigation;
use crate::data::store::{Login, Store};
use crate::pure::keys::{Action, Keys};
use crate::pure::route::Section;
use crate::view::prelude::*;
use leptos::ev;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent};

/// Listens as long as the page lives.
pub fn listen(store: Store) {
    let keys = StoredValue::new(Keys::default());
    let _listener = window_event_listener(ev::keydown, move |event: KeyboardEvent| {
        let with_others = event.ctrl_key() || event.meta_key() || event.alt_key();
        if with_others || !matches!(store.login.get_untracked(), Login::In(_)) {
            return;
        }
        let target: Option<Element> = event.target().and_then(|t| t.dyn_into().ok());
        let is = |selector: &str| {
            target
                .as_ref()
                .is_some_and(|t| t.closest(selector).ok().flatten().is_some())
        };
        let typing = is("input, textarea, select");
        if is("dialog") {
            return;
        }
        let action = keys.try_update_value(|keys| keys.press(&event.key(), typing));
        if let Some(Some(action)) = action {
            act(store, action, &event);
        }
    });
}

fn act(store: Store, action: Action, event: &KeyboardEvent) {
    match action {
        Action::Search => {
            event.prevent_default();
            browser::focus("#sheet input[type=search]");
        }
        Action::Open(section) => navigation::go(store, section.path()),
        Action::NextRow => step(1),
        Action::PreviousRow => step(-1),
        Action::ShorterRange => store.step_range(false),
        Action::LongerRange => store.step_range(true),
        Action::Help => store.help.set(true),
        Action::Close => {
            store.toast.set(None);
            browser::focus("#sheet");
        }
    }
}

/// Moves the focus among the rows of the page; Enter then follows the row's own link.
fn step(by: i32) {
    let Some(document) = web_sys::window().and_then(|w| w.document()) else {
        return;
    };
    let Ok(rows) = document.query_selector_all("#sheet .row-link") else {
        return;
    };
    let count = i32::try_from(rows.length()).unwrap_or(0);
    let active = document.active_element();
    let now = (0..count).find(|at| {
        let row = rows.get(at.unsigned_abs());
        row.is_some() && row == active.clone().map(Into::into)
    });
    let next = match now {
        Some(now) => now + by,
        None if by > 0 => 0,
        None => count - 1,
    };
    let next = next.clamp(0, (count - 1).max(0));
    let element = rows
        .get(next.unsigned_abs())
        .and_then(|n| n.dyn_into::<HtmlElement>().ok());
    if let Some(element) = element {
        element.focus().unwrap_or_default();
    }
}

/// All keys.
#[component]
pub fn Help(store: Store) -> impl IntoView {
    let pages = || {
        Section::ALL
            .into_iter()
            .map(|s| view! { <li><span><kbd>"g"</kbd> <kbd>{s.letter().to_string()}</kbd></span> <span>{s.name()}</span></li> })
            .collect_view()
    };
    view! {
        <Dialog open=store.help title="Keys">
            <ul class="keys">
                {pages()}
                <li><span><kbd>"/"</kbd></span> <span>"Search or filter"</span></li>
                <li><span><kbd>"j"</kbd> <kbd>"k"</kbd></span> <span>"Next and previous row"</span></li>
                <li><span><kbd>"Enter"</kbd></span> <span>"Open the row"</span></li>
                <li><span><kbd>"["</kbd> <kbd>"]"</kbd></span> <span>"Shorter and longer range"</span></li>
                <li><span><kbd>"?"</kbd></span> <span>"This list"</span></li>
                <li><span><kbd>"Esc"</kbd></span> <span>"Close"</span></li>
            </ul>
            <div class="dialog-foot"><button type="button" class="button" on:click=move |_| store.help.set(false)>"Close"</button></div>
        </Dialog>
    }
}
