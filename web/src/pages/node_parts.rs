//! What pages about traffic share.

pub use super::nodes::row::latency;
use super::nodes::row::{none, with_unit};
use crate::pure::event;
use crate::pure::format;
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::BackendTotals;

/// Failed calls beyond this share are marked.
const OBJECTIVE: f64 = 0.01;

/// Where a backend is: its host, and the pattern where that tells more.
pub fn backend_name(backend: &BackendTotals) -> String {
    match (backend.host.as_str(), backend.url_pattern.as_str()) {
        ("", pattern) => pattern.to_owned(),
        (host, "") => host.to_owned(),
        (host, pattern) => {
            let host = host.split("://").last().unwrap_or(host);
            format!("{pattern} {host}")
        }
    }
}

/// Share of calls that failed, marked beyond the objective.
pub fn error_share(errors: u64, calls: u64) -> AnyView {
    if calls == 0 {
        return none();
    }
    let share = errors as f64 / calls as f64;
    if share <= OBJECTIVE {
        return with_unit(format::percent(share), "%");
    }
    view! { <span class="beyond"><MarkIcon mark=event::Mark::Unreachable /> <strong>{format::percent(share)}</strong> " " <span class="unit">"%"</span></span> }.into_any()
}
