use serde::{Deserialize, Serialize};

/// What the bearer of a token may do; each includes the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Viewer,
    Operator,
    Admin,
}

/// Body of `POST /v1/session`: exchanges a token for a cookie (HttpOnly, SameSite=Strict).
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginRequest {
    pub token: String,
}

/// Answer of `GET` and `POST /v1/session`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Name of the token.
    pub name: String,
    pub role: Role,
    pub expires_at: Option<String>,
}
