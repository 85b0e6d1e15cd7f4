//! All nodes of the fleet: filter, sort, and a table that draws what is seen.

mod add;
mod columns;
pub mod row;
mod table;

use crate::data::navigation;
use crate::data::store::Store;
use crate::pure::columns::Column;
use crate::pure::event::Mark;
use crate::pure::nodes::{self, Configuration, Filter, Order};
use crate::pure::route;
use crate::ui::cell::Waiting;
use crate::ui::control::{Choice, Ranges, SearchField};
use crate::ui::empty::Empty;
use crate::ui::frame::Head;
use crate::ui::icon::{Icon, IconView};
use crate::ui::mark::{self, MarkIcon};
use crate::view::prelude::*;
use krakend_api::NodeState;

/// Filter and order of the page. The filter is in the address, so it can be sent to somebody.
#[derive(Clone, Copy)]
pub struct View {
    pub filter: Memo<Filter>,
    pub order: RwSignal<Order>,
    pub columns: RwSignal<Vec<Column>>,
    /// Positions in the store's list.
    pub rows: Memo<Vec<usize>>,
}

const STATES: [NodeState; 4] = [
    NodeState::Active,
    NodeState::Unreachable,
    NodeState::Down,
    NodeState::Removed,
];

/// The page.
#[component]
pub fn Nodes(store: Store) -> impl IntoView {
    let filter = Memo::new(move |_| store.place.with(read_filter));
    let order = RwSignal::new(nodes::default_order());
    let rows = Memo::new(move |_| {
        let (filter, order) = (filter.get(), order.get());
        store.nodes.with(|n| {
            let nodes = n.value.as_deref().unwrap_or_default();
            nodes::rows(nodes, &filter, &order)
        })
    });
    let page = View {
        filter,
        order,
        columns: columns::remembered(),
        rows,
    };
    let adding = RwSignal::new(false);
    let seats = Signal::derive(move || {
        store.license.with(|l| {
            l.value.as_ref().map_or_else(String::new, |l| {
                format!("{} of {} seats in use", l.seats_used, l.max_nodes)
            })
        })
    });
    let actions = view! {
        <Ranges store />
        <button type="button" class="button primary" data-testid="add-node" on:click=move |_| adding.set(true)>
            <IconView icon=Icon::Plus /> <span>"Add node"</span>
        </button>
    }
    .into_any();
    let empty = Memo::new(move |_| store.nodes.with(|n| n.value.as_ref().map(Vec::is_empty)));
    view! {
        <Head store title="Nodes" context=seats actions />
        {move || match empty.get() {
            None => view! { <div class="cell"><Waiting /></div> }.into_any(),
            Some(true) => nothing(store).into_any(),
            Some(false) => view! { <div class="page-fill"><Toolbar store page /> <table::Table store page /></div> }.into_any(),
        }}
        <add::AddNode store open=adding />
    }
}

fn read_filter(place: &route::Place) -> Filter {
    let configuration = place.get("configuration").unwrap_or_default();
    Filter {
        text: place.get("q").unwrap_or_default().to_lowercase(),
        state: STATES
            .into_iter()
            .find(|s| place.get("state") == Some(mark::of_node(*s).1)),
        configuration: Configuration::ALL
            .into_iter()
            .find(|(_, word)| *word == configuration)
            .map_or(Configuration::Any, |(value, _)| value),
    }
}

/// Puts the filter into the address.
fn filtered(store: Store, text: &str, state: Option<NodeState>, configuration: Configuration) {
    let word = Configuration::ALL
        .into_iter()
        .find(|(value, _)| *value == configuration && configuration != Configuration::Any)
        .map_or("", |(_, word)| word);
    let state = state.map_or("", |s| mark::of_node(s).1);
    let pairs = [("q", text), ("state", state), ("configuration", word)];
    navigation::replace(store, &route::address("/nodes", &pairs));
}

