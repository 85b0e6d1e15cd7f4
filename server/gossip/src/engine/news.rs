use super::Engine;
use crate::board::News;
use crate::hint::Hint;

impl Engine {
    /// Offers a hint. Each part that is newer than what is known is kept and
    /// spread; the rest is ignored. The parts of a leader are for the leader
    /// alone to set.
    pub fn set_hint(&mut self, now_ms: u64, hint: Hint) {
        self.timers.observe(now_ms);
        let mut known = self.board.lock();
        let changed = known.hint.set(hint);
        known.hint_changed |= changed;
        drop(known);
        if changed {
            self.repeat_hint();
            self.settle();
        }
    }

    /// What is known of leader, managers and generation.
    pub fn hint(&self) -> Hint {
        self.board.lock().hint.hint.clone()
    }

    /// Puts the hint on the next packets.
    pub(super) fn repeat_hint(&mut self) {
        let hint = self.board.lock().hint.clone();
        if hint.hint != Hint::default() {
            self.publish(&News::Hint(hint));
        }
    }

    pub(super) fn publish(&mut self, news: &News) {
        let data = news.encode();
        self.with_foca("news", |foca, _| foca.add_broadcast(&data));
    }
}
