use std::collections::HashMap;

/// Which records a store should hold: their number and the sum of a mark for each. Every record has a checksum of its
/// own; this notices one that is missing, or that came back in an older shape.
#[derive(Debug, Default)]
pub(super) struct Tally {
    marks: HashMap<Box<[u8]>, u64>,
    sum: u64,
}

impl Tally {
    /// Notes that the record is this now, sealed, or gone.
    pub(super) fn change(&mut self, key: &[u8], sealed: Option<&[u8]>) {
        let before = match sealed {
            Some(sealed) => {
                let mark = mark(sealed);
                self.sum = self.sum.wrapping_add(mark);
                self.marks.insert(key.into(), mark)
            }
            None => self.marks.remove(key),
        };
        self.sum = self.sum.wrapping_sub(before.unwrap_or(0));
    }

    pub(super) fn has(&self, key: &[u8]) -> bool {
        self.marks.contains_key(key)
    }

    pub(super) fn to_bytes(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&(self.marks.len() as u64).to_le_bytes());
        bytes[8..].copy_from_slice(&self.sum.to_le_bytes());
        bytes
    }
}

/// The record's own checksum covers its key; it is spread over 64 bits so that sums do not cancel out.
fn mark(sealed: &[u8]) -> u64 {
    let mut mixed = u64::from(crc32fast::hash(sealed)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
