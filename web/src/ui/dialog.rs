//! Dialogs: the browser's own, so focus stays inside and Esc closes.

use super::mark::MarkIcon;
use crate::data::store::{Ask, Store};
use crate::pure::event::Mark;
use crate::view::prelude::*;
use leptos::html;
use leptos::task::spawn_local;

/// A dialog that is open while `open` is true.
#[component]
pub fn Dialog(
    open: RwSignal<bool>,
    #[prop(into)] title: Signal<String>,
    #[prop(optional)] wide: bool,
    children: ChildrenFn,
) -> impl IntoView {
    let node = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let (Some(dialog), open) = (node.get(), open.get()) else {
            return;
        };
        if open && !dialog.open() {
            dialog.show_modal().unwrap_or_default();
        } else if !open && dialog.open() {
            dialog.close();
        }
    });
    view! {
        <dialog class="dialog" class:wide=wide node_ref=node aria-label=title on:close=move |_| open.set(false)>
            {move || open.get().then(|| view! { <div class="dialog-body"><h2>{title}</h2> {children()}</div> })}
        </dialog>
    }
}

/// The question of the store.
#[component]
pub fn Confirm(store: Store) -> impl IntoView {
    let open = RwSignal::new(false);
    Effect::new(move |_| open.set(store.ask.with(Option::is_some)));
    Effect::new(move |_| {
        if !open.get() && store.ask.with_untracked(Option::is_some) {
            store.ask.set(None);
        }
    });
    let node = NodeRef::<html::Dialog>::new();
    Effect::new(move |_| {
        let (Some(dialog), open) = (node.get(), open.get()) else {
            return;
        };
        if open && !dialog.open() {
            dialog.show_modal().unwrap_or_default();
        } else if !open && dialog.open() {
            dialog.close();
        }
    });
    let label = move || store.ask.with(|a| a.as_ref().map(|a| a.title.clone()));
    view! {
        <dialog class="dialog" node_ref=node aria-label=label on:close=move |_| open.set(false)>
            {move || store.ask.get().map(|ask| view! { <Question store ask open /> })}
        </dialog>
    }
}

#[component]
fn Question(store: Store, ask: Ask, open: RwSignal<bool>) -> impl IntoView {
    let typed = RwSignal::new(String::new());
    let busy = RwSignal::new(false);
    let wrong = RwSignal::new(None::<String>);
    let must_type = ask.typed.clone();
    let ready = {
        let must_type = must_type.clone();
        move || {
            must_type
                .as_ref()
                .is_none_or(|name| typed.get().trim() == name)
                && !busy.get()
        }
    };
    let can = Memo::new(move |_| ready());
    let run = ask.run.clone();
    let go = move || {
        if !can.get_untracked() {
            return;
        }
        busy.set(true);
        wrong.set(None);
        let doing = run();
        spawn_local(async move {
            match doing.await {
                Ok(text) => {
                    open.set(false);
                    store.say(text, false);
                }
                Err(failure) => {
                    busy.set(false);
                    wrong.set(Some(failure.text()));
                }
            }
        });
    };
    let go_by_key = go.clone();
    let lines = ask
        .consequence
        .into_iter()
        .map(|(bold, rest)| view! { <p><strong>{bold}</strong> " " {rest}</p> })
        .collect_view();
    let (danger, busy_text) = (ask.danger.clone(), format!("{}\u{2026}", ask.danger));
    let class = if ask.dangerous {
        "button danger filled"
    } else {
        "button primary"
    };
    let types = must_type.is_some();
    view! {
        <div class="dialog-body with-mark">
            <MarkIcon mark=if ask.dangerous { Mark::Unreachable } else { Mark::Leader } />
            <h2>{ask.title}</h2>
            {lines}
            {must_type.map(|name| view! {
                <label for="confirm-name">"Type " <code>{name}</code> " to confirm"</label>
                <div class="field">
                    <input id="confirm-name" data-testid="confirm-name" autocomplete="off" spellcheck="false" autofocus
                        on:input=move |e| typed.set(event_target_value(&e))
                        on:keydown=move |e: web_sys::KeyboardEvent| if e.key() == "Enter" { go_by_key() } />
                </div>
            })}
            <p class="field-note" role="alert">{move || wrong.get()}</p>
            <div class="dialog-foot">
                <button type="button" class="button" autofocus=!types on:click=move |_| open.set(false)>{ask.safe}</button>
                <button type="button" class=class data-testid="confirm" prop:disabled=move || !can.get() on:click=move |_| go()>
                    {move || if busy.get() { busy_text.clone() } else { danger.clone() }}
                </button>
            </div>
        </div>
    }
}
