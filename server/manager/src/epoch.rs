//! Notices a group that nodes do not obey, because they have obeyed a newer epoch: an old backup was restored after a
//! later restore or recovery, or this is the wrong one of two recovered managers.

use std::sync::{Mutex, PoisonError};

use krakend_api as api;
use krakend_domain::{ClusterState, NodeId};
use krakend_proto::node::Acknowledgement;

use crate::{app::App, clock};

fn advice(newer: u64) -> String {
    format!(
        "stop this manager and restore its newest backup into an empty directory with `--epoch {}`, unless another group with the newer epoch is the one that shall go on",
        newer.saturating_add(1)
    )
}

/// The newest order, as epoch and generation, that a node said it has carried out.
#[derive(Debug, Default)]
pub struct NewestObeyed(Mutex<(u64, u64)>);

impl NewestObeyed {
    fn get(&self) -> (u64, u64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, order: (u64, u64)) {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = order.max(*newest);
    }
}

/// Says so when a node has carried out an order that is newer than every order of this group.
pub fn compare(app: &App, node_id: NodeId, applied: Option<&Acknowledgement>) {
    let Some(applied) = applied else { return };
    let state = app.group.stale().state;
    let (ours, theirs) = (
        (state.meta().epoch, state.meta().generation),
        (applied.epoch, applied.generation),
    );
    app.newest_obeyed.note(theirs);
    if theirs > ours {
        tracing::warn!(
            "{} has obeyed epoch {}, generation {}, but this group is at epoch {}, generation {}, so it ignores this group's orders: {}",
            node_id.krakend(),
            theirs.0,
            theirs.1,
            ours.0,
            ours.1,
            advice(theirs.0)
        );
    }
}

/// An alarm while gossip or a node speaks of newer orders than this group has given.
pub fn alarm(app: &App, state: &ClusterState) -> Option<api::Alarm> {
    let heard = app.gossip.hint().borrow().generation;
    let heard = heard.max(app.newest_obeyed.get());
    let ours = (state.meta().epoch, state.meta().generation);
    // A follower may be some entries behind what its leader has told.
    let leads = app.group.leadership().borrow().is_me;
    let behind = heard.0 > ours.0 || (leads && heard > ours);
    (behind && state.meta().group_id.is_some()).then(|| api::Alarm {
        kind: "epoch-behind".into(),
        message: format!(
            "nodes know epoch {}, generation {}, this group is at epoch {}, generation {}, so they ignore its orders: {}",
            heard.0,
            heard.1,
            ours.0,
            ours.1,
            advice(heard.0)
        ),
        since: clock::rfc3339(state.meta().time_ms),
    })
}
