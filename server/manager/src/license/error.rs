use uuid::Uuid;

/// A licence that is refused. Each says what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LicenseError {
    #[error(
        "the licence is no compact JWS (three parts of base64url, joined by dots) or was cut short: install the text exactly as it was issued"
    )]
    Malformed,
    #[error("the licence's claims cannot be used: {0}: ask its issuer for another")]
    Claims(String),
    #[error(
        "the licence is signed with {found}, and this group verifies {expected}: ask its issuer, or set `license_key_file` to the issuer's key"
    )]
    Algorithm { found: String, expected: String },
    #[error(
        "the licence's signature does not verify: it was changed or cut short, or issued with another key; install the text exactly as it was issued, or set `license_key_file` to the issuer's key"
    )]
    Signature,
    #[error("the licence is valid from {0} on: install it then")]
    NotYetValid(String),
    #[error("the licence expired on {0}: ask its issuer for a newer one")]
    Expired(String),
    #[error(
        "the licence was issued for group {found}, and this is group {}: ask its issuer for one for this group (`krakend-cluster-manager status` shows its id)",
        .is.map_or_else(|| "(not formed yet)".to_owned(), |it| it.to_string())
    )]
    OtherGroup { found: String, is: Option<Uuid> },
}

impl LicenseError {
    /// The problem's type in the API. Stable.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Malformed => "license-malformed",
            Self::Claims(_) => "license-claims",
            Self::Algorithm { .. } => "license-algorithm",
            Self::Signature => "license-signature",
            Self::NotYetValid(_) => "license-not-yet-valid",
            Self::Expired(_) => "license-expired",
            Self::OtherGroup { .. } => "license-other-group",
        }
    }
}
