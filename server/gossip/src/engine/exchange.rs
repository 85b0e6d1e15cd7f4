use rand::RngExt;

use super::Engine;
use crate::message::{BUCKETS, Message, Writer};
use crate::peers::bucket;
use crate::record::Record;
use crate::seal::MAX_BODY_BYTES;
use crate::timers::Timer;

/// Packets that one comparison sends at most in each direction.
const MAX_PACKETS: usize = 8;

/// The full state exchange: two members compare digests of all who live, then
/// send each other what they know in the parts that differ. While nothing
/// differs it costs one packet.
impl Engine {
    pub(super) fn exchange(&mut self) {
        let alone = self.peers.active() == 0;
        let period = self
            .contacts
            .comparison(self.config.exchange_period_ms, alone);
        let period = self.jittered(period);
        self.timers.schedule(Timer::Exchange, period);
        self.compare_with_anybody();
    }

    fn compare_with_anybody(&mut self) {
        let active = |record: &Record| record.state().is_active();
        if self.leaving.is_none()
            && let Some(with) = self.peers.sample(&mut self.rng, 1, active).pop()
        {
            self.compare_with(&with);
        }
    }

    pub(super) fn compare_with(&mut self, with: &Record) {
        let message = Message::Compare {
            from: self.me,
            whole: self.peers.whole(self.living_me()),
        };
        let first = self.buddy_news(with);
        self.send(with.addr, &message, first);
    }

    pub(super) fn handle_compare(&mut self, from: &Record, whole: u64) {
        if self.peers.whole(self.living_me()) == whole {
            return;
        }
        let message = Message::Buckets {
            from: self.me,
            parts: self.peers.parts(self.living_me()),
        };
        let first = self.buddy_news(from);
        self.send(from.addr, &message, first);
    }

    pub(super) fn handle_buckets(&mut self, from: &Record, parts: &[u32]) {
        let own = self.peers.parts(self.living_me());
        let differing = (0..BUCKETS).filter(|part| own.get(*part) != parts.get(*part));
        let mask = differing.fold(0u64, |mask, part| mask | 1 << part);
        if mask == 0 {
            return;
        }
        self.tell_known(from, mask);
        let want = Message::Want {
            from: self.me,
            mask,
        };
        self.send(from.addr, &want, None);
    }

    /// Tells what is known in some parts: from a random one on, so that large
    /// differences are told in several comparisons.
    pub(super) fn tell_known(&mut self, to: &Record, mask: u64) {
        let start = self.rng.random_range(0..BUCKETS);
        let turn = |id| (bucket(id) + BUCKETS - start) % BUCKETS;
        let wanted = |record: &&Record| mask & 1 << bucket(record.id) != 0 && record.id != to.id;
        let all = self.peers.iter().map(|peer| &peer.record);
        let mut records: Vec<Record> = all.filter(wanted).copied().collect();
        records.sort_unstable_by_key(|record| (turn(record.id), record.id));
        if mask & 1 << bucket(self.me.id) != 0 {
            records.insert(0, self.me);
        }
        let mut rest = records.iter().peekable();
        for _ in 0..MAX_PACKETS {
            if rest.peek().is_none() {
                return;
            }
            let mut writer = Writer::new(&Message::Known, None, MAX_BODY_BYTES);
            while rest.next_if(|record| writer.record(record)).is_some() {}
            self.send_body(to.addr, &writer.finish());
        }
    }
}
