//! A stretch of time that the reader names, beside the ranges that end now.

use crate::data::navigation;
use crate::data::store::Store;
use crate::pure::clock;
use crate::pure::route::{self, Place};
use crate::ui::dialog::Dialog;
use crate::ui::icon::{Icon, IconView};
use crate::view::prelude::*;
use leptos::html::Input;

/// The longest that the managers answer for.
const LONGEST_MS: i64 = 31 * 86_400_000;
const SHORTEST_MS: i64 = 60_000;

/// The stretch that the address names, Unix milliseconds.
pub fn window(place: &Place) -> Option<(i64, i64)> {
    let (from, to) = (
        clock::parse(place.get("from")?)?,
        clock::parse(place.get("to")?)?,
    );
    (from < to).then_some((from, to))
}

/// The stretch of the charts: the named one, or the range that ends now.
pub fn shown(store: Store, named: Option<(i64, i64)>) -> (i64, u32) {
    match named {
        Some((from, to)) => (to, u32::try_from((to - from) / 1000).unwrap_or(u32::MAX)),
        None => (store.clock_ms.get(), store.range_s.get()),
    }
}

/// Button and dialog.
#[component]
pub fn Between(store: Store, named: Memo<Option<(i64, i64)>>) -> impl IntoView {
    let open = RwSignal::new(false);
    let label = move || match named.get() {
        Some((from, to)) => {
            let (zone, now) = (store.zone(), store.now_ms());
            format!("{} to {}", zone.moment(from, now), zone.moment(to, now))
        }
        None => "From, to".to_owned(),
    };
    view! {
        <button type="button" class="button hide-phone" data-testid="between" aria-pressed=move || named.get().is_some().to_string() aria-haspopup="dialog" on:click=move |_| open.set(true)>
            {label} <IconView icon=Icon::Down />
        </button>
        <Dialog open title="Traffic between two times">
            <Fields store named open />
        </Dialog>
    }
}

#[component]
fn Fields(store: Store, named: Memo<Option<(i64, i64)>>, open: RwSignal<bool>) -> impl IntoView {
    let (from, to) = (NodeRef::<Input>::new(), NodeRef::<Input>::new());
    let wrong = RwSignal::new(None::<&'static str>);
    let zone = store.zone();
    let (begin, end) = named.get_untracked().unwrap_or_else(|| {
        let now = store.now_ms();
        (now - i64::from(store.range_s.get_untracked()) * 1000, now)
    });
    let read = move |field: NodeRef<Input>| {
        let text = field.get_untracked().map(|f| f.value());
        text.and_then(|text| zone.read_field(&text))
    };
    let apply = move |_| {
        let problem = match (read(from), read(to)) {
            (Some(from), Some(to)) => problem(from, to, store.now_ms()),
            _ => Some("Give both times."),
        };
        wrong.set(problem);
        if let (None, Some(from), Some(to)) = (problem, read(from), read(to)) {
            open.set(false);
            go(store, Some((from, to)));
        }
    };
    view! {
        <div class="pair-of-fields">
            <label>"From" <span class="field"><input type="datetime-local" data-testid="from" node_ref=from value=zone.field(begin) on:input=move |_| wrong.set(None) /></span></label>
            <label>"To" <span class="field"><input type="datetime-local" data-testid="to" node_ref=to value=zone.field(end) on:input=move |_| wrong.set(None) /></span></label>
        </div>
        <p class="field-note" role="alert">{move || wrong.get()}</p>
        <div class="dialog-foot">
            {named.get_untracked().is_some().then(|| view! {
                <button type="button" class="button" data-testid="live-range" on:click=move |_| { open.set(false); go(store, None); }>"Up to now"</button>
            })}
            <span class="grow"></span>
            <button type="button" class="button" on:click=move |_| open.set(false)>"Cancel"</button>
            <button type="button" class="button primary" data-testid="apply-range" on:click=apply>"Show"</button>
        </div>
    }
}

fn problem(from: i64, to: i64, now: i64) -> Option<&'static str> {
    if to - from < SHORTEST_MS {
        return Some("The second time must be a minute or more after the first.");
    }
    if to - from > LONGEST_MS {
        return Some("At most 31 days at once.");
    }
    (from > now).then_some("That is still to come.")
}

fn go(store: Store, named: Option<(i64, i64)>) {
    let node = store
        .place
        .with_untracked(|p| p.get("node").map(str::to_owned));
    let (from, to) = named.map_or_else(Default::default, |(from, to)| {
        (clock::rfc3339(from), clock::rfc3339(to))
    });
    let pairs = [
        ("node", node.as_deref().unwrap_or_default()),
        ("from", from.as_str()),
        ("to", to.as_str()),
    ];
    navigation::replace(store, &route::address("/traffic", &pairs));
}
