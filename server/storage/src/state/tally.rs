use std::collections::HashMap;

use super::packs::{Packs, size};

/// Which records a store should hold: their number and the sum of a mark for each. Every record has a checksum of its
/// own, or its pack's; this notices one that is missing, or that came back in an older shape.
#[derive(Debug, Default)]
pub(super) struct Tally {
    entries: HashMap<Box<[u8]>, Entry>,
    sum: u64,
    pub(super) packs: Packs,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    mark: u64,
    place: Place,
}

/// Where a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Under its own key.
    Alone,
    /// In the pack with this number, where it takes so many bytes.
    Packed(u64, u32),
}

impl Tally {
    /// Notes that the record is this now, and tells where it was.
    pub(super) fn put(
        &mut self,
        key: &[u8],
        value: &[u8],
        checksum: u32,
        pack: Option<u64>,
    ) -> Option<Place> {
        let place = match pack {
            None => Place::Alone,
            Some(number) => {
                self.packs.add(number, key, Some(value));
                Place::Packed(number, size(key, Some(value)) as u32)
            }
        };
        let mark = mark(checksum);
        self.sum = self.sum.wrapping_add(mark);
        let entry = Entry { mark, place };
        let before = match self.entries.get_mut(key) {
            Some(known) => Some(std::mem::replace(known, entry)),
            None => self.entries.insert(key.into(), entry),
        };
        self.outdated(before)
    }

    /// Notes that the record is gone, and tells where it was.
    pub(super) fn remove(&mut self, key: &[u8]) -> Option<Place> {
        let before = self.entries.remove(key);
        self.outdated(before)
    }

    fn outdated(&mut self, before: Option<Entry>) -> Option<Place> {
        let before = before?;
        self.sum = self.sum.wrapping_sub(before.mark);
        if let Place::Packed(number, size) = before.place {
            self.packs.outdated(number, size.into());
        }
        Some(before.place)
    }

    pub(super) fn place(&self, key: &[u8]) -> Option<Place> {
        self.entries.get(key).map(|entry| entry.place)
    }

    pub(super) fn to_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(self.entries.len() as u64).to_le_bytes());
        bytes[8..].copy_from_slice(&self.sum.to_le_bytes());
        bytes
    }
}

/// The checksum is spread over 64 bits so that sums do not cancel out.
fn mark(checksum: u32) -> u64 {
    let mut mixed = u64::from(checksum).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
