use super::Engine;
use crate::hint::{Hint, OrderedHint};
use crate::message::Message;

/// The hint, and how often it is still to be passed on.
#[derive(Debug, Default)]
pub(super) struct Board {
    hint: OrderedHint,
    changed: bool,
    waiting: u8,
}

impl Board {
    pub(super) fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    pub(super) fn take_changed(&mut self) -> Option<Hint> {
        std::mem::take(&mut self.changed).then(|| self.hint.hint.clone())
    }

    /// Any packet may carry it. While it is new every one does; meetings and
    /// comparisons always do, so that nobody stays behind.
    pub(super) fn hint_for(&mut self, message: &Message, most: u8) -> Option<OrderedHint> {
        self.waiting = self.waiting.min(most);
        let always = matches!(
            message,
            Message::Hello { .. }
                | Message::HelloAck { .. }
                | Message::Compare { .. }
                | Message::Buckets { .. }
        );
        let known = self.hint.hint != Hint::default();
        if !known || !(always || self.waiting > 0) {
            return None;
        }
        self.waiting = self.waiting.saturating_sub(1);
        Some(self.hint.clone())
    }
}

impl Engine {
    /// Offers a hint. Each part that is newer than what is known is kept and
    /// spread; the rest is ignored. The parts of a leader are for the leader
    /// alone to set.
    pub fn set_hint(&mut self, now_ms: u64, hint: Hint) {
        self.observe(now_ms);
        if self.board.hint.set(hint) {
            self.spread_hint();
        }
    }

    /// What is known of leader, managers and generation.
    pub fn hint(&self) -> Hint {
        self.board.hint.hint.clone()
    }

    pub(super) fn merge_hint(&mut self, hint: &OrderedHint) {
        if self.board.hint.merge(hint) {
            self.spread_hint();
        }
    }

    fn spread_hint(&mut self) {
        self.board.changed = true;
        self.board.waiting = self.transmissions();
    }
}
