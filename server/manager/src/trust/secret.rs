use std::{
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use hkdf::Hkdf;
use krakend_domain::SecretId;
use sha2::Sha256;
use zeroize::Zeroizing;

/// The 32 random bytes that managers of one group share. Everything that they trust derives from it by
/// HKDF-SHA256 (RFC 5869) with a label of its own.
#[derive(Clone)]
pub struct GroupSecret(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for GroupSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GroupSecret(hidden)")
    }
}

/// A group secret that cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error(
        "the group secret {path} is missing: make one with `(umask 077; openssl rand -hex 32 > {path})` and copy the same file to every manager of the group"
    )]
    Missing { path: PathBuf },
    #[error("the group secret {path} cannot be read: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(
        "the group secret {path} may be read by others (mode {mode:o}): run `chmod 600 {path}`"
    )]
    TooOpen { path: PathBuf, mode: u32 },
    #[error(
        "the group secret in {place} is not 64 hexadecimal digits (32 bytes): make one with `openssl rand -hex 32`"
    )]
    Malformed { place: String },
    #[error(
        "{place} holds more than {MAX_SECRETS} group secrets: remove those that are no longer used"
    )]
    TooMany { place: String },
}

/// Secrets that are held at a time: one in use, one to come, one to go, and one too many.
pub const MAX_SECRETS: usize = 4;

impl GroupSecret {
    /// The first secret of a file: see [`Self::read_all`].
    pub fn read(path: &Path) -> Result<Self, SecretError> {
        let mut secrets = Self::read_all(path)?;
        Ok(secrets.swap_remove(0))
    }

    /// Reads secrets, one on each line, the newest first, from a file that only its owner can read.
    pub fn read_all(path: &Path) -> Result<Vec<Self>, SecretError> {
        let unreadable = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::NotFound => SecretError::Missing { path: path.into() },
            _ => SecretError::Unreadable {
                path: path.into(),
                source,
            },
        };
        let mode = fs::metadata(path).map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(SecretError::TooOpen {
                path: path.into(),
                mode,
            });
        }
        let text = Zeroizing::new(fs::read_to_string(path).map_err(unreadable)?);
        Self::parse_all(&text, &path.display().to_string())
    }

    /// Parses secrets that stand one after the other, the newest first; empty lines and `#` comments do not count.
    /// There is at least one on return, and none is there twice.
    pub fn parse_all(text: &str, place: &str) -> Result<Vec<Self>, SecretError> {
        let lines = text.lines().map(|line| line.split('#').next());
        let words = lines
            .flatten()
            .flat_map(|line| line.split([' ', '\t', ',', '\r']));
        let mut secrets: Vec<Self> = Vec::new();
        for word in words.filter(|word| !word.is_empty()) {
            let secret = Self::parse(word, place)?;
            if !secrets.iter().any(|it| it.0 == secret.0) {
                secrets.push(secret);
            }
        }
        let place = place.to_owned();
        match secrets.len() {
            0 => Err(SecretError::Malformed { place }),
            1..=MAX_SECRETS => Ok(secrets),
            _ => Err(SecretError::TooMany { place }),
        }
    }

    /// Parses 64 hexadecimal digits; `place` names where they stood.
    pub fn parse(text: &str, place: &str) -> Result<Self, SecretError> {
        let malformed = || SecretError::Malformed {
            place: place.into(),
        };
        let digest: krakend_domain::Digest = text.trim().parse().map_err(|_| malformed())?;
        Ok(Self(Zeroizing::new(digest.0)))
    }

    /// Makes a secret and writes it, readable by its owner only.
    pub fn create(path: &Path) -> Result<Self, SecretError> {
        let secret = Self(Zeroizing::new(rand::random()));
        Self::keep(std::slice::from_ref(&secret), path)?;
        Ok(secret)
    }

    /// From another manager.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = <[u8; 32]>::try_from(bytes).ok()?;
        Some(Self(Zeroizing::new(bytes)))
    }

    /// Writes secrets, the newest first, readable by their owner only.
    pub fn keep(secrets: &[Self], path: &Path) -> Result<(), SecretError> {
        let mut text = Zeroizing::new(String::new());
        for secret in secrets {
            text.push_str(&krakend_domain::Digest(*secret.0).to_string());
            text.push('\n');
        }
        let write = || -> std::io::Result<()> {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|source| SecretError::Unreadable {
            path: path.into(),
            source,
        })
    }

    /// The name by which the secret is spoken of. It tells nothing of it.
    pub fn id(&self) -> SecretId {
        let mut id = [0; 8];
        id.copy_from_slice(&self.derive("secret-id", b"")[..8]);
        SecretId(id)
    }

    /// The secret itself, for a manager that joins.
    pub fn reveal(&self) -> Zeroizing<[u8; 32]> {
        self.0.clone()
    }

    /// 32 bytes for one use.
    pub fn derive(&self, label: &str, context: &[u8]) -> Zeroizing<[u8; 32]> {
        let hkdf = Hkdf::<Sha256>::new(Some(b"krakend-cluster-manager"), self.0.as_ref());
        let mut out = Zeroizing::new([0; 32]);
        // 32 bytes are within HKDF's limit of 255 blocks, so this cannot fail.
        let _ = hkdf.expand_multi_info(&[label.as_bytes(), b"\0", context], out.as_mut());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_secret_or_several_the_newest_first() {
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let ids = |text: &str| -> Vec<SecretId> {
            let secrets = GroupSecret::parse_all(text, "the test").expect("secrets");
            secrets.iter().map(GroupSecret::id).collect()
        };
        let one = ids(&format!("{a}\n"));
        assert_eq!(one.len(), 1);
        let both = ids(&format!("# new\n{b}  # of May\n\n{a}\r\n{b}\n"));
        assert_eq!(both.len(), 2, "none counts twice");
        assert_eq!(both[1], one[0]);
        assert_eq!(ids(&format!("{b},{a}")), both, "as in the environment");
    }

    #[test]
    fn what_is_no_list_of_secrets_is_refused_without_its_text() {
        let refused = |text: &str| {
            let error = GroupSecret::parse_all(text, "the file").err();
            error.expect("refused").to_string()
        };
        assert!(refused("").contains("64 hexadecimal digits"));
        let half = refused(&format!("{}\nabcdef\n", "a".repeat(64)));
        assert!(
            half.contains("the file") && !half.contains("abcdef"),
            "{half}"
        );
        let many: String = (0..5).map(|n| format!("{n:064x}\n")).collect();
        assert!(refused(&many).contains("more than 4"));
    }

    #[test]
    fn a_name_is_always_the_same_and_no_part_of_the_secret() {
        let secret = GroupSecret::parse(&"a".repeat(64), "the test").expect("a secret");
        assert_eq!(secret.id(), secret.clone().id());
        assert_ne!(secret.id().0, [0xaa; 8]);
    }
}
