//! Versions, the editor, and files that somebody else changed.

mod check;
mod compare;
mod drift;
mod editor;
mod list;
mod progress;
mod publish;
mod rollback;
mod source;

pub use drift::DriftPage;
pub use editor::Editor;

use crate::data::resource;
use crate::data::store::Store;
use crate::pure::route::{self, Page};
use crate::ui::cell::{Failed, Waiting};
use crate::ui::empty::Empty;
use crate::ui::frame::{Head, HeadTabs};
use crate::view::prelude::*;
use krakend_api::{VersionList, VersionSummary};

/// The links to the three parts.
pub fn tabs(store: Store, current: usize) -> AnyView {
    let drifted = Signal::derive(move || {
        store.nodes.with(|n| {
            let nodes = n.value.as_deref().unwrap_or_default();
            nodes
                .iter()
                .filter(|n| n.drift.is_some())
                .count()
                .to_string()
        })
    });
    let tabs = vec![
        ("/configuration".to_owned(), "Versions", None),
        ("/configuration/editor".to_owned(), "Editor", None),
        ("/configuration/drift".to_owned(), "Drift", Some(drifted)),
    ];
    view! { <HeadTabs tabs current /> }.into_any()
}

/// The name of the fleet, beside the title.
pub fn context(store: Store) -> Signal<String> {
    Signal::derive(move || store.fleet_name.get())
}

/// What the cells of the page share.
#[derive(Clone, Copy)]
pub struct View {
    pub versions: Memo<Vec<VersionSummary>>,
    /// The version that is looked at, and the one that it is compared with.
    pub shown: Memo<Option<VersionSummary>>,
    pub against: Memo<Option<VersionSummary>>,
}

/// The page of versions.
#[component]
pub fn Versions(store: Store) -> impl IntoView {
    let list = resource::live::<VersionList>(store, move || {
        let fleet = store.fleet_name.get();
        format!(
            "/v1/fleets/{}/versions?consistency=stale&limit=200",
            route::encode(&fleet)
        )
    });
    let versions = Memo::new(move |_| {
        list.with(|l| {
            l.value
                .as_ref()
                .map(|l| l.versions.clone())
                .unwrap_or_default()
        })
    });
    let number = Memo::new(move |_| {
        store.place.with(|p| match p.page {
            Page::Versions(number) => number,
            _ => None,
        })
    });
    let from = Memo::new(move |_| {
        store
            .place
            .with(|p| p.get("from").and_then(|f| f.parse::<u64>().ok()))
    });
    let shown = Memo::new(move |_| {
        versions.with(|v| match number.get() {
            Some(number) => v.iter().find(|v| v.number == number).cloned(),
            None => v.first().cloned(),
        })
    });
    let against = Memo::new(move |_| {
        let shown = shown.get()?;
        versions.with(|v| match from.get() {
            Some(from) => v.iter().find(|v| v.number == from).cloned(),
            None => v.iter().find(|v| v.number < shown.number).cloned(),
        })
    });
    let page = View {
        versions,
        shown,
        against,
    };
    let actions = view! {
        {move || shown.get().is_some().then(|| view! { <source::Export store page /> <rollback::RollBack store page /> })}
        <a class="button primary" href="/configuration/editor" data-testid="edit">"Edit"</a>
    }
    .into_any();
    let state = Memo::new(move |_| {
        list.with(|l| match (&l.value, &l.failure) {
            (Some(l), _) => Ok(l.versions.is_empty()),
            (None, failure) => Err(failure.clone()),
        })
    });
    view! {
        <Head store title="Configuration" context=context(store) middle=tabs(store, 0) actions />
        {move || match state.get() {
            Err(None) => view! { <div class="cell"><Waiting /></div> }.into_any(),
            Err(Some(text)) => view! { <div class="cell"><Failed text /></div> }.into_any(),
            Ok(true) => nothing().into_any(),
            Ok(false) => view! {
                <div class="list-and-rest">
                    <list::List store page />
                    <div class="rest">
                        <progress::Progress store page />
                        <compare::Compare store page />
                    </div>
                </div>
            }.into_any(),
        }}
    }
}

fn nothing() -> impl IntoView {
    view! {
        <Empty title="No version yet" text="Nodes answer 503 until a configuration is published, or serve the file that they have. Any KrakenD configuration of version 3 will do."
            command="krakend-cluster-manager config publish krakend.json -m 'First version'"
            steps=vec![
                ("It is checked as a gateway would", view! { "Line and column for each finding. " <a href="/configuration/editor">"Open the editor"</a> }.into_any()),
                ("Every node takes it", "A new gateway starts beside the old one and takes over; no request is lost.".into_any()),
                ("It stays", "Versions are immutable: roll back to any of them.".into_any()),
            ] />
    }
}
