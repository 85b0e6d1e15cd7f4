//! The managers with their leader.

use crate::data::store::Store;
use crate::pure::format;
use crate::ui::cell;
use crate::ui::mark::{self, MarkIcon};
use crate::view::prelude::*;
use krakend_api::{Manager, ManagerRole};

/// Entries behind from which a manager is no longer just a heartbeat late.
const FAR_BEHIND: u64 = 100;

/// All managers of the group.
#[component]
pub fn ManagersCell(store: Store) -> impl IntoView {
    let term = move || {
        store.status.with(|s| {
            s.value
                .as_ref()
                .map(|s| format!("term {}, epoch {}", s.term, s.epoch))
        })
    };
    view! {
        <section class="cell" aria-labelledby="managers-title">
            <div class="cell-head">
                <h2 id="managers-title"><a class="title-link" href="/managers">"Managers"</a></h2>
                <span class="context">{term}</span>
                <span class="grow"></span>
                <span class="context">"entries behind"</span>
            </div>
            {cell::remote(store.managers, move |managers: &Vec<Manager>| view! { <ul class="rows">{rows(managers)}</ul> })}
        </section>
    }
}

fn rows(managers: &[Manager]) -> impl IntoView + use<> {
    let mut sorted: Vec<&Manager> = managers.iter().collect();
    crate::pure::order::sort_by(&mut sorted, |a, b| a.name.cmp(&b.name));
    sorted.into_iter().map(row).collect_view()
}

fn row(manager: &Manager) -> impl IntoView + use<> {
    let (icon, word) = mark::of_manager(manager.role);
    let title = format!(
        "managers {}, nodes {}, API {}, version {}",
        manager.raft_address, manager.node_address, manager.http_address, manager.version
    );
    let behind = match (manager.role, manager.behind) {
        (ManagerRole::Leader, _) => "leads".to_owned(),
        (_, Some(n)) => format::integer(n),
        (_, None) => format::NO_DATA.to_owned(),
    };
    let far = manager.behind.is_some_and(|n| n > FAR_BEHIND);
    view! {
        <li data-testid="manager" data-name=manager.name.clone() data-role=word title=title>
            <MarkIcon mark=icon />
            <strong>{manager.name.clone()}</strong>
            <span class="role" class:bad=manager.role == ManagerRole::Unreachable>{word}</span>
            <code>{manager.raft_address.clone()}</code>
            <span class="number" class:outlier=far>{behind}</span>
        </li>
    }
}
