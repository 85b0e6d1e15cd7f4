//! The gossip keys: names and salts from the state, the keys themselves from the group secrets.

use krakend_domain::Keyring;
use krakend_gossip::{Key, KeyRing};
use zeroize::Zeroizing;

use super::Ring;

/// A gossip key as nodes get it.
pub struct GossipKey {
    pub bytes: Zeroizing<[u8; 32]>,
    pub encrypts: bool,
}

/// All keys that are accepted, the one in use first. Never empty: where no installed key can be derived, because its
/// group secret is gone, the initial ones are better than silence.
pub fn gossip_keys(ring: &Ring, keyring: &Keyring) -> Vec<GossipKey> {
    let installed = keyring.keys.iter().filter_map(|record| {
        let held = ring.all().find(|held| held.id == record.secret)?;
        let key = GossipKey {
            bytes: held.installed_gossip_key(&record.salt),
            encrypts: record.encrypts,
        };
        Some((Some(record.id), key))
    });
    let initial = ring.all().map(|held| {
        let key = GossipKey {
            bytes: held.gossip_key(),
            encrypts: false,
        };
        (None, key)
    });
    let mut keys: Vec<_> = installed.collect();
    if !keyring.initial_removed || keys.is_empty() {
        keys.extend(initial);
    }
    // Stable, so the initial keys stay in the order of their secrets.
    keys.sort_by_key(|(id, _)| *id != keyring.in_use);
    keys.truncate(KeyRing::MAX_KEYS);
    keys.into_iter().map(|(_, key)| key).collect()
}

/// The same for our own gossip.
pub fn gossip_ring(ring: &Ring, keyring: &Keyring) -> anyhow::Result<KeyRing> {
    let keys = gossip_keys(ring, keyring);
    let keys = keys.iter().map(|key| match key.encrypts {
        true => Key::encrypting(*key.bytes),
        false => Key::new(*key.bytes),
    });
    Ok(KeyRing::new(keys.collect())?)
}

#[cfg(test)]
mod tests {
    use krakend_domain::{GossipKeyId, GossipKeyRecord, SecretRecord};

    use super::*;
    use crate::trust::GroupSecret;

    fn ring() -> Ring {
        let secret = GroupSecret::parse(&"a".repeat(64), "the test").expect("a secret");
        Ring::new(vec![secret], &SecretRecord::default()).expect("a ring")
    }

    fn installed(ring: &Ring, byte: u8) -> GossipKeyRecord {
        GossipKeyRecord {
            id: GossipKeyId([byte; 8]),
            secret: ring.in_use().id,
            salt: [byte; 32],
            encrypts: byte == 2,
            installed_ms: 1,
            by: "admin".into(),
            revision: 1,
        }
    }

    #[test]
    fn the_key_in_use_is_the_first_and_salts_make_different_keys() {
        let ring = ring();
        let mut state = Keyring::default();
        let initial = *gossip_keys(&ring, &state)[0].bytes;
        assert_eq!(initial, *ring.in_use().gossip_key(), "as before any ring");
        state.keys = vec![installed(&ring, 1), installed(&ring, 2)];
        let keys = gossip_keys(&ring, &state);
        assert_eq!((keys.len(), *keys[0].bytes), (3, initial));
        state.in_use = Some(GossipKeyId([2; 8]));
        let keys = gossip_keys(&ring, &state);
        assert!(keys[0].encrypts && *keys[0].bytes != *keys[1].bytes);
        assert_eq!(*keys[2].bytes, initial);
        state.initial_removed = true;
        assert_eq!(gossip_keys(&ring, &state).len(), 2);
    }

    #[test]
    fn where_no_key_can_be_derived_the_initial_one_stays() {
        let ring = ring();
        let lost = GossipKeyRecord {
            secret: krakend_domain::SecretId([9; 8]),
            ..installed(&ring, 1)
        };
        let state = Keyring {
            in_use: Some(lost.id),
            keys: vec![lost],
            initial_removed: true,
            ..Keyring::default()
        };
        let keys = gossip_keys(&ring, &state);
        assert_eq!(*keys[0].bytes, *ring.in_use().gossip_key());
    }
}
