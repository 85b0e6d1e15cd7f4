//! The state's time: how stamps move it, and how an operator does.

use std::sync::Arc;

use super::Transaction;
use crate::{
    Applied, ClockHold, Command, EventKind, ManagerId, Millis, RecordKey, Rejected, Seat, advance,
    span,
};

/// The longest that a seat is held for a node that stopped.
const MAX_SEAT_MS: Millis = 5 * 60_000;

/// Managers whose clocks are told of; a group has few.
const MAX_OFF: usize = 64;

impl Transaction<'_> {
    /// Believes the entry's stamp, or holds it for an operator.
    pub(super) fn advance_clock(&mut self, command: &Command) {
        let before = self.state.meta.time_ms;
        let hold = self.state.clock.hold.as_ref();
        let advance = advance(before, hold, self.stamp);
        self.now = advance.now;
        self.state.meta.time_ms = advance.now;
        let Some(ahead_ms) = advance.jumped_ms else {
            return;
        };
        if command.sets_clock() {
            return;
        }
        let by = match command {
            Command::LeaderElected { manager_id, .. } => Some(*manager_id),
            _ => self.state.meta.leader.map(|(id, _)| id),
        };
        let from_ms = hold.map_or(before, |hold| hold.from_ms);
        self.state.clock.hold = Some(ClockHold {
            from_ms,
            to_ms: self.stamp,
            index: self.index,
            by,
            ahead_ms,
        });
        self.changed(RecordKey::Clock);
        let name = self.manager_name(by);
        let text = format!(
            "the clock of {name} jumped ahead by {}: lease, licence and reap decisions are held until `clock confirm` or `clock reset`",
            span(ahead_ms)
        );
        let event = self.event(EventKind::ClockHeld, text);
        if let Some(id) = by {
            event.about(id, &name);
        }
    }

    fn manager_name(&self, id: Option<ManagerId>) -> String {
        let record = id.and_then(|id| self.state.managers.get(&id));
        match (record, id) {
            (Some(record), _) => record.name.clone(),
            (None, Some(id)) => id.to_string(),
            (None, None) => "the leader".into(),
        }
    }

    pub(super) fn apply_confirm_clock(&mut self, by: &str) -> Result<Applied, Rejected> {
        let Some(hold) = self.state.clock.hold.take() else {
            return Ok(Applied::Unchanged);
        };
        let from_ms = self.now;
        self.set_time(self.stamp.max(from_ms));
        // What happened while it was held has kept its distance to now.
        let moved = self.now - from_ms;
        self.restamp(|at| match at >= hold.from_ms {
            true => at.saturating_add(moved),
            false => at,
        });
        self.changed(RecordKey::Clock);
        let text = format!(
            "{by} confirmed the clock: the time moved by {}",
            span(moved)
        );
        self.event(EventKind::ClockConfirmed, text);
        self.tell_license_state();
        Ok(Applied::ClockSet {
            from_ms,
            to_ms: self.now,
        })
    }

    pub(super) fn apply_reset_clock(&mut self, by: &str) -> Result<Applied, Rejected> {
        let from_ms = self.now;
        self.state.clock.hold = None;
        self.set_time(self.stamp);
        let now = self.now;
        // Whatever lies in the future now would wait for it.
        self.restamp(|at| at.min(now));
        self.rejuvenate_idempotency_keys();
        self.changed(RecordKey::Clock);
        let (way, far) = match now >= from_ms {
            true => ("ahead", now - from_ms),
            false => ("back", from_ms - now),
        };
        let text = format!("{by} reset the clock: the time went {way} by {}", span(far));
        self.event(EventKind::ClockReset, text);
        self.tell_license_state();
        Ok(Applied::ClockSet {
            from_ms,
            to_ms: now,
        })
    }

    pub(super) fn apply_report_clock(
        &mut self,
        manager_id: ManagerId,
        ahead_ms: Option<i64>,
    ) -> Result<Applied, Rejected> {
        let off = &mut self.state.clock.off;
        let before = match ahead_ms {
            Some(ahead_ms) if off.len() < MAX_OFF || off.contains_key(&manager_id) => {
                off.insert(manager_id, ahead_ms)
            }
            Some(_) => return Ok(Applied::Unchanged),
            None => off.remove(&manager_id),
        };
        if before == ahead_ms {
            return Ok(Applied::Unchanged);
        }
        self.changed(RecordKey::Clock);
        let name = self.manager_name(Some(manager_id));
        let (kind, text) = match ahead_ms {
            Some(ahead_ms) => {
                let way = if ahead_ms > 0 { "ahead of" } else { "behind" };
                let far = span(ahead_ms.unsigned_abs());
                let text = format!("the clock of {name} is {far} {way} the others'");
                (EventKind::ClockOff, text)
            }
            None => (
                EventKind::ClockRight,
                format!("the clock of {name} is right again"),
            ),
        };
        self.event(kind, text).about(manager_id, &name);
        Ok(Applied::Done)
    }

    pub(super) fn set_time(&mut self, now: Millis) {
        self.now = now;
        self.state.meta.time_ms = now;
    }

    /// Moves the stamps by which nodes are judged.
    fn restamp(&mut self, moved: impl Fn(Millis) -> Millis) {
        let latest_seat = self.now.saturating_add(MAX_SEAT_MS);
        let mut changed = Vec::new();
        for node in self.state.nodes.values() {
            let mut after = node.clone();
            after.state_since_ms = moved(node.state_since_ms);
            if let Seat::HeldUntil(until) = node.seat {
                let begun = moved(until.saturating_sub(MAX_SEAT_MS));
                after.seat = Seat::HeldUntil((begun + MAX_SEAT_MS).min(latest_seat));
            }
            if after != *node {
                changed.push(after);
            }
        }
        for node in changed {
            self.changed(RecordKey::Node(node.id));
            self.state.nodes.insert(node);
        }
    }

    /// Keys stamped in the future would outlive their day.
    fn rejuvenate_idempotency_keys(&mut self) {
        let from = (self.now.saturating_add(1), 0);
        let late: Vec<_> = self.state.idempotency_age.range(from..).collect();
        let late: Vec<_> = late.into_iter().map(|(k, v)| (*k, v.clone())).collect();
        for (age, key) in late {
            self.state.idempotency_age.remove(&age);
            self.changed(RecordKey::IdempotencyAge(age.0, age.1));
            let young = (self.now, age.1);
            self.state.idempotency_age.insert(young, key.clone());
            self.changed(RecordKey::IdempotencyAge(young.0, young.1));
            if let Some(record) = self.state.idempotency.get_mut(&key) {
                Arc::make_mut(record).at_ms = self.now;
            }
            self.changed(RecordKey::Idempotency(key.to_string()));
        }
    }
}
