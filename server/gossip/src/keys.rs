use std::fmt;

use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::GossipError;

/// One gossip key: 32 secret bytes, and whether packets under it are encrypted
/// beside being authenticated. Never printed, wiped when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Key {
    bytes: [u8; 32],
    encrypts: bool,
}

impl Key {
    /// A key that authenticates.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self {
            bytes,
            encrypts: false,
        }
    }

    /// A key that encrypts, too. No packet in the clear is taken under it.
    pub const fn encrypting(bytes: [u8; 32]) -> Self {
        Self {
            bytes,
            encrypts: true,
        }
    }

    /// Whether packets under this key are encrypted.
    pub fn encrypts(&self) -> bool {
        self.encrypts
    }

    /// Public name of the key on the wire: says which key, not what key.
    pub fn wire_id(&self) -> [u8; 4] {
        let digest = Sha256::new()
            .chain_update(b"krakend gossip key id")
            .chain_update(self.bytes)
            .finalize();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    pub(crate) fn mac(&self, data: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.bytes).ok()?;
        mac.update(data);
        Some(mac)
    }

    /// The key of the cipher derives from the key of the MAC, so that neither
    /// serves two algorithms.
    fn cipher(&self) -> Option<XChaCha20Poly1305> {
        let derived = self.mac(b"krakend gossip encryption")?.finalize();
        XChaCha20Poly1305::new_from_slice(derived.as_bytes()).ok()
    }

    pub(crate) fn encrypt(&self, nonce: [u8; 24], header: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg, aad: header };
        self.cipher()?.encrypt(&XNonce::from(nonce), payload).ok()
    }

    pub(crate) fn decrypt(&self, nonce: [u8; 24], header: &[u8], msg: &[u8]) -> Option<Vec<u8>> {
        let payload = Payload { msg, aad: header };
        self.cipher()?.decrypt(&XNonce::from(nonce), payload).ok()
    }
}

impl From<[u8; 32]> for Key {
    fn from(bytes: [u8; 32]) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(hidden)")
    }
}

/// The keys of the pool: the first signs, all verify.
///
/// Rotation without a gap: add the new key at the end everywhere, then move it
/// to the front everywhere, then drop the old one.
#[derive(Clone)]
pub struct KeyRing {
    keys: Vec<([u8; 4], Key)>,
}

impl KeyRing {
    /// A ring holds at most this many keys.
    pub const MAX_KEYS: usize = 8;

    /// Builds a ring; refuses an empty one and one with more than eight keys.
    pub fn new(keys: Vec<Key>) -> Result<Self, GossipError> {
        if keys.is_empty() || keys.len() > Self::MAX_KEYS {
            return Err(GossipError::KeyCount(keys.len()));
        }
        let keys = keys.into_iter().map(|key| (key.wire_id(), key)).collect();
        Ok(Self { keys })
    }

    pub(crate) fn signing(&self) -> ([u8; 4], &Key) {
        let (id, key) = &self.keys[0];
        (*id, key)
    }

    pub(crate) fn with_id(&self, id: [u8; 4]) -> impl Iterator<Item = &Key> {
        self.keys
            .iter()
            .filter(move |(known, _)| *known == id)
            .map(|(_, key)| key)
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys, hidden)", self.keys.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_a_ring_shows_no_secret() {
        let ring = KeyRing::new(vec![Key::new([171; 32])]).unwrap();
        let key = Key::new([171; 32]);
        let printed = format!("{ring:?} {key:?}");
        assert!(!printed.contains("171") && !printed.to_lowercase().contains("ab, ab"));
    }

    #[test]
    fn a_ring_without_keys_is_refused() {
        assert!(matches!(
            KeyRing::new(vec![]),
            Err(GossipError::KeyCount(0))
        ));
    }
}
