use std::sync::Arc;

use krakend_domain::{SecretId, SecretRecord};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::{Authority, GroupSecret, JoinToken, LeaseSigner};

/// One group secret and what derives from it.
pub struct Held {
    pub id: SecretId,
    pub secret: GroupSecret,
    pub authority: Authority,
    pub lease_signer: LeaseSigner,
}

impl Held {
    fn new(secret: GroupSecret) -> Result<Self, rcgen::Error> {
        Ok(Self {
            id: secret.id(),
            authority: Authority::derive(&secret)?,
            lease_signer: LeaseSigner::derive(&secret),
            secret,
        })
    }

    pub fn gossip_key(&self) -> Zeroizing<[u8; 32]> {
        self.secret.derive("gossip-key", b"")
    }

    /// A key of the ring in the state, by its salt.
    pub fn installed_gossip_key(&self, salt: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        self.secret.derive("gossip-ring-key", salt)
    }

    /// An API token's text. It derives from secret and id, so that whoever repeats the request that made it gets it
    /// again, from any manager, and it lies nowhere. Whoever has the secret owns the group anyway.
    pub fn token_text(&self, id: Uuid) -> String {
        let bytes = self.secret.derive("api-token", id.as_bytes());
        format!("kcm_{}", krakend_domain::Digest(*bytes))
    }

    /// The text of the first admin token. It derives from secret and group, so that every manager of the group can
    /// write it into its data directory without sending it anywhere.
    pub fn first_token_text(&self, group_id: Uuid) -> String {
        let bytes = self.secret.derive("admin-token", group_id.as_bytes());
        format!("kcm_{}", krakend_domain::Digest(*bytes))
    }

    pub fn join_token(&self, id: Uuid) -> JoinToken {
        JoinToken::of(self, id)
    }
}

/// The secrets that this manager holds. One is in use: it signs, seals and certifies. All are accepted.
pub struct Ring {
    /// As in the file: the newest first. Never empty.
    held: Vec<Arc<Held>>,
    in_use: usize,
    certifier: usize,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ring({:?})", self.ids())
    }
}

impl Ring {
    /// Takes the secrets, newest first, and what the group says is in use.
    pub fn new(secrets: Vec<GroupSecret>, record: &SecretRecord) -> Result<Self, rcgen::Error> {
        let held = secrets.into_iter().map(|it| Held::new(it).map(Arc::new));
        let held = held.collect::<Result<Vec<_>, _>>()?;
        if held.is_empty() {
            return Err(rcgen::Error::KeyGenerationUnavailable);
        }
        Ok(Self::of(held, record))
    }

    /// Without the group's word, or where that one is missing, the oldest is used: the others are known to hold it.
    fn of(held: Vec<Arc<Held>>, record: &SecretRecord) -> Self {
        let found = held.iter().position(|it| Some(it.id) == record.in_use);
        let in_use = found.unwrap_or(held.len().saturating_sub(1));
        let used = held[in_use].id;
        let to_come = held
            .iter()
            .position(|it| it.id != used && !record.former.contains(&it.id));
        Self {
            certifier: to_come.unwrap_or(in_use),
            held,
            in_use,
        }
    }

    /// The same secrets as the state sees them.
    pub fn seen_by(&self, record: &SecretRecord) -> Self {
        Self::of(self.held.clone(), record)
    }

    /// What certifies managers: the secret that is to come where there is one, else the one in use. The others vouch for
    /// its authority, so that a manager which does not hold it yet believes it; it never is the other way about, or
    /// whoever has a secret that was removed could still make certificates that the newer authority vouches for.
    pub fn certifier(&self) -> &Held {
        &self.held[self.certifier]
    }

    /// All but the certifier.
    pub fn vouching(&self) -> impl Iterator<Item = &Held> {
        let others = self.held.iter().enumerate();
        let others = others.filter(|(at, _)| *at != self.certifier);
        others.map(|(_, it)| it.as_ref())
    }

    /// What signs, seals and certifies.
    pub fn in_use(&self) -> &Held {
        &self.held[self.in_use]
    }

    /// All, the one in use first.
    pub fn all(&self) -> impl Iterator<Item = &Held> {
        let others = self.held.iter().enumerate();
        let others = others.filter(|(at, _)| *at != self.in_use);
        std::iter::once(self.in_use()).chain(others.map(|(_, it)| it.as_ref()))
    }

    /// What `rotate` would go to.
    pub fn newest(&self) -> SecretId {
        self.held[0].id
    }

    pub fn holds(&self, id: SecretId) -> bool {
        self.held.iter().any(|it| it.id == id)
    }

    /// Names as in the file, newest first.
    pub fn ids(&self) -> Vec<SecretId> {
        self.held.iter().map(|it| it.id).collect()
    }

    /// The secrets themselves, newest first.
    pub fn secrets(&self) -> Vec<GroupSecret> {
        self.held.iter().map(|it| it.secret.clone()).collect()
    }

    /// The authorities that are trusted, in PEM.
    pub fn roots_pem(&self) -> String {
        self.all()
            .map(|it| it.authority.certificate_pem())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(digit: &str) -> GroupSecret {
        GroupSecret::parse(&digit.repeat(64), "the test").expect("a secret")
    }

    fn record(in_use: &GroupSecret, former: &[&GroupSecret]) -> SecretRecord {
        SecretRecord {
            in_use: Some(in_use.id()),
            former: former.iter().map(|it| it.id()).collect(),
            ..SecretRecord::default()
        }
    }

    #[test]
    fn without_the_groups_word_the_oldest_is_used_and_with_it_the_named_one() {
        let (old, new) = (secret("a"), secret("b"));
        let unsaid = SecretRecord::default();
        let ring = Ring::new(vec![new.clone(), old.clone()], &unsaid).expect("a ring");
        assert_eq!(ring.in_use().id, old.id());
        assert_eq!(ring.newest(), new.id());
        let ring = ring.seen_by(&record(&new, &[&old]));
        assert_eq!(ring.in_use().id, new.id());
        let order: Vec<_> = ring.all().map(|it| it.id).collect();
        assert_eq!(order, [new.id(), old.id()]);
        let ring = ring.seen_by(&record(&secret("c"), &[]));
        assert_eq!(ring.in_use().id, old.id(), "it lacks the one in use");
    }

    #[test]
    fn managers_are_certified_by_the_secret_to_come_and_never_by_a_former_one() {
        let (old, new) = (secret("a"), secret("b"));
        let certifier = |order: &[&GroupSecret], record: &SecretRecord| {
            let secrets = order.iter().map(|it| (*it).clone()).collect();
            Ring::new(secrets, record).expect("a ring").certifier().id
        };
        let (before, after) = (record(&old, &[]), record(&new, &[&old]));
        // Also where somebody wrote the new one below the old one.
        for order in [[&new, &old], [&old, &new]] {
            assert_eq!(certifier(&order, &before), new.id());
            assert_eq!(certifier(&order, &after), new.id());
        }
        assert_eq!(certifier(&[&old], &before), old.id());
    }
}
