//! Keys that licences are issued and verified with, and their files.

use std::{
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::trust::GroupSecret;

/// Keys in one file: the one in use, and others while an issuer changes its key.
const MAX_KEYS: usize = 8;
/// RFC 7518 asks for a key of at least the hash's length.
const MIN_HS256_BYTES: usize = 32;

/// What a licence is verified with.
#[derive(Clone)]
pub enum LicenseKey {
    /// For those who issue to themselves: whoever verifies can forge.
    Hs256(Zeroizing<Vec<u8>>),
    /// For vendors.
    EdDsa(VerifyingKey),
}

/// What a licence is issued with.
pub enum IssuerKey {
    Hs256(Zeroizing<Vec<u8>>),
    EdDsa(SigningKey),
}

/// How a licence is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Algorithm {
    /// Ed25519: managers hold the public key only
    Eddsa,
    /// HMAC-SHA256: whoever verifies can issue
    Hs256,
}

/// A key file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{path} cannot be written: {source}")]
    Unwritable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("{0}")]
    Malformed(String),
}

const FORMS: &str = "write `ed25519:` and the 64 digits of the issuer's public key, or `hs256:` and at least 64 hexadecimal digits";

impl LicenseKey {
    /// The key that holds when none is configured: it derives from the group secret.
    pub fn of_group(secret: &GroupSecret) -> Self {
        Self::Hs256(Zeroizing::new(secret.derive("license-hs256", b"").to_vec()))
    }

    /// Reads one key for each line: `hs256:<hex>`, or `ed25519:<hex of the public key>`. Lines with `#` are remarks.
    pub fn read_all(path: &Path) -> Result<Vec<Self>, KeyError> {
        let text = read(path)?;
        let named = |error: String| KeyError::Malformed(format!("{}: {error}", path.display()));
        Self::parse_all(&text).map_err(named)
    }

    /// The same from a text.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let keys = lines(text)
            .map(Self::parse)
            .collect::<Result<Vec<_>, _>>()?;
        match keys.len() {
            0 => Err(format!("it holds no key: {FORMS}")),
            1..=MAX_KEYS => Ok(keys),
            _ => Err(format!("it holds more than {MAX_KEYS} keys")),
        }
    }

    fn parse(line: &str) -> Result<Self, String> {
        let (kind, bytes) = split(line)?;
        match kind {
            "hs256" if bytes.len() >= MIN_HS256_BYTES => Ok(Self::Hs256(bytes)),
            "ed25519" => {
                let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| FORMS)?;
                let key = VerifyingKey::from_bytes(bytes);
                let key = key.map_err(|_| "this is no Ed25519 public key".to_owned())?;
                match key.is_weak() {
                    true => Err("this Ed25519 public key verifies everything".into()),
                    false => Ok(Self::EdDsa(key)),
                }
            }
            "ed25519-private" => Err(
                "this is the issuer's private key, which belongs on no manager: give managers the line that begins with `ed25519:`".into(),
            ),
            _ => Err(FORMS.into()),
        }
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    /// Whether `signature` is this key's over `signed`, compared in constant time.
    pub fn verifies(&self, signed: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hs256(key) => mac(key, signed).verify_slice(signature).is_ok(),
            Self::EdDsa(key) => Signature::from_slice(signature)
                .and_then(|signature| key.verify_strict(signed, &signature))
                .is_ok(),
        }
    }
}

impl IssuerKey {
    /// What the managers of a group verify with when no key is configured.
    pub fn of_group(secret: &GroupSecret) -> Self {
        Self::Hs256(Zeroizing::new(secret.derive("license-hs256", b"").to_vec()))
    }

    /// Reads `hs256:<hex>` or `ed25519-private:<hex of the seed>`, the first key of a file.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = read(path)?;
        let named = |error: String| KeyError::Malformed(format!("{}: {error}", path.display()));
        let help = "an issuer's key file says `ed25519-private:` or `hs256:` and hexadecimal digits: make one with `license new-key`";
        let line = lines(&text).next().ok_or_else(|| named(help.into()))?;
        let (kind, bytes) = split(line).map_err(named)?;
        match kind {
            "hs256" if bytes.len() >= MIN_HS256_BYTES => Ok(Self::Hs256(bytes)),
            "ed25519-private" => {
                let seed: &[u8; 32] = bytes
                    .as_slice()
                    .try_into()
                    .map_err(|_| named(help.into()))?;
                Ok(Self::EdDsa(SigningKey::from_bytes(seed)))
            }
            "ed25519" => Err(named(
                "a public key only verifies: issue with the file that says `ed25519-private:`"
                    .into(),
            )),
            _ => Err(named(help.into())),
        }
    }

    /// A new key in a file of mode 0600 that must not exist. The line that managers verify with.
    pub fn create(path: &Path, algorithm: Algorithm) -> Result<(Self, String), KeyError> {
        let seed = Zeroizing::new(rand::random::<[u8; 32]>());
        let (key, kind, verify) = match algorithm {
            Algorithm::Hs256 => {
                let line = format!("hs256:{}", hex(seed.as_slice()));
                (Self::Hs256(Zeroizing::new(seed.to_vec())), "hs256", line)
            }
            Algorithm::Eddsa => {
                let key = SigningKey::from_bytes(&seed);
                let line = format!("ed25519:{}", hex(key.verifying_key().as_bytes()));
                (Self::EdDsa(key), "ed25519-private", line)
            }
        };
        let text = Zeroizing::new(format!("{kind}:{}\n", hex(seed.as_slice())));
        let write = || -> std::io::Result<()> {
            let mut file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        let unwritable = |source| KeyError::Unwritable {
            path: path.into(),
            source,
        };
        write().map_err(unwritable)?;
        Ok((key, verify))
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    pub fn sign(&self, signed: &[u8]) -> Vec<u8> {
        match self {
            Self::Hs256(key) => mac(key, signed).finalize().into_bytes().to_vec(),
            Self::EdDsa(key) => key.sign(signed).to_bytes().to_vec(),
        }
    }
}

fn read(path: &Path) -> Result<Zeroizing<String>, KeyError> {
    let read = std::fs::read_to_string(path);
    read.map(Zeroizing::new)
        .map_err(|source| KeyError::Unreadable {
            path: path.into(),
            source,
        })
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn split(line: &str) -> Result<(&str, Zeroizing<Vec<u8>>), String> {
    let (kind, digits) = line.split_once(':').ok_or(FORMS)?;
    let bytes = unhex(digits.trim()).ok_or(FORMS)?;
    Ok((kind, Zeroizing::new(bytes)))
}

fn mac(key: &[u8], signed: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of every length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    mac.update(signed);
    mac
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
