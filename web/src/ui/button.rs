//! Buttons that change something.

use crate::data::store::{Act, Ask, Store};
use krakend_api::Role;
use leptos::prelude::*;
use leptos::task::spawn_local;

/// A button for what needs a role and a leader. While it cannot be used it says why.
#[component]
pub fn Action(
    store: Store,
    #[prop(into)] label: Signal<String>,
    need: Role,
    /// Its look: `primary`, `danger`, `small`.
    #[prop(optional, into)]
    class: String,
    #[prop(optional)] testid: &'static str,
    /// Why it cannot be used for a reason of its own.
    #[prop(optional, into)]
    blocked: Option<Signal<Option<String>>>,
    run: impl Fn() + Send + Sync + 'static,
) -> impl IntoView {
    let why = Memo::new(move |_| {
        store
            .hindrance(need)
            .or_else(|| blocked.and_then(|b| b.get()))
    });
    let class = format!("button {class}");
    view! {
        <button type="button" class=class data-testid=testid title=move || why.get()
            aria-disabled=move || why.get().is_some().to_string()
            on:click=move |_| if why.get_untracked().is_none() { run() }>
            {label}
            {move || why.get().map(|why| view! { <span class="reader">" (" {why} ")"</span> })}
        </button>
    }
}

/// Does something at once and tells what came of it.
pub fn act(store: Store, act: &Act) {
    let doing = act();
    spawn_local(async move {
        match doing.await {
            Ok(text) => store.say(text, false),
            Err(failure) => store.say(failure.text(), true),
        }
    });
}

/// Asks before it is done.
pub fn ask(store: Store, question: Ask) {
    store.ask.set(Some(question));
}
