//! Which of the group's secrets is in use, and how far a change of it is. State knows secrets by name only.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{DigestError, ManagerId, Millis};

/// Name of a group secret: 8 bytes that derive from it and tell nothing of it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretId(pub [u8; 8]);

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretId({self})")
    }
}

impl FromStr for SecretId {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // Eight bytes are the beginning of a digest with nothing behind it.
        let digest: crate::Digest = format!("{text}{}", "0".repeat(48)).parse()?;
        let mut id = [0; 8];
        id.copy_from_slice(&digest.0[..8]);
        Ok(Self(id))
    }
}

/// Which secret the group uses: it signs, seals and certifies. The others that managers hold are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// `None` before the group has said: then it is the oldest that a manager holds.
    pub in_use: Option<SecretId>,
    pub since_ms: Millis,
    pub by: String,
    /// Used before, the last one first. No newer authority may ever vouch for one of these.
    pub former: Vec<SecretId>,
}

impl SecretRecord {
    const MAX_FORMER: usize = 8;

    /// The record after a change to `id`.
    pub(crate) fn next(&self, id: SecretId, since_ms: Millis, by: &str) -> Self {
        let used = self.in_use.iter().chain(&self.former);
        let former = used.copied().filter(|it| *it != id);
        Self {
            in_use: Some(id),
            since_ms,
            by: by.into(),
            former: former.take(Self::MAX_FORMER).collect(),
        }
    }
}

/// The certificate that a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeCertificate {
    /// The secret whose authority signed it.
    pub secret: SecretId,
    pub not_after_ms: Millis,
}

/// What a manager is known to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretHolder {
    pub id: ManagerId,
    pub name: String,
    pub voter: bool,
    /// Newest first; `None` while it has not said.
    pub holds: Option<Vec<SecretId>>,
}

impl SecretHolder {
    fn lacks(&self, id: SecretId) -> bool {
        self.holds.as_ref().is_none_or(|held| !held.contains(&id))
    }
}

/// Voters that are not known to hold a secret. While there is one, the group must not begin to use it.
pub fn voters_without(id: SecretId, managers: &[SecretHolder]) -> Vec<&SecretHolder> {
    let voters = managers.iter().filter(|manager| manager.voter);
    voters.filter(|manager| manager.lacks(id)).collect()
}

/// Who still needs a secret that is not in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dependents {
    /// Nodes with a certificate of its authority, or with one that nobody knows.
    pub nodes: usize,
    /// Join tokens that pin its authority and can be used.
    pub join_tokens: usize,
    /// Gossip keys of the ring that derive from it.
    pub gossip_keys: usize,
}

/// What an operator does next about the group's secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretStep {
    /// Everybody holds one secret, and it is in use.
    Nothing,
    /// Put the new one into the files of these managers, too.
    Add { id: SecretId, to: Vec<String> },
    /// Everybody holds it: begin to use it.
    Rotate { id: SecretId },
    /// The old one is still needed.
    Wait { id: SecretId, by: Dependents },
    /// Nobody needs the old one: take it out of the files of these managers.
    Remove { id: SecretId, from: Vec<String> },
}

/// The next step of a rotation. `newest` is the first in the answering manager's file; `dependents` counts who needs
/// a secret.
pub fn next_secret_step(
    in_use: SecretId,
    newest: SecretId,
    managers: &[SecretHolder],
    dependents: impl Fn(SecretId) -> Dependents,
) -> SecretStep {
    if newest != in_use {
        let lacking = voters_without(newest, managers);
        return match lacking.is_empty() {
            true => SecretStep::Rotate { id: newest },
            false => SecretStep::Add {
                id: newest,
                to: lacking.iter().map(|it| it.name.clone()).collect(),
            },
        };
    }
    let lacking: Vec<_> = managers.iter().filter(|it| it.lacks(in_use)).collect();
    if !lacking.is_empty() {
        return SecretStep::Add {
            id: in_use,
            to: lacking.iter().map(|it| it.name.clone()).collect(),
        };
    }
    let held = managers.iter().flat_map(|it| it.holds.iter().flatten());
    let Some(old) = held.copied().find(|id| *id != in_use) else {
        return SecretStep::Nothing;
    };
    let by = dependents(old);
    if by != Dependents::default() {
        return SecretStep::Wait { id: old, by };
    }
    let holds = |it: &&SecretHolder| it.holds.as_ref().is_some_and(|held| held.contains(&old));
    SecretStep::Remove {
        id: old,
        from: managers
            .iter()
            .filter(holds)
            .map(|it| it.name.clone())
            .collect(),
    }
}

/// A certificate's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateLife {
    pub life_ms: Millis,
}

impl CertificateLife {
    /// 30 days.
    pub const DEFAULT_MS: Millis = 30 * 86_400_000;

