//! Events and the audit trail, newest first, with the details of one beside them.

use crate::data::api;
use crate::data::browser;
use crate::data::navigation;
use crate::data::resource;
use crate::data::store::{Remote, Store};
use crate::pure::event::Mark;
use crate::pure::trail::{self, Filter, Row, Tab};
use crate::pure::{clock, format, route};
use crate::ui::cell::Failed;
use crate::ui::control::{Choice, SearchField};
use crate::ui::frame::{Head, HeadTabs};
use crate::ui::icon::{Icon, IconView};
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::{AuditList, AuditRecord, AuditVerification, EventList};
use leptos::task::spawn_local;

const PAGE: usize = 100;
const DAY_MS: i64 = 86_400_000;
const TABS: [(&str, Tab); 3] = [
    ("", Tab::All),
    ("events", Tab::Events),
    ("audit", Tab::Audit),
];

#[derive(Clone, Copy)]
struct View {
    filter: Memo<Filter>,
    rows: Memo<Vec<Row>>,
    shown: RwSignal<usize>,
    /// Index and position of the row whose details are open.
    open: RwSignal<Option<(u64, u32)>>,
}

/// The page.
#[component]
pub fn Events(store: Store) -> impl IntoView {
    let history = resource::live::<EventList>(store, || {
        "/v1/events?history=true&limit=1000&consistency=stale".to_owned()
    });
    let audit =
        resource::live::<AuditList>(store, || "/v1/audit?limit=500&consistency=stale".to_owned());
    let filter = Memo::new(move |_| {
        store.place.with(|p| Filter {
            tab: TABS
                .iter()
                .find(|(word, _)| p.get("tab").unwrap_or_default() == *word)
                .map_or(Tab::All, |(_, tab)| *tab),
            text: p.get("q").unwrap_or_default().to_lowercase(),
            kind: p.get("kind").map(str::to_owned),
            who: p.get("who").map(str::to_owned),
            since_ms: p
                .get("days")
                .and_then(|d| d.parse::<i64>().ok())
                .map(|days| store.now_ms() - days * DAY_MS),
        })
    });
    let rows = Memo::new(move |_| {
        history.with(|events| {
            audit.with(|audit| {
                let events = events
                    .value
                    .as_ref()
                    .map(|e| e.events.as_slice())
                    .unwrap_or_default();
                let records = audit
                    .value
                    .as_ref()
                    .map(|a| a.records.as_slice())
                    .unwrap_or_default();
                filter.with(|f| trail::rows(events, records, f))
            })
        })
    });
    let page = View {
        filter,
        rows,
        shown: RwSignal::new(PAGE),
        open: RwSignal::new(None),
    };
    let tab_href = |word: &str| route::address("/events", &[("tab", word)]);
    let middle = move || {
        let tabs = vec![
            (tab_href(""), "All", None),
            (tab_href("events"), "Events", None),
            (tab_href("audit"), "Audit", None),
        ];
        let current = TABS
            .iter()
            .position(|(_, tab)| filter.with(|f| f.tab) == *tab)
            .unwrap_or(0);
        view! { <HeadTabs tabs current /> }
    };
    let no_trail = move || audit.with(|a| a.failure.clone().filter(|_| a.value.is_none()));
    view! {
        <Head store title="Events and audit" middle=middle.into_any() actions=view! { <ChainActions store /> }.into_any() />
        <Toolbar store page audit />
        {move || (filter.with(|f| f.tab) == Tab::Audit).then(no_trail).flatten().map(|text| view! { <div class="cell"><Failed text /></div> })}
        <div class="events-page" class:with-details=move || page.open.get().is_some()>
            <List store page />
            <Details store page />
        </div>
    }
}

fn refiltered(store: Store, change: &[(&str, &str)]) {
    let old = store.place.get_untracked();
    let keys = ["tab", "q", "kind", "who", "days"];
    let value = |key: &str| {
        change.iter().find(|(k, _)| *k == key).map_or_else(
            || old.get(key).unwrap_or_default().to_owned(),
            |(_, v)| (*v).to_owned(),
        )
    };
    let values: Vec<String> = keys.iter().map(|k| value(k)).collect();
    let pairs: Vec<(&str, &str)> = keys
        .iter()
        .copied()
        .zip(values.iter().map(String::as_str))
        .collect();
    navigation::replace(store, &route::address("/events", &pairs));
}

