use bytes::{BufMut, Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::keys::{Key, KeyRing};
use crate::replay::ReplayGuard;

/// No datagram is longer, sent or accepted: fits every common path unbroken.
pub const MAX_PACKET_BYTES: usize = 1_400;

const MAGIC: [u8; 3] = [b'K', b'G', 1];
const HEADER_BYTES: usize = MAGIC.len() + 4 + 8 + 8;
const TAG_BYTES: usize = 32;
/// What a sealed packet may carry.
pub(crate) const MAX_BODY_BYTES: usize = MAX_PACKET_BYTES - HEADER_BYTES - TAG_BYTES;

/// Wraps and unwraps datagrams:
/// magic and version (3) | key id (4) | sender instance (8) | counter (8) |
/// body | HMAC-SHA256 over all before it (32). Numbers are big-endian.
#[derive(Debug)]
pub(crate) struct Seal {
    keys: KeyRing,
    instance: u64,
    counter: u64,
    guard: ReplayGuard,
}

/// Why a datagram was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    Oversized,
    Malformed,
    BadMac,
    Replayed,
    /// Our own packet came back.
    Echo,
}

impl Seal {
    /// `instance` must be random, drawn anew at each start.
    pub(crate) fn new(keys: KeyRing, instance: u64) -> Self {
        Self {
            keys,
            instance,
            counter: 0,
            guard: ReplayGuard::new(ReplayGuard::CAPACITY),
        }
    }

    pub(crate) fn set_keys(&mut self, keys: KeyRing) {
        self.keys = keys;
    }

    /// None when the body does not fit a packet.
    pub(crate) fn seal(&mut self, body: &[u8]) -> Option<Bytes> {
        if body.len() > MAX_BODY_BYTES {
            return None;
        }
        self.counter += 1;
        let (id, key) = self.keys.signing();
        let mut packet = BytesMut::with_capacity(HEADER_BYTES + body.len() + TAG_BYTES);
        packet.put_slice(&MAGIC);
        packet.put_slice(&id);
        packet.put_u64(self.instance);
        packet.put_u64(self.counter);
        packet.put_slice(body);
        let tag = mac(key, &packet)?.finalize().into_bytes();
        packet.put_slice(&tag);
        Some(packet.freeze())
    }

    /// The body of an authentic, new packet. Nothing but the fixed header is
    /// looked at before the tag has been verified.
    pub(crate) fn open<'a>(&mut self, packet: &'a [u8]) -> Result<&'a [u8], Refusal> {
        if packet.len() > MAX_PACKET_BYTES {
            return Err(Refusal::Oversized);
        }
        if packet.len() < HEADER_BYTES + TAG_BYTES || packet[..3] != MAGIC {
            return Err(Refusal::Malformed);
        }
        let (signed, tag) = packet.split_at(packet.len() - TAG_BYTES);
        let id = [signed[3], signed[4], signed[5], signed[6]];
        let authentic = self.keys.with_id(id).any(|key| verifies(key, signed, tag));
        if !authentic {
            return Err(Refusal::BadMac);
        }
        let instance = be_u64(&signed[7..15]);
        let counter = be_u64(&signed[15..23]);
        if instance == self.instance {
            return Err(Refusal::Echo);
        }
        if !self.guard.accept(instance, counter) {
            return Err(Refusal::Replayed);
        }
        Ok(&signed[HEADER_BYTES..])
    }
}

fn mac(key: &Key, data: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.bytes()).ok()?;
    mac.update(data);
    Some(mac)
}

/// In constant time (`verify_slice` compares so).
fn verifies(key: &Key, signed: &[u8], tag: &[u8]) -> bool {
    mac(key, signed).is_some_and(|mac| mac.verify_slice(tag).is_ok())
}

fn be_u64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, byte| n << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal(keys: &[u8], instance: u64) -> Seal {
        let keys = keys.iter().map(|b| Key::new([*b; 32])).collect();
        Seal::new(KeyRing::new(keys).unwrap(), instance)
    }

    #[test]
    fn a_sealed_body_comes_out_once() {
        let (mut a, mut b) = (seal(&[1], 10), seal(&[1], 20));
        let packet = a.seal(b"hello").unwrap();
        assert_eq!(b.open(&packet), Ok(&b"hello"[..]));
        assert_eq!(b.open(&packet), Err(Refusal::Replayed));
        assert_eq!(a.open(&packet), Err(Refusal::Echo));
    }

    #[test]
    fn every_changed_bit_is_noticed() {
        let (mut a, mut b) = (seal(&[1], 10), seal(&[1], 20));
        let packet = a.seal(b"hello").unwrap();
        for bit in 0..packet.len() * 8 {
            let mut forged = packet.to_vec();
            forged[bit / 8] ^= 1 << (bit % 8);
            let refused = b.open(&forged);
            assert!(
                matches!(refused, Err(Refusal::BadMac | Refusal::Malformed)),
                "bit {bit}"
            );
        }
        assert!(b.open(&packet).is_ok());
    }

    #[test]
    fn every_truncation_is_noticed() {
        let (mut a, mut b) = (seal(&[1], 10), seal(&[1], 20));
        let packet = a.seal(b"hello").unwrap();
        for length in 0..packet.len() {
            assert!(b.open(&packet[..length]).is_err(), "length {length}");
        }
    }

    #[test]
    fn the_first_key_signs_and_all_verify() {
        let (mut old, mut both) = (seal(&[1], 10), seal(&[2, 1], 20));
        let mut new = seal(&[2], 30);
        let from_old = old.seal(b"x").unwrap();
        assert!(both.open(&from_old).is_ok());
        assert_eq!(new.open(&from_old), Err(Refusal::BadMac));
        assert!(new.open(&both.seal(b"y").unwrap()).is_ok());
    }

    #[test]
    fn a_body_that_does_not_fit_is_not_sealed() {
        let (mut a, mut b) = (seal(&[1], 10), seal(&[1], 20));
        let full = a.seal(&[7; MAX_BODY_BYTES]).unwrap();
        assert_eq!(full.len(), MAX_PACKET_BYTES);
        assert!(b.open(&full).is_ok());
        assert!(a.seal(&[7; MAX_BODY_BYTES + 1]).is_none());
        assert_eq!(b.open(&[0; MAX_PACKET_BYTES + 1]), Err(Refusal::Oversized));
    }
}
