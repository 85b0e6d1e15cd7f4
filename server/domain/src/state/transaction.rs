use uuid::Uuid;

use super::ClusterState;
use crate::{
    Applied, Event, EventKind, FleetName, Millis, NodeRecord, Outcome, RecordKey, Rejected,
};

/// Newest events kept for history and for resuming the stream.
const MAX_EVENTS: usize = 5_000;

/// One entry being applied: collects what changed and what happened.
pub(super) struct Transaction<'a> {
    pub(super) state: &'a mut ClusterState,
    pub(super) index: u64,
    /// The state's time, at least the entry's stamp.
    pub(super) now: Millis,
    events: Vec<Event>,
    changed: Vec<RecordKey>,
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(state: &'a mut ClusterState, index: u64, stamp: Millis) -> Self {
        let now = state.meta.time_ms.max(stamp);
        state.meta.time_ms = now;
        Self {
            state,
            index,
            now,
            events: Vec::new(),
            changed: vec![RecordKey::Meta],
        }
    }

    pub(super) fn changed(&mut self, key: RecordKey) {
        if !self.changed.contains(&key) {
            self.changed.push(key);
        }
    }

    pub(super) fn event(&mut self, kind: EventKind, message: impl Into<String>) -> &mut Event {
        self.events.push(Event {
            index: self.index,
            position: self.events.len() as u32,
            time_ms: self.now,
            kind,
            fleet: None,
            subject_id: None,
            subject_name: None,
            version: None,
            message: message.into(),
        });
        let last = self.events.len() - 1;
        &mut self.events[last]
    }

    pub(super) fn finish(mut self, result: Result<Applied, Rejected>) -> Outcome {
        for event in &self.events {
            let key = (event.index, event.position);
            self.state.events.insert(key, event.clone());
            self.changed.push(RecordKey::Event(key.0, key.1));
        }
        while self.state.events.len() > MAX_EVENTS {
            let Some(oldest) = self.state.events.get_min().map(|(key, _)| *key) else {
                break;
            };
            self.state.events.remove(&oldest);
            self.changed.push(RecordKey::Event(oldest.0, oldest.1));
        }
        Outcome {
            result,
            events: self.events,
            changed: self.changed,
        }
    }
}

impl Event {
    pub(super) fn about(&mut self, id: Uuid, name: &str) -> &mut Self {
        self.subject_id = Some(id);
        self.subject_name = Some(name.into());
        self
    }

    pub(super) fn node(&mut self, node: &NodeRecord) -> &mut Self {
        self.fleet = Some(node.fleet.clone());
        self.about(node.id.0, &node.name)
    }

    pub(super) fn fleet(&mut self, fleet: &FleetName) -> &mut Self {
        self.fleet = Some(fleet.clone());
        self
    }

    pub(super) fn version(&mut self, number: u64) -> &mut Self {
        self.version = Some(number);
        self
    }
}
