use std::borrow::Cow;

use bytes::{BufMut, Bytes, BytesMut};
use hmac::Mac;

use crate::keys::{Key, KeyRing};
use crate::replay::ReplayGuard;

/// No datagram is longer, sent or accepted: fits every common path unbroken.
pub const MAX_PACKET_BYTES: usize = 1_400;

const MAGIC: [u8; 3] = [b'K', b'G', 2];
const PLAIN: u8 = 0;
const ENCRYPTED: u8 = 1;
const HEADER_BYTES: usize = MAGIC.len() + 1 + 4 + 8 + 8;
/// HMAC-SHA-256-128, cut as in RFC 4868: a probe is small and frequent.
const TAG_BYTES: usize = 16;
const CIPHER_BYTES: usize = 16;
/// What a sealed packet may carry.
pub(crate) const MAX_BODY_BYTES: usize = MAX_PACKET_BYTES - HEADER_BYTES - CIPHER_BYTES - TAG_BYTES;

/// Wraps and unwraps datagrams:
/// magic and version (3) | plain or encrypted (1) | key id (4) |
/// sender instance (8) | counter (8) | body | tag (16). Numbers are big-endian.
///
/// The tag is HMAC-SHA256 over all before it. An encrypted body is that of
/// XChaCha20-Poly1305 with the header as associated data; its nonce is
/// instance and counter, which never come twice under one key.
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
        let mut packet = BytesMut::with_capacity(MAX_PACKET_BYTES);
        packet.put_slice(&MAGIC);
        packet.put_u8(if key.encrypts() { ENCRYPTED } else { PLAIN });
        packet.put_slice(&id);
        packet.put_u64(self.instance);
        packet.put_u64(self.counter);
        if key.encrypts() {
            let body = key.encrypt(nonce(&packet), &packet, body)?;
            packet.put_slice(&body);
        } else {
            packet.put_slice(body);
        }
        let tag = key.mac(&packet)?.finalize().into_bytes();
        packet.put_slice(&tag[..TAG_BYTES]);
        Some(packet.freeze())
    }

    /// The body of an authentic, new packet. Nothing but the fixed header is
    /// looked at before the tag has been verified.
    pub(crate) fn open<'a>(&mut self, packet: &'a [u8]) -> Result<Cow<'a, [u8]>, Refusal> {
        if packet.len() > MAX_PACKET_BYTES {
            return Err(Refusal::Oversized);
        }
        if packet.len() < HEADER_BYTES + TAG_BYTES || packet[..3] != MAGIC {
            return Err(Refusal::Malformed);
        }
        let (signed, tag) = packet.split_at(packet.len() - TAG_BYTES);
        let id = [signed[4], signed[5], signed[6], signed[7]];
        let key = self.keys.with_id(id).find(|key| verifies(key, signed, tag));
        let key = key.ok_or(Refusal::BadMac)?;
        let mode = if key.encrypts() { ENCRYPTED } else { PLAIN };
        if signed[3] != mode {
            return Err(Refusal::Malformed);
        }
        let (header, body) = signed.split_at(HEADER_BYTES);
        let body = match key.encrypts() {
            true => key.decrypt(nonce(header), header, body).map(Cow::Owned),
            false => Some(Cow::Borrowed(body)),
        };
        let body = body.ok_or(Refusal::BadMac)?;
        let (instance, counter) = (be_u64(&header[8..16]), be_u64(&header[16..24]));
        if instance == self.instance {
            return Err(Refusal::Echo);
        }
        if !self.guard.accept(instance, counter) {
            return Err(Refusal::Replayed);
        }
        Ok(body)
    }
}

/// The sender's instance of a packet that was opened.
pub(crate) fn instance_of(packet: &[u8]) -> u64 {
    packet.get(8..16).map_or(0, be_u64)
}

/// Instance and counter of the header, then zeros.
fn nonce(header: &[u8]) -> [u8; 24] {
    let mut nonce = [0; 24];
    nonce[..16].copy_from_slice(&header[8..24]);
    nonce
}

/// In constant time (`verify_truncated_left` compares so).
fn verifies(key: &Key, signed: &[u8], tag: &[u8]) -> bool {
    key.mac(signed)
        .is_some_and(|mac| mac.verify_truncated_left(tag).is_ok())
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
        assert_eq!(b.open(&packet).as_deref(), Ok(&b"hello"[..]));
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
        assert_eq!(full.len(), MAX_PACKET_BYTES - CIPHER_BYTES);
        assert!(b.open(&full).is_ok());
        assert!(a.seal(&[7; MAX_BODY_BYTES + 1]).is_none());
        assert_eq!(b.open(&[0; MAX_PACKET_BYTES + 1]), Err(Refusal::Oversized));
    }

    fn encrypting(byte: u8, instance: u64) -> Seal {
        let ring = KeyRing::new(vec![Key::encrypting([byte; 32])]).unwrap();
        Seal::new(ring, instance)
    }

    #[test]
    fn an_encrypted_body_comes_out_and_is_not_to_be_read_on_the_way() {
        let (mut a, mut b) = (encrypting(1, 10), encrypting(1, 20));
        let text = b"manager-1.example.org:7000";
        let (one, two) = (a.seal(text).unwrap(), a.seal(text).unwrap());
        assert!(!one.windows(7).any(|part| part == b"manager"));
        assert_ne!(one[HEADER_BYTES..], two[HEADER_BYTES..]);
        assert_eq!(b.open(&one).as_deref(), Ok(&text[..]));
        assert_eq!(b.open(&one), Err(Refusal::Replayed));
        let full = a.seal(&[7; MAX_BODY_BYTES]).unwrap();
        assert_eq!(full.len(), MAX_PACKET_BYTES);
        assert!(b.open(&full).is_ok());
    }

    #[test]
    fn a_key_that_encrypts_takes_nothing_in_the_clear_and_the_other_way_round() {
        let (mut plain, mut secret) = (seal(&[1], 10), encrypting(1, 20));
        let clear = plain.seal(b"hello").unwrap();
        assert_eq!(secret.open(&clear), Err(Refusal::Malformed));
        let hidden = secret.seal(b"hello").unwrap();
        assert_eq!(plain.open(&hidden), Err(Refusal::Malformed));
    }
}
