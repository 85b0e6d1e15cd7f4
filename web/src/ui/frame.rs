//! Side, head and sheet around every page.

use super::chart::HatchPattern;
use super::dialog::Confirm;
use super::icon::{Icon, IconView, Logo};
use super::keyboard::Help;
use super::mark::MarkIcon;
use super::status_line::StatusLine;
use super::toast::Toasts;
use crate::data::browser;
use crate::data::store::{Connection, Login, Store};
use crate::pure::event::Mark;
use crate::pure::route::{Place, Section};
use crate::pure::{format, rollout};
use crate::view::prelude::*;
use krakend_api::{LicenseState, NodeState};

/// The frame with a page inside.
#[component]
pub fn Frame(store: Store, children: Children) -> impl IntoView {
    view! {
        <a class="skip" href="#sheet">"Skip to the content"</a>
        <div class="frame">
            <Side store />
            <main class="sheet" id="sheet" tabindex="-1" class:stale=move || store.is_stale()>{children()}</main>
            <StatusLine store />
            <Tabs store />
        </div>
        <HatchPattern />
        <Confirm store />
        <Help store />
        <Toasts store />
    }
}

/// Title, context, tabs and actions of a page.
#[component]
pub fn Head(
    store: Store,
    #[prop(into)] title: Signal<String>,
    #[prop(optional, into)] context: Option<Signal<String>>,
    /// Between title and actions: tabs, or an id.
    #[prop(optional)]
    middle: Option<AnyView>,
    #[prop(optional)] actions: Option<AnyView>,
) -> impl IntoView {
    view! {
        <header class="head">
            <h1 data-testid="page-title">{title}</h1>
            {context.map(|context| view! { <span class="head-context">{context}</span> })}
            {middle}
            <Age store />
            <span class="grow"></span>
            <span class="head-fleet">{move || store.fleet_name.get()}</span>
            {actions}
        </header>
    }
}

