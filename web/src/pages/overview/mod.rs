//! The overview: the answer first, then the numbers that prove it.

mod configuration;
mod events;
mod licence;
mod managers;
mod nodes;
pub mod traffic;
mod verdict;

use crate::data::navigation;
use crate::data::store::Store;
use crate::pure::route;
use crate::ui::control::{Ranges, SearchField};
use crate::ui::frame::Head;
use crate::view::prelude::*;

/// The page.
#[component]
pub fn Overview(store: Store) -> impl IntoView {
    let text = RwSignal::new(String::new());
    let open = Callback::new(move |text: String| {
        navigation::go(store, &route::address("/nodes", &[("q", text.trim())]));
    });
    let actions = view! {
        <SearchField placeholder="Search nodes" text change=move |t| text.set(t) enter=open />
        <Ranges store />
    }
    .into_any();
    view! {
        <Head store title="Overview" actions />
        <div class="overview">
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
    }
}
