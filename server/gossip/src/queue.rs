use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::record::{Claim, Record};

/// News that waits to be passed on; beyond, the most often sent goes.
const CAPACITY: usize = 8_192;

/// A member has one piece of news, but for suspicions: one for each accuser,
/// because confirmations shorten them.
type Key = (Uuid, u32);

/// News to piggyback, the least often sent first.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: BTreeMap<Key, Entry>,
    order: BTreeSet<(u8, u64, Key)>,
    sequence: u64,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    sent: u8,
    sequence: u64,
}

impl Queue {
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes a record in place of all that it outdoes.
    pub(crate) fn add(&mut self, record: Record) {
        let all = (record.id, 0)..=(record.id, u32::MAX);
        let outdone: Vec<Key> = self
            .entries
            .range(all)
            .filter(|(_, known)| known.record.order() <= record.order())
            .filter(|(_, known)| !are_two_accusers(&known.record, &record))
            .map(|(key, _)| *key)
            .collect();
        for key in outdone {
            self.remove(key);
        }
        if self.entries.len() >= CAPACITY {
            let last = self.order.last().map(|(_, _, key)| *key);
            last.into_iter().for_each(|key| self.remove(key));
        }
        self.sequence += 1;
        let key = key_of(&record);
        self.remove(key);
        self.order.insert((0, self.sequence, key));
        let entry = Entry {
            record,
            sent: 0,
            sequence: self.sequence,
        };
        self.entries.insert(key, entry);
    }

    /// Nothing of this member is passed on any more.
    pub(crate) fn forget(&mut self, id: Uuid) {
        let keys: Vec<Key> = self
            .entries
            .range((id, 0)..=(id, u32::MAX))
            .map(|(key, _)| *key)
            .collect();
        for key in keys {
            self.remove(key);
        }
    }

    /// Hands records out until `take` refuses one; each goes out `limit` times.
    pub(crate) fn fill(&mut self, limit: u8, mut take: impl FnMut(&Record) -> bool) {
        let mut sent = Vec::new();
        for (_, _, key) in &self.order {
            let Some(entry) = self.entries.get(key) else {
                continue;
            };
            if !take(&entry.record) {
                break;
            }
            sent.push(*key);
        }
        for key in sent {
            self.count(key, limit);
        }
    }

    fn count(&mut self, key: Key, limit: u8) {
        let Some(entry) = self.entries.get_mut(&key) else {
            return;
        };
        self.order.remove(&(entry.sent, entry.sequence, key));
        entry.sent += 1;
        if entry.sent >= limit {
            self.entries.remove(&key);
        } else {
            self.order.insert((entry.sent, entry.sequence, key));
        }
    }

    fn remove(&mut self, key: Key) {
        if let Some(entry) = self.entries.remove(&key) {
            self.order.remove(&(entry.sent, entry.sequence, key));
        }
    }
}

fn key_of(record: &Record) -> Key {
    let by = match record.claim {
        Claim::Suspect { by } => by,
        _ => 0,
    };
    (record.id, by)
}

fn are_two_accusers(known: &Record, new: &Record) -> bool {
    matches!(
        (known.claim, new.claim),
        (Claim::Suspect { .. }, Claim::Suspect { .. })
    ) && known.bump == new.bump
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, Role};

    fn record(id: u128, bump: u64, claim: Claim) -> Record {
        let member = Identity {
            id: Uuid::from_u128(id),
            role: Role::Node,
            addr: ([127, 0, 0, 1], 7000).into(),
            bump,
        };
        Record::alive(member, 1).claiming(claim)
    }

    fn take(queue: &mut Queue, most: usize, limit: u8) -> Vec<Record> {
        let mut taken = Vec::new();
        queue.fill(limit, |record| {
            let more = taken.len() < most;
            if more {
                taken.push(*record);
            }
            more
        });
        taken
    }

    #[test]
    fn news_goes_out_as_often_as_wanted_the_freshest_first() {
        let mut queue = Queue::default();
        queue.add(record(1, 1, Claim::Alive));
        assert_eq!(take(&mut queue, 1, 3).len(), 1);
        queue.add(record(2, 1, Claim::Alive));
        assert_eq!(take(&mut queue, 1, 3)[0].id, Uuid::from_u128(2));
        assert_eq!(take(&mut queue, 9, 3).len(), 2);
        assert_eq!(take(&mut queue, 9, 3).len(), 2);
        assert!(take(&mut queue, 9, 3).is_empty() && queue.is_empty());
    }

    #[test]
    fn a_refutation_takes_the_place_of_all_accusations() {
        let mut queue = Queue::default();
        queue.add(record(1, 5, Claim::Suspect { by: 7 }));
        queue.add(record(1, 5, Claim::Suspect { by: 8 }));
        assert_eq!(queue.entries.len(), 2);
        let refutation = record(1, 6, Claim::Alive);
        queue.add(refutation);
        assert_eq!(take(&mut queue, 9, 9), [refutation]);
    }

    #[test]
    fn a_full_queue_stays_full() {
        let mut queue = Queue::default();
        for id in 0..CAPACITY as u128 + 10 {
            queue.add(record(id, 1, Claim::Alive));
        }
        assert_eq!(queue.entries.len(), CAPACITY);
        assert_eq!(queue.order.len(), CAPACITY);
    }
}
