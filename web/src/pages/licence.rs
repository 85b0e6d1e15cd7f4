//! The licence: when it ends, who sits on it, and what changes when.

use crate::data::api;
use crate::data::store::{Act, Ask, Store};
use crate::pages::nodes::row;
use crate::pure::event::Mark;
use crate::pure::timeline::{self, Life};
use crate::pure::{clock, format};
use crate::ui::button::{Action, ask};
use crate::ui::cell;
use crate::ui::dialog::Dialog;
use crate::ui::frame::Head;
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::{License, LicenseState, NodeState, Role};
use leptos::html::Textarea;
use leptos::task::spawn_local;
use std::sync::Arc;

const SEATS_SHOWN: usize = 40;
const REFUSAL: &str = "Your current subscription does not allow more nodes running. Please upgrade to add more nodes.";

/// The page.
#[component]
pub fn Licence(store: Store) -> impl IntoView {
    let installing = RwSignal::new(false);
    let owner = Signal::derive(move || {
        store.license.with(|l| match l.value.as_ref() {
            Some(License {
                subscriber: Some(name),
                level,
                ..
            }) => format!("{name}, {level}"),
            Some(_) => "none installed".to_owned(),
            None => String::new(),
        })
    });
    let none = Signal::derive(move || {
        store
            .license
            .with(|l| l.value.as_ref().is_some_and(|l| l.subscriber.is_none()))
            .then(|| "None is installed.".to_owned())
    });
    let remove = move || {
        let run: Act = Arc::new(|| {
            Box::pin(async {
                api::write("DELETE", "/v1/license", None, &[])
                    .await
                    .map(|_| "The licence is removed.".to_owned())
            })
        });
        let (free, used) = store.license.with_untracked(|l| {
            l.value
                .as_ref()
                .map_or((0, 0), |l| (l.free_max_nodes, l.seats_used))
        });
        ask(
            store,
            Ask {
                title: "Remove the licence?".to_owned(),
                consequence: vec![(
                    format!("The free limits of {} hold at once.", format::nodes(free)),
                    format!(
                        "{used} run now: nobody is unseated, but no new node is let in beyond the limit. Traffic does not stop."
                    ),
                )],
                typed: Some("remove".to_owned()),
                safe: "Keep it".to_owned(),
                danger: "Remove licence".to_owned(),
                dangerous: true,
                run,
            },
        );
    };
    let actions = view! {
        <Action store label=Signal::stored("Remove".to_owned()) need=Role::Admin class="danger hide-phone" blocked=none testid="remove-licence" run=remove />
        <Action store label=Signal::stored("Install licence".to_owned()) need=Role::Admin class="primary" testid="install-licence" run=move || installing.set(true) />
    }
    .into_any();
    view! {
        <Head store title="Licence" context=owner actions />
        {cell::remote(store.license, move |l: &License| page(store, l))}
        <Install store open=installing />
    }
}

fn verdict(store: Store, l: &License) -> (Mark, String, String) {
    let day = |text: &Option<String>| {
        text.as_deref()
            .and_then(clock::parse)
            .map(|at| store.zone().day(at, store.now_ms()))
            .unwrap_or_default()
    };
    let free = format!("the free limits of {}", format::nodes(l.free_max_nodes));
    let never = "Traffic does not stop in any of these states.";
    let then = format!(
        "Then grace until {} with all limits unchanged, then {free}. {never}",
        day(&l.grace_ends_at)
    );
    match (l.state, l.days_left) {
        (LicenseState::Free, _) if l.subscriber.is_some() => (
            Mark::Unreachable,
            format!("It is over: {free} hold."),
            never.to_owned(),
        ),
        (LicenseState::Free, _) => (
            Mark::Pending,
            format!("No licence: up to {} run.", format::nodes(l.free_max_nodes)),
            "A licence raises the number of nodes. Traffic is never limited.".to_owned(),
        ),
        (LicenseState::Grace, _) => (
            Mark::Expiring,
            format!("In grace until {}.", day(&l.grace_ends_at)),
            format!("All limits are unchanged until then, then {free}. {never}"),
        ),
        (LicenseState::Expiring, Some(days)) => (
            Mark::Expiring,
            format!("Expires in {days} days, on {}.", day(&l.expires_at)),
            then,
        ),
        (_, Some(days)) => (
            Mark::Applied,
            format!("Valid for {days} days, until {}.", day(&l.expires_at)),
            then,
        ),
        (_, None) => (
            Mark::Applied,
            "Valid, without an end.".to_owned(),
            never.to_owned(),
        ),
    }
}

