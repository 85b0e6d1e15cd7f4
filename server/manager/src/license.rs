//! Licences: compact JWS (RFC 7515) with `HS256` or `EdDSA`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Verifier, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use krakend_domain::Claims;
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::trust::GroupSecret;

const MAX_TOKEN_BYTES: usize = 16 * 1024;

/// What a manager verifies licences with.
#[derive(Clone)]
pub enum LicenseKey {
    /// For those who issue to themselves: whoever verifies can forge.
    Hs256(Zeroizing<Vec<u8>>),
    /// For vendors.
    EdDsa(VerifyingKey),
}

/// A licence that is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LicenseError {
    #[error(
        "the licence is no compact JWS (three parts of base64url, joined by dots): install the text exactly as it was issued"
    )]
    Malformed,
    #[error("the licence's claims cannot be read: {0}")]
    Claims(String),
    #[error(
        "the licence is signed with {found}, and this group verifies {expected}: ask its issuer, or set `license_key_file`"
    )]
    Algorithm {
        found: String,
        expected: &'static str,
    },
    #[error("the licence's signature does not verify: it was changed, or issued with another key")]
    Signature,
    #[error("the licence expired on {0}: install a newer one")]
    Expired(String),
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: String,
}

/// The claims as they stand in the token, times in seconds as RFC 7519 has them.
#[derive(Serialize, Deserialize)]
struct WireClaims {
    sub: String,
    level: String,
    max_nodes: u32,
    #[serde(default)]
    features: Vec<String>,
    nbf: u64,
    exp: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    grace_days: Option<u32>,
}

impl LicenseKey {
    /// The key that holds when none is configured: it derives from the group secret.
    pub fn of_group(secret: &GroupSecret) -> Self {
        Self::Hs256(Zeroizing::new(secret.derive("license-hs256", b"").to_vec()))
    }

    /// Reads `hs256:<hex>` or `ed25519:<hex of the public key>`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let help = "write `hs256:` and at least 64 hexadecimal digits, or `ed25519:` and the 64 digits of the issuer's public key";
        let (kind, digits) = text.split_once(':').ok_or(help)?;
        let bytes = unhex(digits).ok_or(help)?;
        match kind {
            "hs256" if bytes.len() >= 32 => Ok(Self::Hs256(Zeroizing::new(bytes))),
            "ed25519" => {
                let bytes: [u8; 32] = bytes.try_into().map_err(|_| help)?;
                let key = VerifyingKey::from_bytes(&bytes).map_err(|error| error.to_string())?;
                Ok(Self::EdDsa(key))
            }
            _ => Err(help.into()),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self {
            Self::Hs256(_) => "HS256",
            Self::EdDsa(_) => "EdDSA",
        }
    }

