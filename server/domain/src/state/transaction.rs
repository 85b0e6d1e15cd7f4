use std::sync::Arc;

use uuid::Uuid;

use super::ClusterState;
use crate::{
    Applied, Event, EventKind, FleetName, LogEntry, Millis, NodeRecord, Outcome, RecordKey,
    Rejected, Topic, topic::Topics,
};

/// Newest events kept for history and for resuming the stream.
const MAX_EVENTS: usize = 5_000;

/// One entry being applied: collects what changed and what happened.
pub(super) struct Transaction<'a> {
    pub(super) state: &'a mut ClusterState,
    pub(super) index: u64,
    /// The state's time, at least the entry's stamp.
    pub(super) now: Millis,
    /// What the entry says, believed or not.
    pub(super) stamp: Millis,
    events: Vec<Event>,
    changed: Vec<RecordKey>,
    touched: Topics,
    /// The caller's own part of the idempotency key that the command came under.
    pub(super) key: Option<String>,
}

impl<'a> Transaction<'a> {
    pub(super) fn begin(state: &'a mut ClusterState, index: u64, entry: &LogEntry) -> Self {
        let mut tx = Self {
            now: state.meta.time_ms,
            state,
            index,
            stamp: entry.time_ms,
            events: Vec::new(),
            changed: vec![RecordKey::Meta],
            touched: Topics::default(),
            key: None,
        };
        tx.advance_clock(&entry.command);
        tx
    }

    /// The record differs, and whoever waits for its topic is to know.
    pub(super) fn changed(&mut self, key: RecordKey) {
        if let Some(topic) = Topic::of(&key) {
            self.touch(topic);
        }
        self.changed_quietly(key);
    }

    /// The record differs in what nobody waits for.
    pub(super) fn changed_quietly(&mut self, key: RecordKey) {
        if !self.changed.contains(&key) {
            self.changed.push(key);
        }
    }

    /// As [`Self::changed`], for a record that no other step of this entry names.
    pub(super) fn changed_once(&mut self, key: RecordKey) {
        if let Some(topic) = Topic::of(&key) {
            self.touch(topic);
        }
        self.changed.push(key);
    }

    pub(super) fn touch(&mut self, topic: Topic) {
        self.touched.insert(topic);
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
        if result.is_err() {
            // A rejected command changes nothing but the time.
            self.touched.retain(Topic::Clock);
        }
        for event in &self.events {
            let key = (event.index, event.position);
            self.state.events.insert(key, Arc::new(event.clone()));
            self.changed.push(RecordKey::Event(key.0, key.1));
            self.touched.insert(Topic::Events);
        }
        let forgotten = self.forget_events();
        for topic in Topic::ALL {
            if self.touched.contains(topic) {
                self.state.changes.modified.insert(topic, self.index);
            }
        }
        if forgotten || self.touched != Topics::default() {
            self.changed.push(RecordKey::Changes);
        }
        Outcome {
            result,
            events: self.events,
            changed: self.changed,
        }
    }

    /// Events of one index go together, so that an index from which a stream may go on is whole.
    fn forget_events(&mut self) -> bool {
        let mut forgotten = false;
        while self.state.events.len() > MAX_EVENTS {
            let Some(oldest) = self.state.events.get_min().map(|(key, _)| key.0) else {
                break;
            };
            let keys = self.state.events.range((oldest, 0)..=(oldest, u32::MAX));
            let keys: Vec<_> = keys.map(|(key, _)| *key).collect();
            for key in keys {
                self.state.events.remove(&key);
                self.changed.push(RecordKey::Event(key.0, key.1));
            }
            self.state.changes.forgotten_through = oldest;
            forgotten = true;
        }
        forgotten
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
