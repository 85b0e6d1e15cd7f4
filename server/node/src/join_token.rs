//! The text that buys a node its certificate.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use krakend_domain::{Digest, FleetName};
use serde::Deserialize;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::settings::Settings;

const PREFIX: &str = "kjt1.";
const MAX_CHARACTERS: usize = 8 * 1024;
const ADVICE: &str =
    "make one with `krakend-cluster-manager token create-join > /etc/krakend/join-token`";

/// A join token. Its secret is never printed.
pub struct JoinToken {
    pub id: Uuid,
    pub secret: Zeroizing<Vec<u8>>,
    pub fleet: FleetName,
    /// SHA-256 of the group's CA certificate in DER.
    pub ca_sha256: Digest,
    /// Managers to try beside the seeds.
    pub managers: Vec<String>,
}

/// Why there is no usable token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    #[error("the join token file {path} cannot be read: {reason}; {ADVICE}")]
    File { path: String, reason: String },
    #[error("the join token is not one of this program's: {0}; {ADVICE}")]
    Malformed(&'static str),
}

#[derive(Deserialize)]
struct Text {
    id: Uuid,
    secret: String,
    fleet: String,
    ca_sha256: String,
    #[serde(default)]
    managers: Vec<String>,
}

impl JoinToken {
    /// From the environment, else from the token's file.
    pub fn find(settings: &Settings) -> Result<Self, JoinTokenError> {
        if let Some(text) = &settings.join_token {
            return Self::parse(text);
        }
        let path = &settings.join_token_file;
        let text = std::fs::read_to_string(path).map_err(|error| JoinTokenError::File {
            path: path.display().to_string(),
            reason: error.to_string(),
        })?;
        Self::parse(&Zeroizing::new(text))
    }

    /// Reads `kjt1.` and base64url of JSON.
    pub fn parse(text: &str) -> Result<Self, JoinTokenError> {
        use JoinTokenError::Malformed;
        let text = text.trim();
        if text.len() > MAX_CHARACTERS {
            return Err(Malformed("it is too long"));
        }
        let body = text
            .strip_prefix(PREFIX)
            .ok_or(Malformed("it does not begin with `kjt1.`"))?;
        let json = URL_SAFE_NO_PAD.decode(body);
        let json = Zeroizing::new(json.map_err(|_| Malformed("it is cut off or altered"))?);
        let text: Text =
            serde_json::from_slice(&json).map_err(|_| Malformed("a field is missing or wrong"))?;
        let secret = URL_SAFE_NO_PAD.decode(Zeroizing::new(text.secret).as_bytes());
        let secret = secret.map_err(|_| Malformed("its secret is altered"))?;
        if secret.len() != 32 {
            return Err(Malformed("its secret has the wrong length"));
        }
        Ok(Self {
            id: text.id,
            secret: secret.into(),
            fleet: (text.fleet.parse()).map_err(|_| Malformed("its fleet has no valid name"))?,
            ca_sha256: (text.ca_sha256.parse())
                .map_err(|_| Malformed("its CA digest is altered"))?,
            managers: text.managers.into_iter().take(16).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(secret: &str, fleet: &str) -> String {
        let json = serde_json::json!({
            "id": "3f20a44d-3d93-4bc9-829b-b76b22055142", "secret": secret, "fleet": fleet,
            "ca_sha256": "ab".repeat(32),
        });
        format!("kjt1.{}", URL_SAFE_NO_PAD.encode(json.to_string()))
    }

    fn reason(text: &str) -> String {
        JoinToken::parse(text)
            .err()
            .map_or(String::new(), |error| error.to_string())
    }

    #[test]
    fn a_token_is_read_with_the_line_end_of_its_file() {
        let text = text(&URL_SAFE_NO_PAD.encode([7; 32]), "default") + "\n";
        let token = JoinToken::parse(&text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(*token.secret, [7; 32]);
        assert_eq!(token.ca_sha256, Digest([0xab; 32]));
        assert_eq!(token.fleet.as_str(), "default");
    }

    #[test]
    fn broken_tokens_are_refused_with_advice_and_without_their_text() {
        let good = text(&URL_SAFE_NO_PAD.encode([7; 32]), "default");
        assert!(reason("hello").contains("kjt1."));
        assert!(reason(&good[..good.len() - 3]).contains("token create-join"));
        assert!(reason(&text("AAAA", "default")).contains("wrong length"));
        assert!(!reason(&text("AAAA", "default")).contains("AAAA"));
        assert!(reason(&text(&URL_SAFE_NO_PAD.encode([7; 32]), "No!")).contains("fleet"));
    }
}
