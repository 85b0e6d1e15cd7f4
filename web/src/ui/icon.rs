//! Icons, 16 px, stroke 1.4. Decoration: the control beside them has the name.

use leptos::prelude::*;

/// Which icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Overview,
    Person,
    Theme,
    SignOut,
    More,
    Copy,
}

/// Draws an icon.
#[component]
pub fn IconView(icon: Icon) -> impl IntoView {
    let (lines, fill) = match icon {
        Icon::Overview => ("M2.6 11.6a6 6 0 1 1 10.8 0M8 9.6l2.6-3.6M5 13.2h6", ""),
        Icon::Person => (
            "M10.6 5.2a2.6 2.6 0 1 1-5.2 0 2.6 2.6 0 0 1 5.2 0zM2.8 13.4c.4-2.6 2.6-3.8 5.2-3.8s4.8 1.2 5.2 3.8",
            "",
        ),
        Icon::Theme => (
            "M13.6 8A5.6 5.6 0 1 1 2.4 8a5.6 5.6 0 0 1 11.2 0z",
            "M8 2.4a5.6 5.6 0 0 1 0 11.2z",
        ),
        Icon::SignOut => (
            "M6.4 2.6H3.6a1 1 0 0 0-1 1v8.8a1 1 0 0 0 1 1h2.8M6.6 8h6.8M10.8 5.2 13.6 8l-2.8 2.8",
            "",
        ),
        Icon::More => (
            "",
            "M4.2 8a1.2 1.2 0 1 1-2.4 0 1.2 1.2 0 0 1 2.4 0zM9.2 8a1.2 1.2 0 1 1-2.4 0 1.2 1.2 0 0 1 2.4 0zM14.2 8a1.2 1.2 0 1 1-2.4 0 1.2 1.2 0 0 1 2.4 0z",
        ),
        Icon::Copy => (
            "M6.6 5.4h5.8a1 1 0 0 1 1 1v5.8a1 1 0 0 1-1 1H6.6a1 1 0 0 1-1-1V6.4a1 1 0 0 1 1-1zM3.4 10.6a.8.8 0 0 1-.8-.8V3.6a1 1 0 0 1 1-1h6.2a.8.8 0 0 1 .8.8",
            "",
        ),
    };
    view! {
        <svg class="icon" width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
            <path class="i-line" d=lines />
            <path class="i-fill" d=fill />
        </svg>
    }
}

/// The product's sign: a K whose arms curl.
#[component]
pub fn Logo() -> impl IntoView {
    view! {
        <svg class="logo" width="28" height="28" viewBox="0 0 28 28" aria-hidden="true">
            <rect class="logo-box" width="28" height="28" rx="6" />
            <path class="logo-line" d="M9.8 6.8v14.4M10.2 14.6C13.4 13.8 15 11.6 15.4 9.4c.4-2.2 2.2-3.2 3.8-2.4 1.6.9 1.4 3.2-.2 3.4-1 .1-1.6-.6-1.5-1.3M12.6 13.4c2 1 3 3 3.8 5.2.7 2 2.6 2.8 4 1.8 1.3-1 1-2.9-.3-3.1-.9-.1-1.5.5-1.4 1.2" />
        </svg>
    }
}