#[component]
fn Toolbar(store: Store, page: View) -> impl IntoView {
    let set = move |change: &dyn Fn(&mut Filter)| {
        let mut filter = page.filter.get_untracked();
        change(&mut filter);
        filtered(store, &filter.text, filter.state, filter.configuration);
    };
    let count = move |state: Option<NodeState>| {
        store.nodes.with(|n| {
            let nodes = n.value.as_deref().unwrap_or_default();
            match state {
                Some(state) => nodes.iter().filter(|n| n.state == state).count(),
                None => nodes
                    .iter()
                    .filter(|n| n.state != NodeState::Removed)
                    .count(),
            }
        })
    };
    let state_button = move |state: Option<NodeState>| {
        let (mark, word) = match state {
            Some(state) => {
                let (mark, word) = mark::of_node(state);
                (Some(mark), word)
            }
            None => (None, "all"),
        };
        view! {
            <button type="button" aria-pressed=move || (page.filter.get().state == state).to_string() on:click=move |_| set(&|f| f.state = state)>
                {mark.map(|mark| view! { <MarkIcon mark /> })}
                <span class="capital">{word}</span> " " {move || count(state)}
            </button>
        }
    };
    let text = Signal::derive(move || page.filter.with(|f| f.text.clone()));
    let configuration = Signal::derive(move || {
        let chosen = page.filter.with(|f| f.configuration);
        let found = Configuration::ALL.into_iter().find(|(v, _)| *v == chosen);
        found.map_or_else(String::new, |(_, word)| word.to_owned())
    });
    let choices: Vec<(String, String)> = Configuration::ALL
        .iter()
        .map(|(_, word)| ((*word).to_owned(), (*word).to_owned()))
        .collect();
    let choose = move |word: String| {
        let found = Configuration::ALL.into_iter().find(|(_, w)| *w == word);
        set(&|f| f.configuration = found.map_or(Configuration::Any, |(v, _)| v));
    };
    view! {
        <div class="toolbar">
            <SearchField placeholder="Filter by id, host, address" text change=move |t: String| set(&|f| f.text = t.to_lowercase()) />
            <div class="segments states" role="group" aria-label="State">
                {state_button(None)}
                {STATES.into_iter().map(|s| state_button(Some(s))).collect_view()}
            </div>
            <Choice label="Configuration" choices=Signal::stored(choices) chosen=configuration choose />
            <span class="grow"></span>
            <span class="context" role="status">{move || {
                let (shown, all) = (page.rows.with(Vec::len), store.nodes.with(|n| n.value.as_ref().map_or(0, Vec::len)));
                (shown < all).then(|| format!("{shown} of {all} shown"))
            }}</span>
            <columns::Chooser columns=page.columns />
        </div>
    }
}

fn nothing(store: Store) -> impl IntoView {
    let listening = move || {
        store.managers.with(|m| {
            let names: Vec<String> = m.value.iter().flatten().map(|m| m.name.clone()).collect();
            format!("{} listen for nodes", names.join(", "))
        })
    };
    let seed = store.managers.with_untracked(|m| {
        let first = m.value.as_ref().and_then(|m| m.first());
        first.map_or_else(|| "<manager>:7000".to_owned(), |m| m.node_address.clone())
    });
    let publish = view! { "There may be none yet: it goes on with the file it has. " <a href="/configuration">"Configuration"</a> };
    view! {
        <Empty title="No nodes yet" text="Run this on a machine with krakend-node. It names one manager; the node finds the others by itself and shows up here in seconds."
            command=format!("echo 'seed: {seed}' | sudo tee /etc/krakend/service.yml && sudo systemctl restart krakend-node")
            steps=vec![
                ("The node registers with its join token and takes a seat", "It gets an id, such as krakend_3f20a44d, and a lease of 7 days.".into_any()),
                ("It applies the fleet\u{2019}s configuration", publish.into_any()),
                ("It serves, with or without managers", "If every manager is lost it goes on until its lease runs out.".into_any()),
            ]>
            <p class="waiting-line"><MarkIcon mark=Mark::Applying /> <strong>"Waiting for the first node"</strong> <span>{listening}</span></p>
        </Empty>
    }
}