fn page(store: Store, l: &License) -> impl IntoView + use<> {
    let (mark, title, text) = verdict(store, l);
    let over = (l.over_by > 0).then(|| view! { <p><strong>{format!("Over by {}:", l.over_by)}</strong> " nobody is unseated, and no new node is let in."</p> });
    let line = timeline::life(l, store.now_ms()).map(|it| life(store, &it));
    let expiring = matches!(l.state, LicenseState::Expiring);
    view! {
        <section class="cell verdict-cell licence-verdict"><MarkIcon mark /><div><h2 data-testid="licence-verdict">{title}</h2><p>{text}</p>{over}</div></section>
        {line.map(|line| view! { <section class="cell life-cell" aria-label="The licence over time">{line}</section> })}
        <div class="row row-licence">
            {claims(store, l)}
            {seats(store, l)}
            {changes(l, expiring)}
        </div>
    }
}

fn life(store: Store, life: &Life) -> impl IntoView + use<> {
    const W: f64 = 1160.0;
    let now = store.now_ms();
    let parts = life
        .stretches
        .iter()
        .map(|s| {
            let (x, width) = (s.from * W, ((s.to - s.from) * W - 2.0).max(1.0));
            let day = store.zone().day(s.at_ms, now);
            let wide = width > 44.0;
            let fill = (s.kind == "grace").then_some("url(#hatch-warn)");
            view! {
                <rect class=format!("life {}", s.kind) x=x y="44" width=width height="13" rx="2" fill=fill><title>{s.label.clone()} ", from " {day.clone()}</title></rect>
                {wide.then(|| view! { <text class="axis" x=x + 2.0 y="36">{s.label.clone()}</text> <text class="axis" x=x + 1.0 y="78">{day.clone()}</text> })}
            }
        })
        .collect_view();
    let today = life.today * W;
    let label = today.clamp(26.0, W - 26.0);
    view! {
        <svg class="life-line" viewBox="0 0 1160 84" role="img" aria-label="Valid, expiring, grace, free; and today">
            {parts}
            <rect class="today" x=label - 25.0 y="0" width="50" height="18" rx="3" />
            <text class="today-text" x=label y="13">"today"</text>
            <line class="today-line" x1=today x2=today y1="18" y2="66" />
        </svg>
    }
}

fn claims(store: Store, l: &License) -> impl IntoView + use<> {
    let when = |text: &Option<String>| {
        text.as_deref()
            .and_then(clock::parse)
            .map_or_else(|| "no end".to_owned(), |at| store.zone().date(at))
    };
    let utc = |text: &Option<String>| text.as_deref().and_then(clock::parse).map(clock::utc);
    let failed: Vec<_> = l
        .checks
        .iter()
        .filter(|c| c.problem.is_some())
        .cloned()
        .collect();
    let checked = l.checks.iter().filter_map(|c| clock::parse(&c.at)).max();
    let last = checked.map_or_else(
        || "not yet".to_owned(),
        |at| store.zone().moment(at, store.now_ms()),
    );
    let (mark, word) = match (l.subscriber.is_some(), failed.is_empty()) {
        (false, _) => (Mark::Pending, "no licence"),
        (true, true) => (Mark::Applied, "signature verified"),
        (true, false) => (Mark::Refused, "not verified everywhere"),
    };
    let by = format!(
        "{} of {} managers",
        l.checks.len() - failed.len(),
        l.checks.len()
    );
    let features = if l.features.is_empty() {
        "none".to_owned()
    } else {
        l.features.join(", ")
    };
    let problems = failed.into_iter().map(|c| view! { <p class="note"><MarkIcon mark=Mark::Refused /> {c.manager} ": " {c.problem}</p> }).collect_view();
    view! {
        <section class="cell" aria-labelledby="claims-title">
            <div class="cell-head"><h2 id="claims-title">"Claims"</h2> <span class="grow"></span> <span class="legend"><MarkIcon mark /> {word}</span></div>
            <dl class="pairs">
                <div><dt>"Subscriber and level"</dt><dd>{l.subscriber.clone().map_or_else(|| l.level.clone(), |s| format!("{s}, {}", l.level))}</dd></div>
                <div><dt>"Maximum of running nodes"</dt><dd>{format::integer(u64::from(l.max_nodes))}</dd></div>
                <div><dt>"Features"</dt><dd title=features.clone()>{features.clone()}</dd></div>
                <div><dt>"Not before"</dt><dd title=utc(&l.not_before)>{if l.not_before.is_some() { when(&l.not_before) } else { "no beginning".to_owned() }}</dd></div>
                <div><dt>"Expires"</dt><dd title=utc(&l.expires_at)>{when(&l.expires_at)}</dd></div>
                <div><dt>"Grace ends"</dt><dd title=utc(&l.grace_ends_at)>{when(&l.grace_ends_at)}</dd></div>
                <div><dt>"For the group"</dt><dd>{l.group.clone().unwrap_or_else(|| "any".to_owned())}</dd></div>
                <div><dt>"Verified by"</dt><dd>{by}</dd></div>
                <div><dt>"Last check"</dt><dd>{last}</dd></div>
            </dl>
            {problems}
        </section>
    }
}