#[component]
fn Toolbar(store: Store, page: View, audit: RwSignal<Remote<AuditList>>) -> impl IntoView {
    let text = Signal::derive(move || page.filter.with(|f| f.text.clone()));
    let any = |word: &str| (String::new(), word.to_owned());
    let kinds: Vec<(String, String)> = std::iter::once(any("any"))
        .chain(
            trail::KINDS
                .iter()
                .map(|k| ((*k).to_owned(), (*k).to_owned())),
        )
        .collect();
    let people = Signal::derive(move || {
        audit.with(|a| {
            let mut names: Vec<String> = a
                .value
                .iter()
                .flat_map(|a| a.records.iter().map(|r| r.actor.name.clone()))
                .collect();
            crate::pure::order::sort_texts(&mut names);
            names.dedup();
            std::iter::once((String::new(), "anyone".to_owned()))
                .chain(names.into_iter().map(|n| (n.clone(), n)))
                .collect::<Vec<_>>()
        })
    });
    let days: Vec<(String, String)> = [
        ("", "all kept"),
        ("1", "last day"),
        ("7", "last 7 days"),
        ("30", "last 30 days"),
    ]
    .map(|(v, w)| (v.to_owned(), w.to_owned()))
    .to_vec();
    let of = move |key: &'static str| {
        Signal::derive(move || {
            store
                .place
                .with(|p| p.get(key).unwrap_or_default().to_owned())
        })
    };
    view! {
        <div class="toolbar">
            <SearchField placeholder="Filter by text, node, person, index" text change=move |t: String| refiltered(store, &[("q", &t)]) />
            <Choice label="Kind" choices=Signal::stored(kinds) chosen=of("kind") choose=move |k: String| refiltered(store, &[("kind", &k)]) />
            <Choice label="Who" choices=people chosen=of("who") choose=move |w: String| refiltered(store, &[("who", &w)]) />
            <Choice label="When" choices=Signal::stored(days) chosen=of("days") choose=move |d: String| refiltered(store, &[("days", &d)]) />
            <span class="grow"></span>
            {move || if store.is_stale() {
                view! { <span class="tag warn"><MarkIcon mark=Mark::Reconnecting /> "not following"</span> }
            } else {
                view! { <span class="tag"><MarkIcon mark=Mark::Live /> "following"</span> }
            }}
        </div>
    }
}

#[component]
fn List(store: Store, page: View) -> impl IntoView {
    let total = move || page.rows.with(Vec::len);
    let rows = move || {
        page.rows.with(|rows| {
            rows.iter()
                .take(page.shown.get())
                .map(|r| row(store, page, r))
                .collect_view()
        })
    };
    view! {
        <div class="events-list">
            <table class="table events-table" data-testid="events">
                <thead><tr><th class="c-time" scope="col">{format!("Time, {}", browser::zone_name())}</th><th scope="col">"Event"</th><th class="c-kind" scope="col">"Kind"</th><th class="c-by" scope="col">"By"</th><th class="number c-index" scope="col">"Log index"</th></tr></thead>
                <tbody>{rows}</tbody>
            </table>
            <p class="cell more-rows">{move || {
                let all = total();
                if all == 0 { "Nothing matches.".to_owned() } else { format!("{} of {} that match ", page.shown.get().min(all), format::integer(all as u64)) }
            }}
            {move || (total() > page.shown.get()).then(|| view! { <button type="button" class="link" on:click=move |_| page.shown.update(|s| *s += PAGE)>"Load older"</button> })}</p>
        </div>
    }
}

fn row(store: Store, page: View, row: &Row) -> impl IntoView + use<> {
    let key = (row.index, row.position);
    let now = store.now_ms();
    let zone = store.zone();
    let today = zone.day(row.at_ms, now) == zone.day(now, now);
    let time = if today {
        format!(
            "{}.{:03}",
            zone.seconds(row.at_ms),
            row.at_ms.rem_euclid(1000)
        )
    } else {
        zone.moment(row.at_ms, now)
    };
    let toggle = move |_| {
        page.open
            .update(|o| *o = if *o == Some(key) { None } else { Some(key) })
    };
    let audit = row.kind == "audit";
    view! {
        <tr class:selected=move || page.open.get() == Some(key) data-testid="event-row">
            <td class="c-time"><time title=clock::utc(row.at_ms)>{time}</time></td>
            <td class="wide"><MarkIcon mark=row.mark /> <button type="button" class="row-link" aria-expanded=move || (page.open.get() == Some(key)).to_string() on:click=toggle>{row.text.clone()}</button></td>
            <td class="c-kind">{row.kind}</td>
            <td class="c-by" class:strong=audit>{row.by.clone()}</td>
            <td class="number c-index">{format::integer(row.index)}</td>
        </tr>
    }
}

