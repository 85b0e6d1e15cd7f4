use std::{
    fs,
    io::Write,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use hkdf::Hkdf;
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
}

impl GroupSecret {
    /// Reads 64 hexadecimal digits from a file that only its owner can read.
    pub fn read(path: &Path) -> Result<Self, SecretError> {
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
        Self::parse(&text, &path.display().to_string())
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
        Self::keep(Zeroizing::new(rand::random()), path)
    }

    /// Writes a secret that another manager handed over, readable by its owner only.
    pub fn keep(bytes: Zeroizing<[u8; 32]>, path: &Path) -> Result<Self, SecretError> {
        let secret = Self(bytes);
        let text = Zeroizing::new(format!("{}\n", krakend_domain::Digest(*secret.0)));
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
        })?;
        Ok(secret)
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
