use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use krakend_domain::{Digest, FleetName};
use serde::{Deserialize, Serialize};
use uuid::Uuid;
use zeroize::Zeroizing;

pub use krakend_domain::JoinRole;

const PREFIX: &str = "kjt1.";
const MAX_CHARACTERS: usize = 8 * 1024;

/// A join token as its bearer holds it. Its secret is never printed.
pub struct JoinToken {
    pub id: Uuid,
    pub secret: Zeroizing<Vec<u8>>,
    /// What it lets its bearer become.
    pub role: JoinRole,
    pub fleet: FleetName,
    /// SHA-256 of the group's CA certificate in DER.
    pub ca_sha256: Digest,
    /// Managers to try beside the seeds.
    pub managers: Vec<String>,
}

/// A text that is no join token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct JoinTokenError(pub &'static str);

/// The JSON inside of a token.
#[derive(Serialize, Deserialize)]
pub struct TokenText {
    pub id: Uuid,
    /// 32 bytes as base64url.
    pub secret: String,
    pub fleet: String,
    /// Hexadecimal.
    pub ca_sha256: String,
    /// Absent in tokens for nodes.
    #[serde(default, skip_serializing_if = "is_node")]
    pub role: JoinRole,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub managers: Vec<String>,
}

fn is_node(role: &JoinRole) -> bool {
    *role == JoinRole::Node
}

impl TokenText {
    /// `kjt1.` and base64url of JSON.
    pub fn encode(&self) -> String {
        // Strings only: serialising cannot fail.
        let json = Zeroizing::new(serde_json::to_vec(self).unwrap_or_default());
        format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(json.as_slice()))
    }
}

impl JoinToken {
    /// Reads `kjt1.` and base64url of JSON, with white space around it.
    pub fn parse(text: &str) -> Result<Self, JoinTokenError> {
        let malformed = JoinTokenError;
        let text = text.trim();
        if text.len() > MAX_CHARACTERS {
            return Err(malformed("it is too long"));
        }
        let body = text
            .strip_prefix(PREFIX)
            .ok_or(malformed("it does not begin with `kjt1.`"))?;
        let json = URL_SAFE_NO_PAD.decode(body);
        let json = Zeroizing::new(json.map_err(|_| malformed("it is cut off or altered"))?);
        let text: TokenText =
            serde_json::from_slice(&json).map_err(|_| malformed("a field is missing or wrong"))?;
        let secret = URL_SAFE_NO_PAD.decode(Zeroizing::new(text.secret).as_bytes());
        let secret = secret.map_err(|_| malformed("its secret is altered"))?;
        if secret.len() != 32 {
            return Err(malformed("its secret has the wrong length"));
        }
        Ok(Self {
            id: text.id,
            secret: secret.into(),
            role: text.role,
            fleet: (text.fleet.parse()).map_err(|_| malformed("its fleet has no valid name"))?,
            ca_sha256: (text.ca_sha256.parse())
                .map_err(|_| malformed("its CA digest is altered"))?,
            managers: text.managers.into_iter().take(16).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(secret: &[u8], fleet: &str) -> String {
        TokenText {
            id: Uuid::from_u128(7),
            secret: URL_SAFE_NO_PAD.encode(secret),
            fleet: fleet.into(),
            ca_sha256: "ab".repeat(32),
            role: JoinRole::Node,
            managers: Vec::new(),
        }
        .encode()
    }

    fn reason(text: &str) -> String {
        JoinToken::parse(text)
            .err()
            .map_or(String::new(), |error| error.to_string())
    }

    #[test]
    fn a_token_is_read_with_the_line_end_of_its_file() {
        let text = text(&[7; 32], "default") + "\n";
        let token = JoinToken::parse(&text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(*token.secret, [7; 32]);
        assert_eq!(token.ca_sha256, Digest([0xab; 32]));
        assert_eq!(
            (token.fleet.as_str(), token.role),
            ("default", JoinRole::Node)
        );
    }

    #[test]
    fn broken_tokens_are_refused_without_their_text() {
        let good = text(&[7; 32], "default");
        assert!(reason("hello").contains("kjt1."));
        assert!(!reason(&good[..good.len() - 3]).is_empty());
        assert!(reason(&text(&[7; 3], "default")).contains("wrong length"));
        assert!(!reason(&text(&[7; 3], "default")).contains("BwcH"));
        assert!(reason(&text(&[7; 32], "No!")).contains("fleet"));
    }
}