fn seats(store: Store, l: &License) -> impl IntoView + use<> {
    let (used, max) = (l.seats_used, l.max_nodes);
    let list = move || {
        let now = store.clock_ms.get();
        store.nodes.with(|n| {
            let mut seated: Vec<_> = n.value.iter().flatten().filter(|n| n.holds_seat).collect();
            crate::pure::order::sort_by(&mut seated, |a, b| a.name.cmp(&b.name));
            let more = seated.len().saturating_sub(SEATS_SHOWN);
            let free = (max.saturating_sub(used) as usize).min(SEATS_SHOWN.saturating_sub(seated.len())).min(6);
            let rows = seated.into_iter().take(SEATS_SHOWN).map(|n| {
                let (mark, _) = row::state(n);
                let lease = n.lease_expires_at.as_deref().and_then(clock::parse).map(|at| format::duration(at - now));
                let text = if n.state == NodeState::Active { lease.unwrap_or_default() } else { "seat kept".to_owned() };
                view! { <li><MarkIcon mark /> <a href=format!("/nodes/{}", n.id)>{n.name.clone()}</a> <span class="grow"></span> <small>{text}</small></li> }
            }).collect_view();
            let empty = (0..free).map(|_| view! { <li><MarkIcon mark=Mark::Pending /> <span class="none">"free seat"</span></li> }).collect_view();
            view! { <ul class="rows seats-list">{rows} {empty}</ul> {(more > 0).then(|| view! { <p class="calm"><a href="/nodes">{format!("and {more} more")}</a></p> })} }
        })
    };
    let shortest = move || {
        let now = store.clock_ms.get();
        store.nodes.with(|n| {
            let leases = n
                .value
                .iter()
                .flatten()
                .filter(|n| n.holds_seat)
                .filter_map(|n| n.lease_expires_at.as_deref().and_then(clock::parse));
            leases
                .map(|at| at - now)
                .min()
                .map(|ms| format!("shortest lease {}", format::duration(ms)))
        })
    };
    view! {
        <section class="cell" aria-labelledby="seats-title">
            <div class="cell-head"><h2 id="seats-title">"Seats"</h2> <span class="context">"lease left"</span></div>
            <p class="leading"><strong>{used}</strong> <span class="unit">{format!("of {max} in use")}</span> <span class="grow"></span> <span class="beside">{shortest}</span></p>
            {list}
        </section>
    }
}

