//! Licences: compact JWS (RFC 7515) with `HS256` or `EdDSA`.

mod error;
mod key;
#[cfg(test)]
mod tests;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use krakend_domain::{Claims, ClusterState};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock::rfc3339;

pub use error::LicenseError;
pub use key::{Algorithm, IssuerKey, KeyError, LicenseKey};

const MAX_TOKEN_BYTES: usize = 16 * 1024;
const MAX_TEXT_CHARS: usize = 255;
const MAX_FEATURES: usize = 64;
const MAX_GRACE_DAYS: u32 = 3_660;
/// Last second of the year 9999.
const MAX_TIME_S: u64 = 253_402_300_799;

/// A licence whose signature verifies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct License {
    pub claims: Claims,
    /// The only group that may install it; any if absent.
    pub group: Option<String>,
}

/// The groups that this one is or was: a licence goes along through a restore and a recovery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    pub is: Option<Uuid>,
    pub was: Vec<Uuid>,
}

impl Groups {
    pub fn of(state: &ClusterState) -> Self {
        Self {
            is: state.meta().group_id,
            was: state.lineage().map(|group| group.group_id).collect(),
        }
    }

    fn includes(&self, text: &str) -> bool {
        let asked = Uuid::parse_str(text).ok();
        asked.is_some_and(|asked| self.is == Some(asked) || self.was.contains(&asked))
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    typ: String,
    /// Extensions that must be understood (RFC 7515, 4.1.11): none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
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
    /// Id of the group that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    aud: Option<String>,
}

/// The licence in `token`, when one of `keys` signed it. Says nothing of time and group.
pub fn read(keys: &[LicenseKey], token: &str) -> Result<License, LicenseError> {
    let token = token.trim();
    if token.len() > MAX_TOKEN_BYTES {
        return Err(LicenseError::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(LicenseError::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(LicenseError::Malformed)?;
    let decode = |part: &str| {
        let bytes = URL_SAFE_NO_PAD.decode(part);
        bytes.map_err(|_| LicenseError::Malformed)
    };
    let header: Header =
        serde_json::from_slice(&decode(header)?).map_err(|_| LicenseError::Malformed)?;
    let signature = decode(signature)?;
    let claims = decode(claims)?;
    if header.crit.is_some() {
        return Err(LicenseError::Claims(
            "its header asks for extensions (`crit`) that are not known here".into(),
        ));
    }
    // The key decides which algorithm is computed; the header may only agree.
    let mut fit = keys
        .iter()
        .filter(|key| key.algorithm() == header.alg)
        .peekable();
    if fit.peek().is_none() {
        let mut expected: Vec<_> = keys.iter().map(LicenseKey::algorithm).collect();
        expected.dedup();
        return Err(LicenseError::Algorithm {
            found: header
                .alg
                .chars()
                .filter(|c| !c.is_control())
                .take(20)
                .collect(),
            expected: expected.join(" or "),
        });
    }
    if !fit.any(|key| key.verifies(signed.as_bytes(), &signature)) {
        return Err(LicenseError::Signature);
    }
    let wire: WireClaims =
        serde_json::from_slice(&claims).map_err(|error| LicenseError::Claims(error.to_string()))?;
    wire.check().map_err(LicenseError::Claims)?;
    Ok(wire.into_license())
}

/// The licence in `token`, when it may be installed at `now_ms` in one of `groups`.
pub fn verify(
    keys: &[LicenseKey],
    token: &str,
    now_ms: u64,
    groups: &Groups,
) -> Result<License, LicenseError> {
    let license = read(keys, token)?;
    license.check(now_ms, groups)?;
    Ok(license)
}

impl License {
    /// Whether it may be installed. One that is installed goes through grace instead of being refused.
    pub fn check(&self, now_ms: u64, groups: &Groups) -> Result<(), LicenseError> {
        self.check_group(groups)?;
        if now_ms < self.claims.not_before_ms {
            return Err(LicenseError::NotYetValid(rfc3339(
                self.claims.not_before_ms,
            )));
        }
        if now_ms >= self.claims.expires_ms {
            return Err(LicenseError::Expired(rfc3339(self.claims.expires_ms)));
        }
        Ok(())
    }

    pub fn check_group(&self, groups: &Groups) -> Result<(), LicenseError> {
        match &self.group {
            Some(group) if !groups.includes(group) => Err(LicenseError::OtherGroup {
                found: group.chars().filter(|c| !c.is_control()).take(60).collect(),
                is: groups.is,
            }),
            _ => Ok(()),
        }
    }

    /// The compact JWS.
    pub fn issue(&self, key: &IssuerKey) -> Result<String, LicenseError> {
        let header = Header {
            alg: key.algorithm().into(),
            typ: "JWT".into(),
            crit: None,
        };
        let wire = WireClaims::of(self);
        wire.check().map_err(LicenseError::Claims)?;
        let part = |json: serde_json::Result<Vec<u8>>| match json {
            Ok(bytes) => Ok(URL_SAFE_NO_PAD.encode(bytes)),
            Err(error) => Err(LicenseError::Claims(error.to_string())),
        };
        let header = part(serde_json::to_vec(&header))?;
        let body = part(serde_json::to_vec(&wire))?;
        let signed = format!("{header}.{body}");
        let signature = URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes()));
        Ok(format!("{signed}.{signature}"))
    }
}

/// The group that a token names, unverified: for showing what is installed.
pub fn named_group(token: &str) -> Option<String> {
    let body = token.trim().split('.').nth(1)?;
    let wire: WireClaims = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
    wire.aud
}

impl WireClaims {
    fn check(&self) -> Result<(), String> {
        let texts = [&self.sub, &self.level].into_iter().chain(&self.features);
        let bad = |text: &&String| {
            text.is_empty()
                || text.chars().count() > MAX_TEXT_CHARS
                || text.chars().any(char::is_control)
        };
        if let Some(text) = texts.clone().find(bad) {
            let text: String = text.chars().filter(|c| !c.is_control()).take(40).collect();
            return Err(format!(
                "{text:?} is no text of 1 to {MAX_TEXT_CHARS} characters"
            ));
        }
        if self.features.len() > MAX_FEATURES {
            return Err(format!("it has more than {MAX_FEATURES} features"));
        }
        if self.exp <= self.nbf || self.exp > MAX_TIME_S {
            return Err(format!(
                "`exp` ({}) must come after `nbf` ({}) and before the year 10000",
                self.exp, self.nbf
            ));
        }
        if self.grace_days.is_some_and(|days| days > MAX_GRACE_DAYS) {
            return Err(format!("`grace_days` is more than {MAX_GRACE_DAYS}"));
        }
        Ok(())
    }

    fn into_license(self) -> License {
        License {
            claims: Claims {
                subscriber: self.sub,
                level: self.level,
                max_nodes: self.max_nodes,
                features: self.features,
                not_before_ms: self.nbf * 1000,
                expires_ms: self.exp * 1000,
                grace_days: self.grace_days,
            },
            group: self.aud,
        }
    }

    fn of(license: &License) -> Self {
        let claims = &license.claims;
        Self {
            sub: claims.subscriber.clone(),
            level: claims.level.clone(),
            max_nodes: claims.max_nodes,
            features: claims.features.clone(),
            nbf: claims.not_before_ms / 1000,
            exp: claims.expires_ms / 1000,
            grace_days: claims.grace_days,
            aud: license.group.clone(),
        }
    }
}