#[component]
fn Details(store: Store, page: View) -> impl IntoView {
    let found = Memo::new(move |_| {
        let (index, position) = page.open.get()?;
        page.rows.with(|rows| {
            rows.iter()
                .find(|r| (r.index, r.position) == (index, position))
                .cloned()
        })
    });
    move || {
        found.get().map(|row| {
        let when = format!("{} {}.{:03}", store.zone().day(row.at_ms, store.now_ms()), store.zone().seconds(row.at_ms), row.at_ms.rem_euclid(1000));
        let subject = row.event.as_ref().and_then(|e| {
            let (id, name) = (e.subject_id.clone()?, e.subject_name.clone()?);
            (trail::kind(e.kind) == "node").then(|| view! { <div><dt>"Node"</dt><dd><a href=format!("/nodes/{id}")>{name}</a></dd></div> })
        });
        let version = row.event.as_ref().and_then(|e| e.version).map(|v| view! { <p><a href=format!("/configuration/{v}")>{format!("Open v{v}")}</a></p> });
        let record = row.record.clone();
        view! {
            <aside class="cell details" aria-label="Details" data-testid="details">
                <div class="cell-head"><h2>{row.text.clone()}</h2> <span class="grow"></span> <button type="button" class="quiet-icon" aria-label="Close" on:click=move |_| page.open.set(None)><IconView icon=Icon::Close /></button></div>
                <dl class="pairs">
                    <div><dt>"When"</dt><dd>{when} " " <small>{clock::utc(row.at_ms)}</small></dd></div>
                    <div><dt>"Log index"</dt><dd>{format::integer(row.index)}</dd></div>
                    <div><dt>"Kind"</dt><dd>{row.kind}</dd></div>
                    {subject}
                </dl>
                {record.map(written)}
                {version}
            </aside>
        }
    })
    }
}

fn written(r: AuditRecord) -> impl IntoView {
    let role = r
        .actor
        .role
        .map(|role| format!(", {}", format!("{role:?}").to_lowercase()));
    let from = match &r.actor.address {
        Some(address) => format!("{address}, {}", r.actor.via),
        None => r.actor.via.clone(),
    };
    let hash = |h: &str| {
        let parts: Vec<&str> = (0..3).filter_map(|n| h.get(n * 4..n * 4 + 4)).collect();
        parts.join(" ")
    };
    let line = |text: Option<String>, class: &'static str, sign: &'static str| {
        text.map(|t| view! { <p class=class><span class="sign">{sign}</span> {t}</p> })
    };
    let changed = r.before.is_some() || r.after.is_some();
    view! {
        <dl class="pairs after">
            <div><dt>"Who"</dt><dd>{r.actor.name.clone()} {role}</dd></div>
            <div><dt>"From"</dt><dd>{from}</dd></div>
            {(!r.request.is_empty()).then(|| view! { <div><dt>"Request"</dt><dd><code title=r.request.clone()>{r.request.clone()}</code></dd></div> })}
            {r.idempotency_key.clone().map(|key| view! { <div><dt>"Idempotency key"</dt><dd><code title=key.clone()>{key.clone()}</code></dd></div> })}
        </dl>
        {changed.then(|| view! { <h3>"Before and after"</h3> <div class="before-after">{line(r.before.clone(), "old", "\u{2212}")} {line(r.after.clone(), "new", "+")}</div> })}
        <h3>"Chain"</h3>
        <dl class="pairs">
            <div><dt>"Previous"</dt><dd><code title=r.previous_hash.clone()>{hash(&r.previous_hash)}</code></dd></div>
            <div><dt>"This entry"</dt><dd><code title=r.hash.clone()>{hash(&r.hash)}</code></dd></div>
        </dl>
    }
}

#[component]
fn ChainActions(store: Store) -> impl IntoView {
    let seen = RwSignal::new(None::<Result<AuditVerification, String>>);
    let busy = RwSignal::new(false);
    let verify = move |_| {
        busy.set(true);
        spawn_local(async move {
            let answer = api::get::<AuditVerification>("/v1/audit/verify").await;
            busy.set(false);
            seen.set(Some(answer.map_err(|f| f.text())));
        });
    };
    let export = move |_| {
        spawn_local(async move {
            match api::get_text("/v1/audit?limit=1000").await {
                Ok(text) => browser::download("audit.json", "application/json", &text),
                Err(failure) => store.say(failure.text(), true),
            }
        });
    };
    let verdict = move || {
        seen.get().map(|seen| match seen {
            Ok(v) if v.ok => (
                Mark::Applied,
                format!(
                    "hash chain verified to {}",
                    v.to_index
                        .map_or_else(|| "its end".to_owned(), format::integer)
                ),
            ),
            Ok(v) => (
                Mark::Refused,
                v.problem
                    .unwrap_or_else(|| "the chain is broken".to_owned()),
            ),
            Err(text) => (Mark::Refused, text),
        })
    };
    view! {
        <span class="head-note hide-phone" role="status" data-testid="chain">{move || verdict().map(|(mark, text)| view! { <MarkIcon mark /> " " {text} })}</span>
        <button type="button" class="button" data-testid="verify" prop:disabled=move || busy.get() on:click=verify>{move || if busy.get() { "Verifying\u{2026}" } else { "Verify" }}</button>
        <button type="button" class="button hide-phone" data-testid="export-audit" on:click=export>"Export"</button>
    }
}
