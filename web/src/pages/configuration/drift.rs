//! Files that are not what their node wrote.

use super::{context, tabs};
use crate::data::store::Store;
use crate::pure::clock;
use crate::pure::event::Mark;
use crate::ui::frame::Head;
use crate::ui::mark::MarkIcon;
use crate::view::prelude::*;
use krakend_api::Node;

/// The page.
#[component]
pub fn DriftPage(store: Store) -> impl IntoView {
    let drifted = Memo::new(move |_| {
        store.nodes.with(|n| {
            let nodes = n.value.iter().flatten();
            nodes
                .filter(|n| n.drift.is_some())
                .cloned()
                .collect::<Vec<_>>()
        })
    });
    view! {
        <Head store title="Configuration" context=context(store) middle=tabs(store, 2) />
        {move || drifted.with(|nodes| if nodes.is_empty() {
            view! {
                <section class="cell verdict-cell">
                    <MarkIcon mark=Mark::Applied />
                    <div><h2>"No drift."</h2><p>"Every gateway runs the file that its node wrote. A file that somebody else changes shows up here, with who should look where."</p></div>
                </section>
            }.into_any()
        } else {
            let rows = nodes.iter().map(|n| row(store, n)).collect_view();
            view! {
                <table class="table">
                    <thead><tr><th scope="col">"Node"</th><th scope="col">"What"</th><th scope="col">"File"</th><th scope="col">"Should be"</th><th scope="col">"Is"</th><th class="number" scope="col">"Found"</th></tr></thead>
                    <tbody>{rows}</tbody>
                </table>
            }.into_any()
        })}
    }
}

fn row(store: Store, node: &Node) -> impl IntoView + use<> {
    node.drift.clone().map(|drift| {
        let at = clock::parse(&drift.found_at);
        let when = at.map(|at| store.zone().moment(at, store.now_ms()));
        let short = |digest: &str| digest.get(..8).unwrap_or(digest).to_owned();
        view! {
            <tr class="attention">
                <td><MarkIcon mark=Mark::Drift /> <a class="row-link" href=format!("/nodes/{}", node.id)>{node.name.clone()}</a></td>
                <td>{drift.reason.clone()}</td>
                <td class="wide"><code>{drift.file.clone()}</code></td>
                <td><code title=drift.expected_digest.clone()>{short(&drift.expected_digest)}</code></td>
                <td><code title=drift.found_digest.clone()>{short(&drift.found_digest)}</code></td>
                <td class="number"><time title=at.map(clock::utc)>{when}</time></td>
            </tr>
        }
    })
}
