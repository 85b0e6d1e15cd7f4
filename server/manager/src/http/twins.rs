//! Ids that two living processes use: a copied data directory, or a cloned machine.

use krakend_api as api;
use krakend_domain::NodeId;
use krakend_raft::StateView;

use crate::{app::App, clock};

/// One alarm for each such id, as gossip and the sessions with nodes see them.
pub fn alarms(app: &App, view: &StateView) -> Vec<api::Alarm> {
    let state = &view.state;
    let now_ms = clock::decide_ms(state);
    let gossip = app.gossip.duplicates().into_iter().map(|twins| {
        let [one, other] = twins.addrs.map(|addr| addr.to_string());
        (NodeId(twins.id), one, other, twins.age_ms)
    });
    let mut all: Vec<_> = app.sessions.twins();
    for twins in gossip {
        if !all.iter().any(|known| known.0 == twins.0) {
            all.push(twins);
        }
    }
    let alarms = all.into_iter().map(|(id, one, other, age_ms)| {
        let members = app.group.status().members;
        let manager = members.iter().find(|it| it.id == id.0);
        let name = match (state.node(id), manager) {
            (Some(node), _) => format!("{} ({})", node.name, id.krakend()),
            (None, Some(manager)) => format!("the manager {} ({})", manager.node.name, id.0),
            (None, None) => id.krakend(),
        };
        api::Alarm {
            kind: "duplicate-id".into(),
            message: format!(
                "two processes run as {name}, at {one} and at {other}: a data directory was copied or a machine cloned. Stop one of them, empty its data directory, and let it enrol under an id of its own"
            ),
            since: clock::rfc3339(now_ms.saturating_sub(age_ms)),
        }
    });
    alarms.collect()
}