/// Links to the parts of a page.
#[component]
pub fn HeadTabs(
    /// Address, word, and how many.
    tabs: Vec<(String, &'static str, Option<Signal<String>>)>,
    current: usize,
) -> impl IntoView {
    let links = tabs
        .into_iter()
        .enumerate()
        .map(|(at, (href, word, count))| {
            view! {
                <a href=href aria-current=(at == current).then_some("page")>
                    {word}
                    {count.map(|count| view! { <span class="head-count">{count}</span> })}
                </a>
            }
        })
        .collect_view();
    view! { <nav class="head-tabs" aria-label="Parts of this page">{links}</nav> }
}

#[component]
fn Side(store: Store) -> impl IntoView {
    let item = move |section: Section| view! { <NavItem store section /> };
    let fleet = Section::ALL[..4].iter().copied().map(item).collect_view();
    let plane = Section::ALL[4..].iter().copied().map(item).collect_view();
    view! {
        <aside class="side">
            <Brand />
            <FleetSwitch store />
            <nav aria-label="Pages">
                <h2 class="nav-group">"Fleet"</h2>
                {fleet}
                <h2 class="nav-group">"Control plane"</h2>
                {plane}
            </nav>
            <div class="person">{person(store)} <PersonButtons store /></div>
        </aside>
    }
}

#[component]
fn FleetSwitch(store: Store) -> impl IntoView {
    let count = move || {
        let nodes = store.nodes.with(|n| n.value.as_ref().map(Vec::len));
        nodes.map(|n| format::nodes(u32::try_from(n).unwrap_or(u32::MAX)))
    };
    view! {
        <div class="fleet">
            {move || {
                let fleets = store.fleets.get();
                if fleets.len() < 2 {
                    return view! { <strong>{store.fleet_name.get()}</strong> }.into_any();
                }
                let options = fleets.into_iter().map(|f| {
                    let chosen = f.name == store.fleet_name.get();
                    view! { <option value=f.name.clone() selected=chosen>{f.name.clone()}</option> }
                }).collect_view();
                view! {
                    <select aria-label="Fleet" on:change=move |e| store.choose_fleet(event_target_value(&e))>{options}</select>
                }.into_any()
            }}
            <span>{count}</span>
            {move || (store.fleets.with(Vec::len) > 1).then(|| view! { <IconView icon=Icon::UpDown /> })}
        </div>
    }
}

fn icon_of(section: Section) -> Icon {
    match section {
        Section::Overview => Icon::Overview,
        Section::Nodes => Icon::Nodes,
        Section::Traffic => Icon::Traffic,
        Section::Configuration => Icon::Braces,
        Section::Managers => Icon::Managers,
        Section::Licence => Icon::Licence,
        Section::Events => Icon::List,
        Section::Tokens => Icon::Key,
    }
}

#[component]
fn NavItem(store: Store, section: Section) -> impl IntoView {
    let current = Memo::new(move |_| store.place.with(Place::section) == Some(section));
    let badge = Memo::new(move |_| badge(store, section));
    view! {
        <a class="nav-item" href=section.path() title=section.name() aria-current=move || current.get().then_some("page") data-testid=format!("nav-{}", section.letter())>
            <IconView icon=icon_of(section) />
            <span>{section.name()}</span>
            {move || badge.get().map(|(mark, text)| view! {
                <small class="badge">{mark.map(|mark| view! { <MarkIcon mark /> })} {text}</small>
            })}
        </a>
    }
}

/// A mark and the count of what needs attention, else the total.
fn badge(store: Store, section: Section) -> Option<(Option<Mark>, String)> {
    match section {
        Section::Nodes => store.nodes.with(|nodes| {
            let nodes = nodes.value.as_ref()?;
            let down = nodes.iter().filter(|n| n.state == NodeState::Down).count();
            let silent = nodes
                .iter()
                .filter(|n| n.state == NodeState::Unreachable)
                .count();
            let living = nodes
                .iter()
                .filter(|n| n.state != NodeState::Removed)
                .count();
            Some(match (down, silent) {
                (0, 0) => (None, living.to_string()),
                (0, silent) => (Some(Mark::Unreachable), silent.to_string()),
                (down, silent) => (Some(Mark::Down), (down + silent).to_string()),
            })
        }),
        Section::Configuration => store.newest.with(|newest| {
            let newest = newest.value.as_ref()?;
            Some(match newest {
                None => (None, "none".to_owned()),
                Some(n) if n.rollout.refused > 0 => (Some(Mark::Refused), format!("v{}", n.number)),
                Some(n) if rollout::is_running(&n.rollout) => {
                    (Some(Mark::Applying), format!("v{}", n.number))
                }
                Some(n) => (None, format!("v{}", n.number)),
            })
        }),
        Section::Managers => store.status.with(|status| {
            let s = status.value.as_ref()?;
            Some(if s.leader_id.is_none() {
                (Some(Mark::ManagerUnreachable), s.voters.to_string())
            } else if s.reachable_voters < s.voters {
                let text = format!("{} of {}", s.reachable_voters, s.voters);
                (Some(Mark::ManagerUnreachable), text)
            } else {
                (None, s.voters.to_string())
            })
        }),
        Section::Licence => store.license.with(|license| {
            let l = license.value.as_ref()?;
            let days = l.days_left.map_or_else(String::new, |d| format!("{d} d"));
            match l.state {
                LicenseState::Expiring => Some((Some(Mark::Expiring), days)),
                LicenseState::Grace => Some((Some(Mark::Expiring), "grace".to_owned())),
                LicenseState::Free | LicenseState::Valid if l.over_by > 0 => {
                    Some((Some(Mark::Unreachable), format!("over {}", l.over_by)))
                }
                _ => None,
            }
        }),
        _ => None,
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
    let section = Memo::new(move |_| store.place.with(Place::section));
    Effect::new(move |_| {
        section.track();
        open.set(false);
    });
    let tab = move |section_of: Section| {
        let short = match section_of {
            Section::Configuration => "Config",
            other => other.name(),
        };
        let mark = Memo::new(move |_| badge(store, section_of).and_then(|b| b.0));
        view! {
            <a class="tab" href=section_of.path() aria-current=move || (section.get() == Some(section_of)).then_some("page")>
                <span class="tab-icon"><IconView icon=icon_of(section_of) /> {move || mark.get().map(|mark| view! { <MarkIcon mark /> })}</span>
                {short}
            </a>
        }
    };
    let more = move |section: Section| view! { <NavItem store section /> };
    view! {
        <nav class="tabs" aria-label="Pages">
            {Section::ALL[..4].iter().copied().map(tab).collect_view()}
            <button type="button" class="tab" aria-expanded=move || open.get().to_string() on:click=move |_| open.update(|o| *o = !*o)>
                <IconView icon=Icon::More />
                "More"
            </button>
            {move || open.get().then(|| view! {
                <div class="more">
                    {Section::ALL[4..].iter().copied().map(more).collect_view()}
                    <div class="person">{person(store)} <PersonButtons store /></div>
                </div>
            })}
        </nav>
    }
}