fn changes(l: &License, expiring: bool) -> impl IntoView + use<> {
    let grace = match (
        l.expires_at.as_deref().and_then(clock::parse),
        l.grace_ends_at.as_deref().and_then(clock::parse),
    ) {
        (Some(end), Some(grace)) if grace > end => format!(
            "{}, nothing changes for the nodes",
            format::duration(grace - end)
        ),
        _ => "nothing changes for the nodes".to_owned(),
    };
    let over = l.seats_used.saturating_sub(l.free_max_nodes);
    let free = if over > 0 {
        format!(
            "{} stay within the free limits; {over} go on serving, without central updates and statistics",
            format::nodes(l.free_max_nodes)
        )
    } else {
        format!("up to {}", format::nodes(l.free_max_nodes))
    };
    view! {
        <section class="cell" aria-labelledby="changes-title">
            <div class="cell-head"><h2 id="changes-title">"What changes when"</h2></div>
            <ul class="rows states-list">
                <li><MarkIcon mark=Mark::Active /> <b>"valid"</b> <span>{format!("all limits of {} hold", l.level)}</span></li>
                <li><MarkIcon mark=Mark::Expiring /> <b class:warn=expiring>"expiring"</b> <span>"reminders at 90, 30, 15 and 7 days"</span></li>
                <li><MarkIcon mark=Mark::Held /> <b>"grace"</b> <span>{grace}</span></li>
                <li><MarkIcon mark=Mark::Removed /> <b>"free"</b> <span>{free}</span></li>
            </ul>
            <p class="note">"A node that starts beyond the last seat is refused with:"</p>
            <pre class="quote">{REFUSAL}</pre>
        </section>
    }
}

#[component]
fn Install(store: Store, open: RwSignal<bool>) -> impl IntoView {
    let field = NodeRef::<Textarea>::new();
    let seen = RwSignal::new(None::<(String, License)>);
    let wrong = RwSignal::new(None::<String>);
    let busy = RwSignal::new(false);
    Effect::new(move |_| {
        if !open.get() {
            seen.set(None);
            wrong.set(None);
            busy.set(false);
        }
    });
    let verify = move |_| {
        let token = field
            .get_untracked()
            .map(|f| f.value().trim().to_owned())
            .unwrap_or_default();
        if token.is_empty() {
            return wrong.set(Some("Paste the licence first.".to_owned()));
        }
        busy.set(true);
        spawn_local(async move {
            let body = serde_json::json!({ "token": token }).to_string();
            let answer = api::write("POST", "/v1/license/verify", Some(&body), &[]).await;
            busy.set(false);
            match answer.and_then(|text| api::parse::<License>(&text)) {
                Ok(license) => seen.set(Some((token, license))),
                Err(failure) => wrong.set(Some(failure.text())),
            }
        });
    };
    let install = move |token: String| {
        busy.set(true);
        spawn_local(async move {
            let body = serde_json::json!({ "token": token }).to_string();
            let answer = api::write("PUT", "/v1/license", Some(&body), &[]).await;
            busy.set(false);
            match answer {
                Ok(_) => {
                    open.set(false);
                    store.say("The licence is installed.".to_owned(), false);
                }
                Err(failure) => wrong.set(Some(failure.text())),
            }
        });
    };
    view! {
        <Dialog open title="Install a licence" wide=true>
            {move || match seen.get() {
                None => view! {
                    <label for="licence-text">"The licence, as its issuer sent it"</label>
                    <textarea id="licence-text" class="message mono" data-testid="licence-text" node_ref=field rows="6" spellcheck="false" on:input=move |_| wrong.set(None)></textarea>
                    <p class="field-note" role="alert">{move || wrong.get()}</p>
                    <div class="dialog-foot">
                        <button type="button" class="button" on:click=move |_| open.set(false)>"Cancel"</button>
                        <button type="button" class="button primary" data-testid="verify-licence" prop:disabled=move || busy.get() on:click=verify>"Verify"</button>
                    </div>
                }.into_any(),
                Some((token, l)) => {
                    let (_, title, text) = verdict(store, &l);
                    view! {
                        <p><strong>{l.subscriber.clone().unwrap_or_default()} ", " {l.level.clone()} ", " {format::nodes(l.max_nodes)} "."</strong> " " {title}</p>
                        <p>{text}</p>
                        {(l.over_by > 0).then(|| view! { <p><strong>{format!("{} more nodes run than it allows:", l.over_by)}</strong> " nobody is unseated, and no new one is let in."</p> })}
                        <p class="field-note" role="alert">{move || wrong.get()}</p>
                        <div class="dialog-foot">
                            <button type="button" class="button" on:click=move |_| open.set(false)>"Cancel"</button>
                            <button type="button" class="button primary" data-testid="confirm-licence" prop:disabled=move || busy.get() on:click=move |_| install(token.clone())>"Install"</button>
                        </div>
                    }.into_any()
                }
            }}
        </Dialog>
    }
}
