//! Icons, 16 px, stroke 1.4. Decoration: the control beside them has the name.

use crate::view::prelude::*;

/// Which icon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Icon {
    Overview,
    Person,
    Theme,
    SignOut,
    More,
    Copy,
    Nodes,
    Traffic,
    Braces,
    Managers,
    Licence,
    List,
    Key,
    Search,
    Down,
    UpDown,
    Right,
    Close,
    Plus,
    Sorted,
    SortedUp,
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
        Icon::Nodes => (
            "M6.4 4.4a2 2 0 1 1-4 0 2 2 0 0 1 4 0zM13.6 4.4a2 2 0 1 1-4 0 2 2 0 0 1 4 0zM6.4 11.6a2 2 0 1 1-4 0 2 2 0 0 1 4 0zM13.6 11.6a2 2 0 1 1-4 0 2 2 0 0 1 4 0z",
            "",
        ),
        Icon::Traffic => ("M1.4 8.4h2.8L6.4 3l3.2 10 2.2-4.6h2.8", ""),
        Icon::Braces => (
            "M6 2.6H5a1.6 1.6 0 0 0-1.6 1.6v2.2L1.8 8l1.6 1.6v2.2A1.6 1.6 0 0 0 5 13.4h1M10 2.6h1a1.6 1.6 0 0 1 1.6 1.6v2.2L14.2 8l-1.6 1.6v2.2a1.6 1.6 0 0 1-1.6 1.6h-1",
            "",
        ),
        Icon::Managers => (
            "M8 1.6l2.6 1.5v3L8 7.6 5.4 6.1v-3zM4.4 8.2 7 9.7v3l-2.6 1.5-2.6-1.5v-3zM11.6 8.2l2.6 1.5v3l-2.6 1.5L9 12.7v-3z",
            "",
        ),
        Icon::Licence => (
            "M12.4 6.2a4.4 4.4 0 1 1-8.8 0 4.4 4.4 0 0 1 8.8 0zM5.6 10l-.8 4.4L8 12.8l3.2 1.6-.8-4.4M6.2 6.2l1.2 1.3 2.4-2.5",
            "",
        ),
        Icon::List => (
            "M5.6 4h8.4M5.6 8h8.4M5.6 12h8.4M2.2 4h.6M2.2 8h.6M2.2 12h.6",
            "",
        ),
        Icon::Key => (
            "M7.6 11a2.8 2.8 0 1 1-5.6 0 2.8 2.8 0 0 1 5.6 0zM6.8 9l6.4-6.4M10.6 5.2l2 2M8.8 7l1.2 1.2",
            "",
        ),
        Icon::Search => (
            "M11.4 7a4.6 4.6 0 1 1-9.2 0 4.6 4.6 0 0 1 9.2 0zM10.4 10.4l3.6 3.6",
            "",
        ),
        Icon::Down => ("M4.4 6.4 8 10l3.6-3.6", ""),
        Icon::UpDown => ("M5 6 8 3l3 3M5 10l3 3 3-3", ""),
        Icon::Right => ("M6.2 4.2 10 8l-3.8 3.8", ""),
        Icon::Close => ("M4 4l8 8M12 4l-8 8", ""),
        Icon::Plus => ("M8 3v10M3 8h10", ""),
        Icon::Sorted => ("", "M5 6.6h6L8 10.4z"),
        Icon::SortedUp => ("", "M5 9.8h6L8 6z"),
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
