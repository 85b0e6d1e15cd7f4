//! One node: what it is, what it serves, what it was told, and its log.

mod actions;
mod facts;
mod history;
mod log;
mod target;
mod traffic;

use crate::data::resource;
use crate::data::store::{Remote, Store};
use crate::pure::{clock, route};
use crate::ui::cell::{Failed, Waiting};
use crate::ui::control::Ranges;
use crate::ui::frame::Head;
use crate::ui::icon::{Icon, IconView};
use crate::view::prelude::*;
use krakend_api::{EventList, Node, Statistics};

/// What the cells of the page share.
#[derive(Clone, Copy)]
pub struct View {
    pub id: StoredValue<String>,
    pub node: Memo<Option<Node>>,
    pub statistics: RwSignal<Remote<Statistics>>,
    pub events: RwSignal<Remote<EventList>>,
}

impl View {
    /// A value of the node.
    pub fn of<T: Default>(&self, read: impl FnOnce(&Node) -> T) -> T {
        self.node.with(|n| n.as_ref().map(read).unwrap_or_default())
    }

    /// A time of the node.
    pub fn time(&self, read: impl FnOnce(&Node) -> Option<String>) -> Option<i64> {
        self.of(read).as_deref().and_then(clock::parse)
    }
}

/// The page.
#[component]
pub fn NodePage(store: Store, id: String) -> impl IntoView {
    let wanted = id.clone();
    let alone = resource::live::<Node>(store, {
        let path = format!("/v1/nodes/{}?consistency=stale", route::encode(&id));
        move || path.clone()
    });
    // The list is live; a node of another fleet, or beyond the first thousand, is read by itself.
    let node = Memo::new(move |_| {
        let listed = store.nodes.with(|n| {
            let nodes = n.value.as_deref().unwrap_or_default();
            nodes.iter().find(|n| n.id == wanted).cloned()
        });
        listed.or_else(|| alone.with(|n| n.value.clone()))
    });
    let node_id = id.clone();
    let statistics = resource::live::<Statistics>(store, move || {
        let fleet = store.fleet_name.get();
        let range = store.range_s.get();
        format!(
            "/v1/statistics?fleet={}&node={node_id}&range_s={range}&consistency=stale",
            route::encode(&fleet)
        )
    });
    let events = history::events(store, id.clone());
    let page = View {
        id: StoredValue::new(id),
        node,
        statistics,
        events,
    };
    let there = Memo::new(move |_| node.with(Option::is_some));
    let title = Signal::derive(move || page.of(|n| n.name.clone()));
    let full = page.id.with_value(|id| format!("krakend_{id}"));
    let copy = full.clone();
    let middle = view! {
        <code class="head-id">{full}</code>
        <button type="button" class="quiet-icon" aria-label="Copy the id" on:click=move |_| crate::data::browser::copy(&copy)><IconView icon=Icon::Copy /></button>
    }
    .into_any();
    let buttons = view! { <Ranges store /> <actions::Actions store page /> }.into_any();
    view! {
        <nav class="crumbs" aria-label="Path"><a href="/nodes">"Nodes"</a></nav>
        <Head store title middle actions=buttons />
        {move || if there.get() {
            view! {
                <facts::Facts store page />
                <div class="row row-thirds">
                    <traffic::RequestsCell store page />
                    <traffic::LatencyCell store page />
                    <target::TargetCell store page />
                </div>
                <div class="row row-detail">
                    <div class="stack">
                        <history::HistoryCell store page />
                        <log::LogCell store page />
                    </div>
                    <div class="stack">
                        <traffic::BackendsCell store page />
                        <traffic::ProcessCell page />
                    </div>
                </div>
            }.into_any()
        } else {
            missing(alone).into_any()
        }}
    }
}

fn missing(alone: RwSignal<Remote<Node>>) -> impl IntoView {
    move || {
        let failure = alone.with(|a| a.failure.clone());
        view! {
            <div class="cell">
                {match failure {
                    Some(text) => view! { <Failed text /> }.into_any(),
                    None => view! { <Waiting /> }.into_any(),
                }}
            </div>
        }
    }
}
