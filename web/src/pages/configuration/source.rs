//! The document itself: as it is shown, and as a file.

use super::View;
use crate::data::api::{self, Failure};
use crate::data::browser;
use crate::data::store::{Remote, Store};
use crate::pure::{json, route};
use crate::ui::cell;
use crate::view::prelude::*;
use leptos::task::spawn_local;

/// The document of a version, indented, with its numbers and keys as they were published.
pub async fn read(fleet: &str, number: u64) -> Result<String, Failure> {
    let path = format!(
        "/v1/fleets/{}/versions/{number}?consistency=stale",
        route::encode(fleet)
    );
    let text = api::get_text(&path).await?;
    json::member(&text, "document")
        .map(json::indented)
        .ok_or(Failure::Unreadable)
}

/// Keeps the shown version as a file.
#[component]
pub fn Export(store: Store, page: View) -> impl IntoView {
    let number = move || {
        page.shown
            .with(|s| s.as_ref().map(|s| s.number))
            .unwrap_or_default()
    };
    let export = move |_| {
        let (fleet, number) = (store.fleet_name.get_untracked(), number());
        spawn_local(async move {
            match read(&fleet, number).await {
                Ok(text) => browser::download(
                    &format!("{fleet}-v{number}.json"),
                    "application/json",
                    &text,
                ),
                Err(failure) => store.say(failure.text(), true),
            }
        });
    };
    view! { <button type="button" class="button hide-phone" data-testid="export" on:click=export>{move || format!("Export v{}", number())}</button> }
}

/// All of the document.
#[component]
pub fn Document(store: Store, page: View) -> impl IntoView {
    let text = RwSignal::new(Remote::<String>::default());
    Effect::new(move |_| {
        let number = page.shown.with(|s| s.as_ref().map(|s| s.number));
        let fleet = store.fleet_name.get();
        if let Some(number) = number {
            spawn_local(async move {
                let remote = match read(&fleet, number).await {
                    Ok(value) => Remote {
                        value: Some(value),
                        failure: None,
                    },
                    Err(failure) => Remote {
                        value: None,
                        failure: Some(failure.text()),
                    },
                };
                text.set(remote);
            });
        }
    });
    view! { <div class="document">{cell::remote(text, |text: &String| view! { <pre tabindex="0">{text.clone()}</pre> })}</div> }
}
