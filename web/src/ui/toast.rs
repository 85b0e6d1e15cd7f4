//! What came of an action, for a few seconds.

use super::icon::{Icon, IconView};
use super::mark::MarkIcon;
use crate::data::store::Store;
use crate::pure::event::Mark;
use crate::view::prelude::*;
use std::time::Duration;

/// A good one goes by itself, a bad one waits to be read.
#[component]
pub fn Toasts(store: Store) -> impl IntoView {
    Effect::new(move |_| {
        let shown = store.toast.get();
        if shown.as_ref().is_some_and(|t| !t.failed) {
            set_timeout(
                move || {
                    if store.toast.with_untracked(|now| *now == shown) {
                        store.toast.set(None);
                    }
                },
                Duration::from_secs(6),
            );
        }
    });
    view! {
        <div class="toasts" aria-live="polite" data-testid="toast">
            {move || store.toast.get().map(|toast| {
                let mark = if toast.failed { Mark::Refused } else { Mark::Applied };
                view! {
                    <div class="toast">
                        <MarkIcon mark />
                        <p>{toast.text}</p>
                        <button type="button" class="quiet-icon" aria-label="Close" on:click=move |_| store.toast.set(None)>
                            <IconView icon=Icon::Close />
                        </button>
                    </div>
                }
            })}
        </div>
    }
}
