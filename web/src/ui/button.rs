//! Buttons that change something.

use crate::data::store::{Act, Ask, Store};
use crate::view::prelude::*;
use krakend_api::Role;
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
    let look = (format!("button {class}"), testid);
    action(store, label, need, look, blocked, Box::new(run))
}

/// The same for every `run`, so that there is one copy of it. The look is class and test id.
fn action(
    store: Store,
    label: Signal<String>,
    need: Role,
    (class, testid): (String, &'static str),
    blocked: Option<Signal<Option<String>>>,
    run: Box<dyn Fn() + Send + Sync>,
) -> AnyView {
    let why = Memo::new(move |_| {
        store
            .hindrance(need)
            .or_else(|| blocked.and_then(|b| b.get()))
    });
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
