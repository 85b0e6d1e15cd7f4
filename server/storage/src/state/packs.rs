//! Many small records as one value of the tree.
//!
//! A tree's every insertion copies a leaf, which costs a processor ten times what a record of 200 bytes is worth. So
//! records that are small are appended to packs, in the order in which they were written; the newest mention of a key
//! counts, and a mention without a value says that it is gone. The oldest packs are emptied into the newest as soon as
//! more is dead than alive, so all packs together stay below three times what lives in them.

use std::collections::BTreeMap;

/// Seventeen of them, the most in one leaf, stay below the size from which the engine puts a leaf into a file of its own.
const PACK_BYTES: usize = 7 * 1024;
/// A larger record stands alone.
pub(super) const PACKED_AT_MOST: usize = 4 * 1024;
/// So little is not worth the copying.
const DEAD_AT_LEAST: u64 = 1024 * 1024;
const HEAD: usize = 8;
const GONE: u32 = u32::MAX;

/// A mention of a key: its value, or that it is gone.
pub(super) type Mention<'a> = (&'a [u8], Option<&'a [u8]>);

/// What the packs hold, in bytes, by number.
#[derive(Debug, Default)]
pub(super) struct Packs {
    packs: BTreeMap<u64, Pack>,
    bytes: u64,
    live_bytes: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Pack {
    bytes: u64,
    live_bytes: u64,
}

/// Packs that are being filled. Numbers rise, so the order in which packs are read is that in which they were written.
#[derive(Debug)]
pub(super) struct Filling {
    number: u64,
    content: Vec<u8>,
    full: Vec<(u64, Vec<u8>)>,
}

impl Packs {
    pub(super) fn filling(&self) -> Filling {
        Filling {
            number: self.packs.last_key_value().map_or(1, |(last, _)| last + 1),
            content: Vec::new(),
            full: Vec::new(),
        }
    }

    /// Notes a mention in a pack.
    pub(super) fn add(&mut self, number: u64, key: &[u8], value: Option<&[u8]>) {
        let size = size(key, value);
        let pack = self.packs.entry(number).or_default();
        pack.bytes += size;
        self.bytes += size;
        if value.is_some() {
            pack.live_bytes += size;
            self.live_bytes += size;
        }
    }

    /// Notes that a value in a pack no longer counts.
    pub(super) fn outdated(&mut self, number: u64, size: u64) {
        if let Some(pack) = self.packs.get_mut(&number) {
            pack.live_bytes = pack.live_bytes.saturating_sub(size);
            self.live_bytes = self.live_bytes.saturating_sub(size);
        }
    }

    /// The pack to be emptied next, while more is dead than alive.
    pub(super) fn to_empty(&self) -> Option<u64> {
        let dead = self.bytes.saturating_sub(self.live_bytes);
        if dead <= self.live_bytes.max(DEAD_AT_LEAST) {
            return None;
        }
        self.packs.first_key_value().map(|(first, _)| *first)
    }

    /// Bytes that are dead, and that live.
    #[cfg(test)]
    pub(super) fn weigh(&self) -> (u64, u64) {
        (self.bytes - self.live_bytes, self.live_bytes)
    }

    /// Forgets a pack that was emptied.
    pub(super) fn remove(&mut self, number: u64) {
        if let Some(pack) = self.packs.remove(&number) {
            self.bytes -= pack.bytes;
            self.live_bytes -= pack.live_bytes;
        }
    }
}

impl Filling {
    /// The pack that is filled next.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Appends a mention, and says which pack it is in.
    pub(super) fn push(&mut self, key: &[u8], value: Option<&[u8]>) -> u64 {
        let needed = HEAD + key.len() + value.map_or(0, <[u8]>::len);
        if !self.content.is_empty() && self.content.len() + needed > PACK_BYTES {
            let content = std::mem::take(&mut self.content);
            self.full.push((self.number, content));
            self.number += 1;
        }
        let length = |bytes: &[u8]| (bytes.len() as u32).to_le_bytes();
        self.content.extend(length(key));
        self.content
            .extend(value.map_or(GONE.to_le_bytes(), length));
        self.content.extend(key);
        self.content.extend(value.unwrap_or_default());
        self.number
    }

    /// All packs, ready to be stored.
    pub(super) fn finish(mut self) -> Vec<(u64, Vec<u8>)> {
        if !self.content.is_empty() {
            self.full.push((self.number, self.content));
        }
        self.full
    }
}

/// What a mention takes in a pack.
pub(super) fn size(key: &[u8], value: Option<&[u8]>) -> u64 {
    (HEAD + key.len() + value.map_or(0, <[u8]>::len)) as u64
}

/// The mentions in a pack, oldest first; `None` where it does not end with one.
pub(super) fn mentions(content: &[u8]) -> Option<Vec<Mention<'_>>> {
    let mut found = Vec::new();
    let mut rest = content;
    while !rest.is_empty() {
        let (head, after) = rest.split_at_checked(HEAD)?;
        let number = |at: usize| {
            head.get(at..at + 4)?
                .try_into()
                .ok()
                .map(u32::from_le_bytes)
        };
        let (key, after) = after.split_at_checked(number(0)? as usize)?;
        let length = number(4)?;
        let (value, after) = match length {
            GONE => (None, after),
            length => {
                let (value, after) = after.split_at_checked(length as usize)?;
                (Some(value), after)
            }
        };
        found.push((key, value));
        rest = after;
    }
    Some(found)
}
