//! All managers on one axis of log indexes.

use super::actions::RowMenu;
use crate::data::store::Store;
use crate::pure::event::Mark;
use crate::pure::format;
use crate::pure::ruler::Ruler as Axis;
use crate::ui::mark::{self, MarkIcon};
use crate::view::prelude::*;
use krakend_api::{Manager, ManagerRole};

const WIDTH: f64 = 520.0;
const FAR_BEHIND: u64 = 100;

/// The table of managers with their bars.
#[component]
pub fn Ruler(store: Store) -> impl IntoView {
    let axis = Memo::new(move |_| {
        let applied = store
            .status
            .with(|s| s.value.as_ref().map_or(0, |s| s.applied_index));
        store
            .managers
            .with(|m| Axis::of(m.value.as_deref().unwrap_or_default(), applied))
    });
    let legend = [
        (Mark::Leader, "leader"),
        (Mark::Follower, "follower"),
        (Mark::Learner, "learner"),
        (Mark::ManagerUnreachable, "unreachable"),
    ]
    .map(|(mark, word)| view! { <span class="legend"><MarkIcon mark /> {word}</span> })
    .into_iter()
    .collect_view();
    let ticks = move || {
        axis.get()
            .ticks()
            .into_iter()
            .map(
                |(share, label)| view! { <text class="axis" x=share * WIDTH y="12">{label}</text> },
            )
            .collect_view()
    };
    let last = move || {
        let axis = axis.get();
        (axis.mark(axis.last).end * WIDTH, format::integer(axis.last))
    };
    let rows = move || {
        store.managers.with(|m| {
            let mut sorted: Vec<&Manager> = m.value.iter().flatten().collect();
            crate::pure::order::sort_by(&mut sorted, |a, b| {
                let follows = |m: &Manager| m.role != ManagerRole::Leader;
                follows(a)
                    .cmp(&follows(b))
                    .then_with(|| a.name.cmp(&b.name))
            });
            sorted
                .into_iter()
                .map(|m| row(store, m, axis.get_untracked()))
                .collect_view()
        })
    };
    let about = move || {
        let axis = axis.get();
        format!(
            "the newest {} entries; the hatched part is not yet on that manager",
            format::integer(axis.last - axis.from)
        )
    };
    view! {
        <section class="ruler" aria-labelledby="ruler-title">
            <div class="cell-head"><h2 id="ruler-title">"Replicated log"</h2> <span class="context">{about}</span> <span class="grow"></span> {legend}</div>
            <table class="table managers-table">
                <thead><tr>
                    <th scope="col">"Manager"</th>
                    <th scope="col" class="c-ruler"><span class="reader">"Log"</span><svg class="ruler-axis" viewBox="0 0 520 16" preserveAspectRatio="xMinYMid meet" aria-hidden="true">{ticks} <text class="axis axis-y strong" x=move || last().0 y="12">{move || last().1}</text></svg></th>
                    <th scope="col" class="number">"On disk up to"</th><th scope="col" class="number">"Behind"</th><th scope="col" class="hide-phone">"API"</th><th scope="col" class="hide-phone">"Version"</th><th><span class="reader">"Actions"</span></th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </section>
    }
}

fn row(store: Store, manager: &Manager, axis: Axis) -> impl IntoView + use<> {
    let (icon, word) = mark::of_manager(manager.role);
    let lost = manager.role == ManagerRole::Unreachable;
    let far = manager.behind.is_some_and(|n| n > FAR_BEHIND);
    let bar = manager.matched_index.map(|index| {
        let mark = axis.mark(index);
        let (has, end) = (mark.has * WIDTH, mark.end * WIDTH);
        let leads = manager.role == ManagerRole::Leader;
        view! {
            <rect class="rest" x="0" y="8" width=WIDTH height="8" rx="2" />
            <rect class=if leads { "has leads" } else { "has" } x="0" y="8" width=has height="8" rx="2" />
            {(end - has > 1.0).then(|| view! { <rect x=has y="8" width=end - has height="8" fill="url(#hatch-warn)" /> })}
            <rect class="tick" x=has - 0.8 y="3" width="1.6" height="18" />
        }
    });
    let sentence = match manager.matched_index {
        Some(index) => format!("log up to {}", format::integer(index)),
        None => "log not known to this manager".to_owned(),
    };
    let none = || view! { <span class="none">{format::NO_DATA}</span> }.into_any();
    view! {
        <tr data-testid="manager" data-name=manager.name.clone() data-role=word>
            <td class="c-manager"><MarkIcon mark=icon /> <strong>{manager.name.clone()}</strong> <span class="role" class:bad=lost>{word}</span> {(!manager.voter).then_some(", no vote")}<code>{manager.raft_address.clone()}</code></td>
            <td class="c-ruler"><svg class="ruler-bar" viewBox="0 0 520 24" preserveAspectRatio="none" role="img" aria-label=sentence>{bar}</svg></td>
            <td class="number">{manager.matched_index.map_or_else(none, |i| format::integer(i).into_any())}</td>
            <td class="number" class:outlier=far>{manager.behind.map_or_else(none, |n| format::integer(n).into_any())}</td>
            <td class="hide-phone"><code>{manager.http_address.clone()}</code></td>
            <td class="hide-phone">{manager.version.clone()}</td>
            <td class="c-menu"><RowMenu store manager=manager.clone() /></td>
        </tr>
    }
}
