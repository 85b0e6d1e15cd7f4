//! What an operator does to a node.

use super::View;
use crate::data::api;
use crate::data::navigation;
use crate::data::store::{Act, Ask, Store};
use crate::ui::button::{Action, act, ask};
use crate::view::prelude::*;
use krakend_api::{NodeState, Role};
use std::sync::Arc;

fn order(method: &'static str, path: String, said: String) -> Act {
    Arc::new(move || {
        let (path, said) = (path.clone(), said.clone());
        Box::pin(async move { api::write(method, &path, None, &[]).await.map(|_| said) })
    })
}

/// Drain, restart, remove.
#[component]
pub fn Actions(store: Store, page: View) -> impl IntoView {
    let name = move || {
        page.node
            .with_untracked(|n| n.as_ref().map(|n| n.name.clone()).unwrap_or_default())
    };
    let path = move |what: &str| page.id.with_value(|id| format!("/v1/nodes/{id}{what}"));
    let draining = Memo::new(move |_| page.of(|n| n.draining_since.is_some()));
    let there = Memo::new(move |_| page.of(|n| n.state != NodeState::Removed));
    let silent = Signal::derive(move || {
        let active = page
            .node
            .with(|n| n.as_ref().is_some_and(|n| n.state == NodeState::Active));
        (!active).then(|| "The node does not answer.".to_owned())
    });
    let drain = move || {
        let name = name();
        if draining.get_untracked() {
            act(
                store,
                &order(
                    "POST",
                    path("/undrain"),
                    format!("{name} takes traffic again."),
                ),
            );
            return;
        }
        ask(store, Ask {
            title: format!("Drain {name}?"),
            consequence: vec![(
                "It takes no new traffic:".to_owned(),
                "its health check says so, and balancers send it nothing more. Requests in flight are finished. It keeps its seat and its configuration.".to_owned(),
            )],
            typed: None,
            safe: format!("Keep {name} serving"),
            danger: format!("Drain {name}"),
            dangerous: true,
            run: order("POST", path("/drain"), format!("{name} is draining.")),
        });
    };
    let restart = move || {
        let name = name();
        ask(store, Ask {
            title: format!("Restart the gateway on {name}?"),
            consequence: vec![(
                "No request is lost:".to_owned(),
                "a new gateway starts first and takes over, then the old one finishes what it has.".to_owned(),
            )],
            typed: None,
            safe: "Leave it".to_owned(),
            danger: "Restart".to_owned(),
            dangerous: false,
            run: order("POST", path("/restart"), format!("{name} restarts its gateway.")),
        });
    };
    let remove = move || {
        let name = name();
        let run: Act = {
            let delete = order(
                "DELETE",
                path(""),
                format!("{name} removed. Its statistics stay until their windows run out."),
            );
            Arc::new(move || {
                let doing = delete();
                Box::pin(async move {
                    let said = doing.await?;
                    navigation::go(store, "/nodes");
                    Ok(said)
                })
            })
        };
        ask(store, Ask {
            title: format!("Remove {name} from the fleet?"),
            consequence: vec![
                ("Its seat is free at once.".to_owned(), "It goes on serving what it has, without central updates and statistics.".to_owned()),
                (String::new(), "A node that still runs joins again by itself while a seat is free: stop krakend-node there first.".to_owned()),
            ],
            typed: Some(name.clone()),
            safe: format!("Keep {name}"),
            danger: format!("Remove {name}"),
            dangerous: true,
            run,
        });
    };
    view! {
        {move || there.get().then(|| {
            let label = Signal::derive(move || if draining.get() { "Undrain" } else { "Drain" }.to_owned());
            view! {
                <Action store label need=Role::Operator blocked=silent testid="node-drain" run=drain />
                <Action store label=Signal::stored("Restart gateway".to_owned()) need=Role::Operator blocked=silent testid="node-restart" run=restart />
                <Action store label=Signal::stored("Remove".to_owned()) need=Role::Operator class="danger" testid="node-remove" run=remove />
            }
        })}
    }
}
