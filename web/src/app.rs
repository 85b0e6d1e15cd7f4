//! The application: sign-in or the page, one clock.

use crate::data::browser;
use crate::data::follow;
use crate::data::navigation;
use crate::data::store::{Login, Store};
use crate::pages;
use crate::pages::login::LoginPage;
use crate::pages::overview::Overview;
use crate::pure::route::{Page, Place, Section};
use crate::ui::frame::Frame;
use crate::ui::keyboard;
use crate::view::prelude::*;
use std::time::Duration;

/// Puts the dashboard into the page.
pub fn mount() {
    follow::arrive();
    std::panic::set_hook(Box::new(|info| leptos::logging::error!("{info}")));
    if let Some(theme) = browser::recall("theme") {
        browser::set_theme(&theme);
    }
    crate::view::mount(App);
}

#[component]
fn App() -> impl IntoView {
    let store = Store::new();
    store.check_session();
    navigation::listen(store);
    keyboard::listen(store);
    let count = StoredValue::new(0u64);
    set_interval(
        move || {
            count.update_value(|c| *c += 1);
            store.tick(count.get_value());
        },
        Duration::from_secs(1),
    );
    let signed_in = Memo::new(move |_| match store.login.get() {
        Login::Unknown => None,
        Login::Out => Some(false),
        Login::In(_) => Some(true),
    });
    move || match signed_in.get() {
        None => ().into_any(),
        Some(false) => view! { <LoginPage store /> }.into_any(),
        Some(true) => view! { <Frame store><Pages store /></Frame> }.into_any(),
    }
}

/// The page that the address names. A change of its query does not make it anew.
#[component]
fn Pages(store: Store) -> impl IntoView {
    let page = Memo::new(move |_| store.place.with(|place| place.page.clone()));
    Effect::new(move |_| {
        let name = store.place.with(Place::section).map(Section::name);
        if let Some(document) = web_sys::window().and_then(|w| w.document()) {
            let name = name.unwrap_or("Not found");
            document.set_title(&format!("{name}, KrakenD Cluster Manager"));
        }
    });
    // Versions differ in their number only: that page stays, too.
    let kind = Memo::new(move |_| match page.get() {
        Page::Versions(_) => Page::Versions(None),
        other => other,
    });
    move || match kind.get() {
        Page::Overview => view! { <Overview store /> }.into_any(),
        Page::Nodes => view! { <pages::nodes::Nodes store /> }.into_any(),
        Page::Node(id) => view! { <pages::node::NodePage store id /> }.into_any(),
        Page::Traffic => view! { <pages::traffic::Traffic store /> }.into_any(),
        Page::Versions(_) => view! { <pages::configuration::Versions store /> }.into_any(),
        Page::Editor => view! { <pages::configuration::Editor store /> }.into_any(),
        Page::Drift => view! { <pages::configuration::DriftPage store /> }.into_any(),
        Page::Managers => view! { <pages::managers::Managers store /> }.into_any(),
        Page::Licence => view! { <pages::licence::Licence store /> }.into_any(),
        Page::Events => view! { <pages::events::Events store /> }.into_any(),
        Page::Tokens => view! { <pages::tokens::Tokens store /> }.into_any(),
        Page::Unknown => view! { <pages::NotFound store /> }.into_any(),
    }
}