    /// Verifies `token` at `now_ms`. The algorithm is the key's; what the header says must agree.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Claims, LicenseError> {
        let token = token.trim();
        if token.len() > MAX_TOKEN_BYTES {
            return Err(LicenseError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(LicenseError::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(LicenseError::Malformed)?;
        let decode = |part: &str| {
            URL_SAFE_NO_PAD
                .decode(part)
                .map_err(|_| LicenseError::Malformed)
        };
        let header: Header =
            serde_json::from_slice(&decode(header)?).map_err(|_| LicenseError::Malformed)?;
        if header.alg != self.algorithm() {
            return Err(LicenseError::Algorithm {
                found: header.alg.chars().take(20).collect(),
                expected: self.algorithm(),
            });
        }
        self.verify_signature(signed.as_bytes(), &decode(signature)?)?;
        let wire: WireClaims = serde_json::from_slice(&decode(claims)?)
            .map_err(|error| LicenseError::Claims(error.to_string()))?;
        let claims = wire.into_claims();
        if now_ms >= claims.grace_ends_ms() {
            let day = jiff::Timestamp::from_millisecond(claims.expires_ms as i64);
            let day = day.map_or_else(|_| "its date".into(), |day| day.to_string());
            return Err(LicenseError::Expired(day));
        }
        Ok(claims)
    }

    fn verify_signature(&self, signed: &[u8], signature: &[u8]) -> Result<(), LicenseError> {
        match self {
            Self::Hs256(key) => mac(key, signed)
                .verify_slice(signature)
                .map_err(|_| LicenseError::Signature),
            Self::EdDsa(key) => Signature::from_slice(signature)
                .and_then(|signature| key.verify(signed, &signature))
                .map_err(|_| LicenseError::Signature),
        }
    }

    /// Issues a licence with an `HS256` key; `None` with a key that only verifies.
    pub fn issue(&self, claims: &Claims) -> Option<String> {
        let Self::Hs256(key) = self else {
            return None;
        };
        let header = Header {
            alg: "HS256".into(),
            typ: "JWT".into(),
        };
        let part = |bytes: Vec<u8>| URL_SAFE_NO_PAD.encode(bytes);
        let header = part(serde_json::to_vec(&header).ok()?);
        let body = part(serde_json::to_vec(&WireClaims::from_claims(claims)).ok()?);
        let signed = format!("{header}.{body}");
        let signature = part(mac(key, signed.as_bytes()).finalize().into_bytes().to_vec());
        Some(format!("{signed}.{signature}"))
    }
}

impl WireClaims {
    fn into_claims(self) -> Claims {
        Claims {
            subscriber: self.sub,
            level: self.level,
            max_nodes: self.max_nodes,
            features: self.features,
            not_before_ms: self.nbf.saturating_mul(1000),
            expires_ms: self.exp.saturating_mul(1000),
            grace_days: self.grace_days,
        }
    }

    fn from_claims(claims: &Claims) -> Self {
        Self {
            sub: claims.subscriber.clone(),
            level: claims.level.clone(),
            max_nodes: claims.max_nodes,
            features: claims.features.clone(),
            nbf: claims.not_before_ms / 1000,
            exp: claims.expires_ms / 1000,
            grace_days: claims.grace_days,
        }
    }
}

fn mac(key: &[u8], signed: &[u8]) -> Hmac<Sha256> {
    // HMAC takes keys of every length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!());
    mac.update(signed);
    mac
}

fn unhex(digits: &str) -> Option<Vec<u8>> {
    let digits = digits.trim().as_bytes();
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        Claims {
            subscriber: "Acme".into(),
            level: "business".into(),
            max_nodes: 7,
            features: vec![],
            not_before_ms: 1_000,
            expires_ms: 2_000_000,
            grace_days: Some(1),
        }
    }

    fn key() -> LicenseKey {
        LicenseKey::Hs256(Zeroizing::new(vec![7; 32]))
    }

    #[test]
    fn an_issued_license_verifies_and_says_what_was_issued() {
        let token = key().issue(&claims()).expect("a token");
        assert_eq!(key().verify(&token, 5_000), Ok(claims()));
    }

    #[test]
    fn a_license_of_another_key_or_with_a_changed_byte_is_refused() {
        let token = key().issue(&claims()).expect("a token");
        let other = LicenseKey::Hs256(Zeroizing::new(vec![8; 32]));
        assert_eq!(other.verify(&token, 5_000), Err(LicenseError::Signature));
        let (signed, _) = token.rsplit_once('.').expect("three parts");
        for cut in 1..20 {
            let cut = &token[..token.len() - cut];
            let refused = key().verify(cut, 5_000).expect_err("cut off");
            assert!(matches!(
                refused,
                LicenseError::Signature | LicenseError::Malformed
            ));
        }
        assert_eq!(
            key().verify(&format!("{signed}."), 5_000),
            Err(LicenseError::Signature)
        );
    }

    #[test]
    fn the_algorithm_none_and_a_confused_one_are_refused() {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let none = format!("{}.{}.", part(r#"{"alg":"none"}"#), part("{}"));
        assert!(matches!(
            key().verify(&none, 0),
            Err(LicenseError::Algorithm { .. })
        ));
        let token = key().issue(&claims()).expect("a token");
        let public = ed25519_dalek::SigningKey::from_bytes(&[3; 32]).verifying_key();
        assert!(matches!(
            LicenseKey::EdDsa(public).verify(&token, 5_000),
            Err(LicenseError::Algorithm { .. })
        ));
    }

    #[test]
    fn a_license_past_its_grace_is_refused_with_its_date() {
        let token = key().issue(&claims()).expect("a token");
        assert!(matches!(
            key().verify(&token, 2_000_000 + 86_400_000),
            Err(LicenseError::Expired(_))
        ));
        assert_eq!(key().verify("garbage", 0), Err(LicenseError::Malformed));
    }
}
