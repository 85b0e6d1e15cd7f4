//! The text that buys a node its certificate.

use krakend_proto::join::{JoinRole, JoinToken};
use zeroize::Zeroizing;

use crate::settings::Settings;

const ADVICE: &str =
    "make one with `krakend-cluster-manager token create-join > /etc/krakend/join-token`";

/// Why there is no usable token.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum JoinTokenError {
    #[error("the join token file {path} cannot be read: {reason}; {ADVICE}")]
    File { path: String, reason: String },
    #[error("the join token is not one of this program's: {0}; {ADVICE}")]
    Malformed(&'static str),
    #[error("the join token is for a manager, not for a node; {ADVICE}")]
    ForManager,
}

/// From the environment, else from the token's file.
pub fn find(settings: &Settings) -> Result<JoinToken, JoinTokenError> {
    if let Some(text) = &settings.join_token {
        return parse(text);
    }
    let path = &settings.join_token_file;
    let text = std::fs::read_to_string(path).map_err(|error| JoinTokenError::File {
        path: path.display().to_string(),
        reason: error.to_string(),
    })?;
    parse(&Zeroizing::new(text))
}

fn parse(text: &str) -> Result<JoinToken, JoinTokenError> {
    let token = JoinToken::parse(text).map_err(|error| JoinTokenError::Malformed(error.0))?;
    match token.role {
        JoinRole::Node => Ok(token),
        JoinRole::Manager => Err(JoinTokenError::ForManager),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_token_is_refused_with_advice() {
        let error = parse("hello").err().map(|error| error.to_string());
        assert!(error.is_some_and(|text| text.contains("token create-join")));
    }
}