    /// After the end a node may still exchange its certificate for a new one, and do nothing else with it: a machine
    /// that was off comes back by itself.
    pub const GRACE_MS: Millis = 90 * 86_400_000;

    /// Whether a third of its life or less is left: time for the next.
    pub fn is_due(&self, not_after_ms: Millis, now: Millis) -> bool {
        now.saturating_add(self.life_ms / 3) >= not_after_ms
    }

    /// Whether something has kept it from being renewed: half of the last third is over.
    pub fn is_late(&self, not_after_ms: Millis, now: Millis) -> bool {
        now.saturating_add(self.life_ms / 6) >= not_after_ms
    }

    /// Whether a certificate that ran out may still be exchanged.
    pub fn may_renew(not_after_ms: Millis, now: Millis) -> bool {
        now < not_after_ms.saturating_add(Self::GRACE_MS)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    const OLD: SecretId = SecretId([1; 8]);
    const NEW: SecretId = SecretId([2; 8]);

    fn manager(number: u128, holds: Option<&[SecretId]>) -> SecretHolder {
        SecretHolder {
            id: Uuid::from_u128(number),
            name: format!("manager-{number}"),
            voter: true,
            holds: holds.map(<[_]>::to_vec),
        }
    }

    fn step(in_use: SecretId, newest: SecretId, holds: &[Option<&[SecretId]>]) -> SecretStep {
        needed(in_use, newest, holds, Dependents::default())
    }

    fn needed(
        in_use: SecretId,
        newest: SecretId,
        holds: &[Option<&[SecretId]>],
        by: Dependents,
    ) -> SecretStep {
        let managers: Vec<_> = (1u128..)
            .zip(holds)
            .map(|(n, it)| manager(n, *it))
            .collect();
        next_secret_step(in_use, newest, &managers, |_| by)
    }

    #[test]
    fn a_rotation_goes_from_step_to_step() {
        let (old, both): (&[_], &[_]) = (&[OLD], &[NEW, OLD]);
        let only_new: &[_] = &[NEW];
        assert_eq!(step(OLD, OLD, &[Some(old); 2]), SecretStep::Nothing);
        let add = |id, to: &[&str]| SecretStep::Add {
            id,
            to: to.iter().map(|it| (*it).into()).collect(),
        };
        let half = [Some(both), Some(old)];
        assert_eq!(step(OLD, NEW, &half), add(NEW, &["manager-2"]));
        let silent = [Some(both), None];
        assert_eq!(
            step(OLD, NEW, &silent),
            add(NEW, &["manager-2"]),
            "not known"
        );
        assert_eq!(
            step(OLD, NEW, &[Some(both); 2]),
            SecretStep::Rotate { id: NEW }
        );
        let by = Dependents {
            nodes: 1,
            join_tokens: 0,
            gossip_keys: 0,
        };
        let wait = SecretStep::Wait { id: OLD, by };
        assert_eq!(needed(NEW, NEW, &[Some(both); 2], by), wait);
        let remove = SecretStep::Remove {
            id: OLD,
            from: vec!["manager-2".into()],
        };
        assert_eq!(step(NEW, NEW, &[Some(only_new), Some(both)]), remove);
        assert_eq!(step(NEW, NEW, &[Some(only_new); 2]), SecretStep::Nothing);
    }

    #[test]
    fn who_came_back_without_the_secret_in_use_is_named_before_the_old_one_goes() {
        let (old, both): (&[_], &[_]) = (&[OLD], &[NEW, OLD]);
        let step = step(NEW, NEW, &[Some(both), Some(old)]);
        let to = vec!["manager-2".into()];
        assert_eq!(step, SecretStep::Add { id: NEW, to });
    }

    #[test]
    fn a_learner_does_not_hold_a_rotation_up_and_a_silent_voter_does() {
        let both: &[_] = &[NEW, OLD];
        let mut managers = vec![manager(1, Some(both)), manager(2, None)];
        assert_eq!(voters_without(NEW, &managers).len(), 1);
        managers[1].voter = false;
        assert!(voters_without(NEW, &managers).is_empty());
    }

    #[test]
    fn a_certificate_is_renewed_in_its_last_third_and_for_a_while_after_its_end() {
        let life = CertificateLife { life_ms: 30 };
        assert!(!life.is_due(100, 89) && life.is_due(100, 90) && life.is_due(100, 300));
        assert!(!life.is_late(100, 94) && life.is_late(100, 95));
        let end = 1_000 + CertificateLife::GRACE_MS;
        assert!(CertificateLife::may_renew(1_000, end - 1));
        assert!(!CertificateLife::may_renew(1_000, end));
    }

    #[test]
    fn a_name_is_read_as_it_is_written() {
        let id = SecretId([0, 1, 2, 3, 250, 251, 252, 253]);
        assert_eq!(id.to_string(), "00010203fafbfcfd");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert!("00010203".parse::<SecretId>().is_err());
    }
}
