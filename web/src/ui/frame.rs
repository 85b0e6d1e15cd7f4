//! Side, head and sheet around every page.

use super::icon::{Icon, IconView, Logo};
use super::mark::MarkIcon;
use super::status_line::StatusLine;
use crate::data::browser;
use crate::data::store::{Connection, Login, Store};
use crate::pure::event::Mark;
use crate::pure::format;
use leptos::prelude::*;

/// The frame with a page inside.
#[component]
pub fn Frame(
    store: Store,
    title: &'static str,
    actions: AnyView,
    children: Children,
) -> impl IntoView {
    view! {
        <a class="skip" href="#sheet">"Skip to the content"</a>
        <div class="frame">
            <Side store />
            <main class="sheet" id="sheet" tabindex="-1">
                <header class="head">
                    <h1>{title}</h1>
                    <Age store />
                    <span class="grow"></span>
                    <span class="head-fleet">{fleet_name(store)}</span>
                    {actions}
                </header>
                {children()}
            </main>
            <StatusLine store />
            <Tabs store />
        </div>
    }
}

#[component]
fn Side(store: Store) -> impl IntoView {
    view! {
        <aside class="side">
            <Brand />
            <div class="fleet">
                <strong>{fleet_name(store)}</strong>
                <span>{move || store.fleet.with(|f| f.value.as_ref().and_then(Option::as_ref).map(|f| format::nodes(f.nodes)))}</span>
            </div>
            <nav aria-label="Pages">
                <h2 class="nav-group">"Fleet"</h2>
                <a class="nav-item" href="/" aria-current="page"><IconView icon=Icon::Overview /> <span>"Overview"</span></a>
            </nav>
            <div class="person">{person(store)} <PersonButtons store /></div>
        </aside>
    }
}

/// Sign and name.
#[component]
pub fn Brand() -> impl IntoView {
    view! {
        <div class="brand">
            <Logo />
            <div>
                <strong>"KrakenD"</strong>
                <span>"Cluster Manager"</span>
            </div>
        </div>
    }
}

fn fleet_name(store: Store) -> impl IntoView {
    move || {
        store.fleet.with(|f| {
            let fleet = f.value.as_ref().and_then(Option::as_ref);
            fleet.map_or_else(|| "default".to_owned(), |f| f.name.clone())
        })
    }
}

fn person(store: Store) -> impl IntoView {
    move || match store.login.get() {
        Login::In(session) => {
            let role = format!("{:?}", session.role).to_lowercase();
            Some(view! {
                <IconView icon=Icon::Person />
                <strong title=session.name.clone()>{session.name.clone()}</strong>
                // The first token is called what it may do; once is enough.
                <span>{(role != session.name).then_some(role)}</span>
            })
        }
        _ => None,
    }
}

#[component]
fn PersonButtons(store: Store) -> impl IntoView {
    let sign_out = move |_| store.sign_out();
    view! {
        <span class="grow"></span>
        <button type="button" class="quiet-icon" aria-label="Sign out" title="Sign out" data-testid="sign-out" on:click=sign_out>
            <IconView icon=Icon::SignOut />
        </button>
        <ThemeButton />
    }
}

/// Overrides the system's theme, and remembers it.
#[component]
pub fn ThemeButton() -> impl IntoView {
    let toggle = move |_| {
        let dark =
            browser::recall("theme").map_or_else(browser::system_is_dark, |theme| theme == "dark");
        let theme = if dark { "light" } else { "dark" };
        browser::remember("theme", theme);
        browser::set_theme(theme);
    };
    view! {
        <button type="button" class="quiet-icon" aria-label="Switch between light and dark" title="Light or dark" data-testid="theme" on:click=toggle>
            <IconView icon=Icon::Theme />
        </button>
    }
}

/// How old the numbers are, while the stream is interrupted.
#[component]
fn Age(store: Store) -> impl IntoView {
    move || match store.connection.get() {
        Connection::Reconnecting { heard_ms } => Some(view! {
            <span class="tag warn">
                <MarkIcon mark=Mark::Reconnecting />
                {move || format!("{} old", format::duration(store.clock_ms.get() - heard_ms))}
            </span>
        }),
        _ => None,
    }
}

/// The bar of a phone.
#[component]
fn Tabs(store: Store) -> impl IntoView {
    let open = RwSignal::new(false);
    view! {
        <nav class="tabs" aria-label="Pages">
            <a class="tab" href="/" aria-current="page"><IconView icon=Icon::Overview /> "Overview"</a>
            <button type="button" class="tab" aria-expanded=move || open.get().to_string() on:click=move |_| open.update(|o| *o = !*o)>
                <IconView icon=Icon::More />
                "More"
            </button>
            {move || open.get().then(|| view! {
                <div class="more">
                    <div class="person">{person(store)} <PersonButtons store /></div>
                </div>
            })}
        </nav>
    }
}
