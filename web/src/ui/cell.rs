//! A cell of the ruled sheet, and the states that every cell has.

use crate::data::store::Remote;
use crate::view::prelude::*;

/// Shows a remote value: grey bars before it is there, a sentence when it could not be read, else the content.
pub fn remote<T, V>(
    cell: RwSignal<Remote<T>>,
    content: impl Fn(&T) -> V + Send + 'static,
) -> impl IntoView
where
    T: Send + Sync + 'static,
    V: IntoAny,
{
    move || {
        cell.with(|remote| match (&remote.value, &remote.failure) {
            (Some(value), _) => content(value).into_any(),
            (None, Some(failure)) => view! { <Failed text=failure.clone() /> }.into_any(),
            (None, None) => view! { <Waiting /> }.into_any(),
        })
    }
}

/// Grey bars, after 200 ms.
#[component]
pub fn Waiting() -> impl IntoView {
    view! {
        <div class="waiting" role="img" aria-label="Loading">
            <span></span>
            <span></span>
            <span></span>
        </div>
    }
}

/// A cell fails alone.
#[component]
pub fn Failed(#[prop(into)] text: String) -> impl IntoView {
    view! {
        <div class="failed">
            <super::mark::MarkIcon mark=crate::pure::event::Mark::Refused />
            <div>
                <strong>"Could not load"</strong>
                <p>{text} " It is tried again every 10 s."</p>
            </div>
        </div>
    }
}
