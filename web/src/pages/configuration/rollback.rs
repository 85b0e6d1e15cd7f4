//! Rolling back: an old content as a new version.

use super::View;
use crate::data::api;
use crate::data::navigation;
use crate::data::store::{Act, Ask, Store};
use crate::pure::{format, route};
use crate::ui::button::{Action, ask};
use crate::view::prelude::*;
use krakend_api::{Published, Role, RollbackRequest};
use std::sync::Arc;

/// Rolls back to the shown version, or, from the newest, to the one before.
#[component]
pub fn RollBack(store: Store, page: View) -> impl IntoView {
    let newest = move || page.versions.with(|v| v.first().cloned());
    let target = Memo::new(move |_| {
        let shown = page.shown.get()?;
        if newest().is_some_and(|n| n.number == shown.number) {
            return page.versions.with(|v| v.get(1).cloned());
        }
        Some(shown)
    });
    let label = Signal::derive(move || match target.get() {
        Some(to) => format!("Roll back to v{}", to.number),
        None => "Roll back".to_owned(),
    });
    let blocked = Signal::derive(move || {
        target
            .get()
            .is_none()
            .then(|| "There is no older version.".to_owned())
    });
    let run = move || {
        let (Some(to), Some(newest)) = (target.get_untracked(), newest()) else {
            return;
        };
        let fleet = store.fleet_name.get_untracked();
        let nodes = store.newest.with_untracked(|n| {
            let newest = n.value.as_ref().and_then(Option::as_ref);
            newest.map_or(0, |n| n.rollout.total)
        });
        let body = RollbackRequest {
            to: to.number,
            message: format!("Roll back to v{}", to.number),
            parent: Some(newest.digest.clone()),
        };
        let act: Act = Arc::new(move || {
            let (fleet, body) = (fleet.clone(), body.clone());
            Box::pin(async move {
                let text = serde_json::to_string(&body).map_err(|_| api::Failure::Unreadable)?;
                let path = format!("/v1/fleets/{}/rollback", route::encode(&fleet));
                let answer = api::write("POST", &path, Some(&text), &[]).await?;
                let published: Published = api::parse(&answer)?;
                navigation::go(store, "/configuration");
                Ok(format!(
                    "Rolled back to v{} as v{}.",
                    body.to, published.number
                ))
            })
        });
        ask(
            store,
            Ask {
                title: format!("Roll back to v{}?", to.number),
                consequence: vec![
                    (
                        format!(
                            "The content of v{} becomes v{} and goes to {} at once.",
                            to.number,
                            newest.number + 1,
                            format::nodes(nodes)
                        ),
                        "No request is lost; versions in between stay.".to_owned(),
                    ),
                    (
                        String::new(),
                        if to.message.is_empty() {
                            format!("v{} is by {}.", to.number, to.author)
                        } else {
                            format!(
                                "v{} is \u{201c}{}\u{201d} by {}.",
                                to.number, to.message, to.author
                            )
                        },
                    ),
                ],
                typed: None,
                safe: format!("Keep v{}", newest.number),
                danger: format!("Roll back to v{}", to.number),
                dangerous: true,
                run: act,
            },
        );
    };
    view! { <Action store label need=Role::Operator blocked testid="roll-back" run /> }
}
