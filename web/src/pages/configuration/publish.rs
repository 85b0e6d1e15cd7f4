//! Publishing the draft.

use super::check;
use super::editor::Draft;
use crate::data::api;
use crate::data::navigation;
use crate::data::store::{Act, Ask, Store};
use crate::pure::{format, route};
use crate::ui::button::{Action, ask};
use crate::view::prelude::*;
use krakend_api::{Published, Role};
use std::sync::Arc;
use wasm_bindgen::JsCast;

const MESSAGE: &str = "publish-message";
const MESSAGE_LIMIT: usize = 500;

/// Why, for the list of versions.
#[component]
pub fn Message(store: Store) -> impl IntoView {
    let nodes = move || {
        let total = store
            .nodes
            .with(|n| n.value.iter().flatten().filter(|n| n.holds_seat).count());
        format::nodes(u32::try_from(total).unwrap_or(u32::MAX))
    };
    view! {
        <section class="cell">
            <label class="strong" for=MESSAGE>"Message"</label>
            <textarea class="message" id=MESSAGE data-testid="publish-message" rows="3" maxlength=MESSAGE_LIMIT placeholder="What changes, and why"></textarea>
            <p class="note">"It goes to all " {nodes} " at once. A node whose gateway refuses it keeps what it has."</p>
        </section>
    }
}

fn message() -> String {
    let field = web_sys::window()
        .and_then(|w| w.document())
        .and_then(|d| d.get_element_by_id(MESSAGE))
        .and_then(|e| e.dyn_into::<web_sys::HtmlTextAreaElement>().ok());
    field
        .map(|f| f.value().trim().to_owned())
        .unwrap_or_default()
}

/// The button; it works once the text has passed its check.
#[component]
pub fn Publish(store: Store, draft: Draft) -> impl IntoView {
    let blocked = Signal::derive(move || {
        let passes = draft
            .checked
            .with(|c| c.as_ref().map(|c| draft.text.with(|t| c.passes(t))));
        match passes {
            None => Some("Check it first.".to_owned()),
            Some(false) => Some("The text has errors, or has changed since the check.".to_owned()),
            Some(true) => None,
        }
    });
    let run = move || {
        let parent = draft.parent.get_untracked();
        let next = parent.as_ref().map_or(1, |p| p.0 + 1);
        let nodes = store
            .nodes
            .with_untracked(|n| n.value.iter().flatten().filter(|n| n.holds_seat).count());
        let nodes = format::nodes(u32::try_from(nodes).unwrap_or(u32::MAX));
        ask(store, Ask {
            title: format!("Publish v{next}?"),
            consequence: vec![(format!("It goes to {nodes} of {} at once.", store.fleet_name.get_untracked()), "Each starts a new gateway beside the old one and switches; no request is lost.".to_owned())],
            typed: None,
            safe: "Not yet".to_owned(),
            danger: format!("Publish v{next}"),
            dangerous: false,
            run: publish(store, draft),
        });
    };
    view! { <Action store label=Signal::stored("Publish".to_owned()) need=Role::Operator class="primary" blocked testid="publish" run /> }
}

fn publish(store: Store, draft: Draft) -> Act {
    Arc::new(move || {
        let text = draft.text.get_untracked();
        let parent = draft.parent.get_untracked();
        let fleet = store.fleet_name.get_untracked();
        Box::pin(async move {
            let path = route::address(
                &format!("/v1/fleets/{}/versions", route::encode(&fleet)),
                &[("message", &message())],
            );
            let etag = parent.map(|(_, digest)| format!("\"{digest}\""));
            let header = match &etag {
                Some(etag) => ("If-Match", etag.as_str()),
                None => ("If-None-Match", "*"),
            };
            match api::write("POST", &path, Some(&text), &[header]).await {
                Ok(answer) => {
                    let published: Published = api::parse(&answer)?;
                    draft.forget(store);
                    navigation::go(store, "/configuration");
                    Ok(format!("v{} is published.", published.number))
                }
                Err(failure) => {
                    let (findings, _) = check::split(failure.clone());
                    if !findings.is_empty() {
                        draft.checked.update(|c| {
                            if let Some(c) = c {
                                c.findings = findings
                            }
                        });
                    }
                    Err(failure)
                }
            }
        })
    })
}
