//! Segments, choices, the search field, the range of the charts.

use super::icon::{Icon, IconView};
use crate::data::choices::RANGES;
use crate::data::store::Store;
use crate::view::prelude::*;

/// The range of all charts.
#[component]
pub fn Ranges(store: Store) -> impl IntoView {
    let buttons = RANGES
        .into_iter()
        .map(|(range, label)| {
            view! {
                <button type="button" aria-pressed=move || (store.range_s.get() == range && store.place.with(|p| p.get("from").is_none())).to_string() on:click=move |_| store.choose_range(range)>
                    {label}
                </button>
            }
        })
        .collect_view();
    view! { <div class="segments ranges" role="group" aria-label="Range of the charts">{buttons}</div> }
}

/// A few choices side by side.
#[component]
pub fn Segments<T>(
    label: &'static str,
    choices: Vec<(T, &'static str)>,
    #[prop(into)] chosen: Signal<T>,
    choose: impl Fn(T) + Clone + Send + Sync + 'static,
) -> impl IntoView
where
    T: Clone + PartialEq + Send + Sync + 'static,
{
    let buttons = choices
        .into_iter()
        .map(|(value, word)| {
            let (choose, mine) = (choose.clone(), value.clone());
            view! {
                <button type="button" aria-pressed=move || (chosen.get() == mine).to_string() on:click=move |_| choose(value.clone())>{word}</button>
            }
        })
        .collect_view();
    view! { <div class="segments" role="group" aria-label=label>{buttons}</div> }
}

/// A choice that opens: the browser's own list.
#[component]
pub fn Choice(
    label: &'static str,
    /// Value and word.
    #[prop(into)]
    choices: Signal<Vec<(String, String)>>,
    #[prop(into)] chosen: Signal<String>,
    choose: impl Fn(String) + Clone + Send + Sync + 'static,
    #[prop(optional)] testid: &'static str,
) -> impl IntoView {
    view! {
        <label class="choice">
            <span>{label} ":"</span>
            <select data-testid=testid prop:value=chosen on:change=move |e| choose(event_target_value(&e))>
                {move || choices.get().into_iter().map(|(value, word)| {
                    let mine = value.clone();
                    view! { <option value=value selected=move || chosen.get() == mine>{word}</option> }
                }).collect_view()}
            </select>
            <IconView icon=Icon::Down />
        </label>
    }
}

/// The field that `/` finds.
#[component]
pub fn SearchField(
    placeholder: &'static str,
    #[prop(into)] text: Signal<String>,
    change: impl Fn(String) + Send + Sync + 'static,
    #[prop(optional, into)] enter: Option<Callback<String>>,
) -> impl IntoView {
    view! {
        <div class="search" role="search">
            <IconView icon=Icon::Search />
            <input type="search" data-testid="search" aria-label=placeholder placeholder=placeholder prop:value=text autocomplete="off" spellcheck="false"
                on:input=move |e| change(event_target_value(&e))
                on:keydown=move |e: web_sys::KeyboardEvent| {
                    if e.key() == "Enter" && let Some(enter) = enter {
                        enter.run(event_target_value(&e));
                    }
                } />
            <kbd aria-hidden="true">"/"</kbd>
        </div>
    }
}
