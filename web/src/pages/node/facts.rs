//! The strip below the head.

use super::View;
use crate::data::store::Store;
use crate::pages::nodes::row;
use crate::pure::{clock, format};
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::NodeState;

/// State, address, runtime, gossip, session, lease.
#[component]
pub fn Facts(store: Store, page: View) -> impl IntoView {
    let moment = move |at: Option<i64>| at.map(|at| store.zone().moment(at, store.clock_ms.get()));
    let state = move || {
        page.node.with(|n| {
            n.as_ref().map(|n| {
                let (mark, word) = row::state(n);
                view! { <MarkIcon mark /> <span data-testid="node-state">{word}</span> }
            })
        })
    };
    let since = move || {
        let at = page.time(|n| {
            Some(
                n.draining_since
                    .clone()
                    .unwrap_or_else(|| n.state_since.clone()),
            )
        });
        moment(at).map(|when| format!("since {when}"))
    };
    let silent_until = move || {
        let at = page.time(|n| n.down_at.clone());
        moment(at).map(|when| format!(", down at {when}"))
    };
    let host = move || {
        page.of(|n| {
            let address = n.gateway_address.clone();
            address
                .rsplit_once(':')
                .map_or(address.clone(), |(host, _)| host.to_owned())
        })
    };
    let ports = move || {
        page.of(|n| {
            let port = |a: &str| a.rsplit_once(':').map_or(a, |(_, p)| p).to_owned();
            format!(
                "gossip {}, gateway {}",
                port(&n.gossip_address),
                port(&n.gateway_address)
            )
        })
    };
    let gossip = move || {
        page.of(|n| match (&n.gossip_blocked_since, n.state) {
            (Some(_), _) => "blocked",
            (None, NodeState::Active) => "alive",
            (None, NodeState::Unreachable) => "silent",
            (None, NodeState::Down) => "down",
            (None, NodeState::Removed) => "left",
        })
    };
    let gossip_since = move || {
        let at = page.time(|n| n.gossip_blocked_since.clone());
        match moment(at) {
            Some(when) => format!("UDP does not pass since {when}"),
            None => page.of(|n| n.gossip_address.clone()),
        }
    };
    let session = move || {
        page.of(|n| match (&n.session_manager, n.state) {
            (Some(name), _) => format!("to {name}"),
            (None, NodeState::Active) => "open".to_owned(),
            (None, _) => "none".to_owned(),
        })
    };
    let heard = move || {
        let at = page.time(|n| n.heard_at.clone())?;
        Some(format!(
            "last heard {} ago",
            format::duration(store.clock_ms.get() - at)
        ))
    };
    let lease_at = move || page.time(|n| n.lease_expires_at.clone());
    let lease = move || match (page.of(|n| n.free_version_since.is_some()), lease_at()) {
        (true, _) => "free version".to_owned(),
        (_, Some(at)) => format!("{} left", format::duration(at - store.clock_ms.get())),
        _ => "none".to_owned(),
    };
    let lease_until = move || moment(lease_at()).map(|when| format!("until {when}"));
    let seat = move || page.of(|n| n.holds_seat).then_some(", holds a seat");
    view! {
        <dl class="facts">
            <div><dt>"State"</dt><dd>{state}</dd><dd class="more-fact" title=move || page.time(|n| Some(n.state_since.clone())).map(clock::utc)>{since} {silent_until}</dd></div>
            <div><dt>"Address"</dt><dd>{host}</dd><dd class="more-fact">{ports}</dd></div>
            <div><dt>"Runtime"</dt><dd>{move || page.of(row::runtime)}</dd><dd class="more-fact">{move || page.of(|n| format!("krakend-node {}", n.version))}</dd></div>
            <div><dt>"Gossip"</dt><dd>{gossip}</dd><dd class="more-fact">{gossip_since}</dd></div>
            <div><dt>"Session"</dt><dd>{session}</dd><dd class="more-fact">{heard}</dd></div>
            <div><dt>"Lease"</dt><dd>{lease}</dd><dd class="more-fact" title=move || lease_at().map(clock::utc)>{lease_until} {seat}</dd></div>
        </dl>
    }
}
