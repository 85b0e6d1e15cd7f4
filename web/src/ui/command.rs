//! A command to copy.

use super::icon::{Icon, IconView};
use crate::data::browser;
use crate::view::prelude::*;
use std::time::Duration;

/// A command in a box with a button that copies it.
#[component]
pub fn Command(#[prop(into)] text: String) -> impl IntoView {
    let copied = RwSignal::new(false);
    let shown = text.clone();
    let copy = move |_| {
        browser::copy(&text);
        copied.set(true);
        set_timeout(move || copied.set(false), Duration::from_secs(2));
    };
    view! {
        <div class="command">
            <code>{shown}</code>
            <button type="button" class="quiet-icon" aria-label="Copy the command" on:click=copy>
                {move || if copied.get() { view! { <span class="copied">"Copied"</span> }.into_any() } else { view! { <IconView icon=Icon::Copy /> }.into_any() }}
            </button>
        </div>
    }
}
