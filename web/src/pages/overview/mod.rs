//! The overview: the answer first, then the numbers that prove it.

mod configuration;
mod events;
mod licence;
mod managers;
mod nodes;
mod traffic;
mod verdict;

use crate::data::browser;
use crate::data::store::Store;
use crate::ui::chart::HatchPattern;
use crate::ui::frame::Frame;
use leptos::prelude::*;

const RANGES: [(u32, &str); 4] = [
    (600, "10 min"),
    (3600, "1 h"),
    (21_600, "6 h"),
    (86_400, "24 h"),
];

/// The page.
#[component]
pub fn Overview(store: Store) -> impl IntoView {
    let actions = view! { <Ranges store /> }.into_any();
    view! {
        <Frame store title="Overview" actions>
            <HatchPattern />
            <div class="overview" class:stale=move || store.is_stale()>
                <div class="row row-verdict">
                    <verdict::VerdictCell store />
                    <verdict::AttentionCell store />
                </div>
                <div class="row row-thirds">
                    <traffic::RequestsCell store />
                    <traffic::ErrorsCell store />
                    <traffic::LatencyCell store />
                </div>
                <div class="row row-rest">
                    <nodes::NodesCell store />
                    <div class="stack">
                        <configuration::ConfigurationCell store />
                        <licence::LicenceCell store />
                    </div>
                    <div class="stack">
                        <managers::ManagersCell store />
                        <events::EventsCell store />
                    </div>
                </div>
            </div>
        </Frame>
    }
}

#[component]
fn Ranges(store: Store) -> impl IntoView {
    let choose = move |range: u32| {
        browser::remember("range_s", &range.to_string());
        store.range_s.set(range);
        store.read_statistics();
    };
    let buttons = RANGES
        .into_iter()
        .map(|(range, label)| {
            view! {
                <button type="button" aria-pressed=move || (store.range_s.get() == range).to_string() on:click=move |_| choose(range)>
                    {label}
                </button>
            }
        })
        .collect_view();
    view! { <div class="segments" role="group" aria-label="Range of the charts">{buttons}</div> }
}
