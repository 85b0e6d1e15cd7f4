//! Pages.

pub mod configuration;
pub mod events;
pub mod licence;
pub mod login;
pub mod managers;
pub mod node;
mod node_parts;
pub mod nodes;
pub mod overview;
pub mod tokens;
pub mod traffic;

use crate::data::store::Store;
use crate::ui::frame::Head;
use crate::view::prelude::*;

/// An address that names nothing.
#[component]
pub fn NotFound(store: Store) -> impl IntoView {
    view! {
        <Head store title="Not found" />
        <div class="cell">
            <p class="text">"There is no such page. " <a href="/">"Overview"</a></p>
        </div>
    }
}
