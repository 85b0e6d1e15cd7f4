//! The application: sign-in or the page, one clock.

use crate::data::browser;
use crate::data::store::{Login, Store};
use crate::pages::login::LoginPage;
use crate::pages::overview::Overview;
use leptos::prelude::*;
use std::time::Duration;

/// Puts the dashboard into the page.
pub fn mount() {
    std::panic::set_hook(Box::new(|info| leptos::logging::error!("{info}")));
    if let Some(theme) = browser::recall("theme") {
        browser::set_theme(&theme);
    }
    leptos::mount::mount_to_body(App);
}

#[component]
fn App() -> impl IntoView {
    let store = Store::new();
    store.check_session();
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
        Some(true) => view! { <Overview store /> }.into_any(),
    }
}
