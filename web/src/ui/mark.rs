//! State marks, 12 px. Always beside a word; readers hear the word only.

use crate::pure::event::Mark;
use crate::pure::rollout::Step;
use crate::view::prelude::*;
use krakend_api::{ManagerRole, NodeState};

const HEXAGON: &str = "M6 .8 10.5 3.4v5.2L6 11.2 1.5 8.6V3.4z";
const RING: &str = "M10.5 6a4.5 4.5 0 1 1-9 0 4.5 4.5 0 0 1 9 0z";
const CROSS: &str = "m4.3 4.3 3.4 3.4m0-3.4L4.3 7.7";

/// Draws a mark.
#[component]
pub fn MarkIcon(mark: Mark) -> impl IntoView {
    let parts: &[(&str, &str)] = match mark {
        Mark::Active => &[("m-fill", "M10.4 6a4.4 4.4 0 1 1-8.8 0 4.4 4.4 0 0 1 8.8 0z")],
        Mark::Unreachable => &[
            (
                "m-fill",
                "M6.9 1.2 11.6 9.6c.4.7-.1 1.4-.8 1.4H1.2c-.7 0-1.2-.7-.8-1.4L5.1 1.2c.4-.7 1.4-.7 1.8 0z",
            ),
            ("m-cut", "M6 4v3.2M6 8.6v.9"),
        ],
        Mark::Down => &[
            (
                "m-fill",
                "M2.4 1h7.2C10.4 1 11 1.6 11 2.4v7.2c0 .8-.6 1.4-1.4 1.4H2.4C1.6 11 1 10.4 1 9.6V2.4C1 1.6 1.6 1 2.4 1z",
            ),
            ("m-cut", CROSS),
        ],
        Mark::Removed => &[("m-line m-dash", RING)],
        Mark::Applied => &[("m-line m-bold", "m1.4 6.6 3 3 6.2-7")],
        Mark::Applying => &[
            ("m-track", RING),
            ("m-line m-turn", "M6 1.5A4.5 4.5 0 0 1 9.2 9.2"),
        ],
        Mark::Pending => &[("m-line", RING)],
        Mark::Refused => &[
            ("m-fill", "M3.7.6h4.6l3.1 3.1v4.6l-3.1 3.1H3.7L.6 8.3V3.7z"),
            ("m-cut m-bold", "M3.5 6h5"),
        ],
        Mark::Published => &[("m-line m-bold", "M6 8.2V1.4M2.9 4.3 6 1.3l3.1 3M1.4 11h9.2")],
        Mark::RolledBack => &[(
            "m-line m-bold",
            "M4.6 1.6 1.8 4.4l2.8 2.8M2.2 4.4h5.4a2.6 2.6 0 0 1 0 5.8H4.4",
        )],
        Mark::Drift => &[("m-line m-bold", "M1.4 4.2h9.2M1.4 7.8h9.2M8.2 1.4 3.8 10.6")],
        Mark::Held => &[("m-fill", "M2.6 1.4h2.2v9.2H2.6zM7.2 1.4h2.2v9.2H7.2z")],
        Mark::Leader => &[("m-fill", HEXAGON)],
        Mark::Follower => &[("m-line", HEXAGON)],
        Mark::Learner => &[("m-line m-dash", HEXAGON)],
        Mark::ManagerUnreachable => &[("m-fill", HEXAGON), ("m-cut", CROSS)],
        Mark::Live => &[
            ("m-ring", RING),
            ("m-fill", "M8.4 6a2.4 2.4 0 1 1-4.8 0 2.4 2.4 0 0 1 4.8 0z"),
        ],
        Mark::Reconnecting => &[(
            "m-line m-bold",
            "M9.8 3.2A4.6 4.6 0 1 0 10.6 6.7M10.4.8v3h-3",
        )],
        Mark::Expiring => &[("m-line", RING), ("m-line", "M6 3.6V6.2l1.6 1")],
        Mark::Dot => &[("m-fill", "M7.5 6a1.5 1.5 0 1 1-3 0 1.5 1.5 0 0 1 3 0z")],
    };
    let paths = parts
        .iter()
        .map(|(class, d)| view! { <path class=*class d=*d /> })
        .collect_view();
    let class = format!("mark {}", tone(mark));
    view! { <svg class=class width="12" height="12" viewBox="0 0 12 12" aria-hidden="true">{paths}</svg> }
}

fn tone(mark: Mark) -> &'static str {
    match mark {
        Mark::Active | Mark::Applied | Mark::Live => "t-ok",
        Mark::Unreachable | Mark::Reconnecting | Mark::Expiring | Mark::Drift | Mark::Held => {
            "t-warn"
        }
        Mark::Down | Mark::Refused | Mark::ManagerUnreachable => "t-bad",
        Mark::Applying | Mark::Published | Mark::Leader => "t-accent",
        Mark::Removed
        | Mark::Pending
        | Mark::Follower
        | Mark::Learner
        | Mark::RolledBack
        | Mark::Dot => "t-idle",
    }
}

/// Mark and word of a node's state.
#[must_use]
pub fn of_node(state: NodeState) -> (Mark, &'static str) {
    match state {
        NodeState::Active => (Mark::Active, "active"),
        NodeState::Unreachable => (Mark::Unreachable, "unreachable"),
        NodeState::Down => (Mark::Down, "down"),
        NodeState::Removed => (Mark::Removed, "removed"),
    }
}

/// Mark and word of a manager's role.
#[must_use]
pub fn of_manager(role: ManagerRole) -> (Mark, &'static str) {
    match role {
        ManagerRole::Leader => (Mark::Leader, "leader"),
        ManagerRole::Follower => (Mark::Follower, "follower"),
        ManagerRole::Learner => (Mark::Learner, "learner"),
        ManagerRole::Unreachable => (Mark::ManagerUnreachable, "unreachable"),
    }
}

/// Mark of a step of publishing.
#[must_use]
pub fn of_step(step: Step) -> Mark {
    match step {
        Step::Applied => Mark::Applied,
        Step::Applying => Mark::Applying,
        Step::Refused => Mark::Refused,
        Step::Pending | Step::None => Mark::Pending,
    }
}
