use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use krakend_api::{PROBLEM_CONTENT_TYPE, Problem};
use krakend_domain::Rejected;
use krakend_raft::{ProposeError, ReadError};

/// An error answer (RFC 9457).
#[derive(Debug)]
pub struct Failure(pub Box<Problem>);

const TYPE_PREFIX: &str = "urn:krakend-cluster-manager:problem:";

impl Failure {
    /// `kind` is stable and kebab-case.
    pub fn new(status: StatusCode, kind: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Problem {
            kind: format!("{TYPE_PREFIX}{kind}"),
            title: status.canonical_reason().unwrap_or("Error").into(),
            status: status.as_u16(),
            detail: detail.into(),
            ..Problem::default()
        }))
    }

    pub fn bad_request(kind: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, detail)
    }

    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", detail)
    }
}

/// A refusal that came from below, for instance for a query that cannot be read, as a problem like all others.
pub async fn worded(response: Response) -> Response {
    let status = response.status();
    let kind = match status {
        StatusCode::BAD_REQUEST => "bad-request",
        StatusCode::NOT_FOUND => "not-found",
        StatusCode::PAYLOAD_TOO_LARGE => "too-large",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "unsupported-media-type",
        StatusCode::UNPROCESSABLE_ENTITY => "malformed",
        _ => return response,
    };
    let told = response.headers().get(header::CONTENT_TYPE);
    if told.is_some_and(|it| it.as_bytes() == PROBLEM_CONTENT_TYPE.as_bytes()) {
        return response;
    }
    let body = axum::body::to_bytes(response.into_body(), MAX_WORDS).await;
    let body = body.unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let text = match text.trim() {
        "" => "the request cannot be read",
        text => text,
    };
    Failure::new(status, kind, text).into_response()
}

/// Longest text of a refusal from below, in bytes.
const MAX_WORDS: usize = 4 << 10;

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static(PROBLEM_CONTENT_TYPE),
        );
        match status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                let wait = self.0.retry_after_s.unwrap_or(1);
                headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
            }
            _ => {}
        }
        response
    }
}

impl From<Rejected> for Failure {
    fn from(rejected: Rejected) -> Self {
        let (status, kind) = match &rejected {
            Rejected::NoSuchNode(_) => (StatusCode::NOT_FOUND, "no-such-node"),
            Rejected::NoSuchFleet(_) => (StatusCode::NOT_FOUND, "no-such-fleet"),
            Rejected::NoSuchToken => (StatusCode::NOT_FOUND, "no-such-token"),
            Rejected::StaleParent { .. } => (StatusCode::CONFLICT, "stale-parent"),
            Rejected::IdempotencyKeyReused { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "idempotency-key-reused")
            }
            Rejected::NotBootstrapped => (StatusCode::SERVICE_UNAVAILABLE, "not-formed"),
            Rejected::NoSuchGossipKey => (StatusCode::NOT_FOUND, "no-such-gossip-key"),
            Rejected::GossipKeyInUse => (StatusCode::CONFLICT, "gossip-key-in-use"),
            Rejected::GossipKeyAwaited { .. } => (StatusCode::CONFLICT, "gossip-key-awaited"),
            Rejected::LastAdminToken => (StatusCode::CONFLICT, "last-admin-token"),
            Rejected::ClockHeld => (StatusCode::CONFLICT, "clock-held"),
            Rejected::TooMany { .. } => (StatusCode::CONFLICT, "too-many"),
            _ => (StatusCode::CONFLICT, "rejected"),
        };
        Self::new(status, kind, rejected.to_string())
    }
}

impl From<ProposeError> for Failure {
    fn from(error: ProposeError) -> Self {
        match error {
            ProposeError::Rejected { rejected, .. } => rejected.into(),
            ProposeError::Indeterminate { .. } => {
                let mut failure = Self::new(
                    StatusCode::GATEWAY_TIMEOUT,
                    "indeterminate",
                    format!(
                        "{error}: the write may or may not have happened. Read before you repeat it, or repeat it with the same Idempotency-Key."
                    ),
                );
                failure.0.indeterminate = true;
                failure
            }
            ProposeError::TooLarge { .. } => Self::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too-large",
                error.to_string(),
            ),
            ProposeError::ClockOff { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "clock-off",
                format!(
                    "{error}: nothing was written. `GET /v1/clock?consistency=stale` shows the managers' clocks."
                ),
            ),
            ProposeError::FeatureLevel { .. } => {
                Self::new(StatusCode::CONFLICT, "feature-level", error.to_string())
            }
            ProposeError::NotSupported { .. } => {
                Self::new(StatusCode::CONFLICT, "not-supported", error.to_string())
            }
            ProposeError::SecretNotHeld { .. } => {
                Self::new(StatusCode::CONFLICT, "secret-not-held", error.to_string())
            }
            ProposeError::Stopped => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stopping",
                format!("{error}: ask another manager"),
            ),
            ProposeError::ReadOnly { .. } => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "read-only",
                error.to_string(),
            ),
            other @ ProposeError::NoLeader => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "no-leader",
                format!(
                    "{other}: nothing was written. Try again in a second; `GET /v1/managers?consistency=stale` shows which managers answer."
                ),
            ),
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        let (status, kind) = match error {
            ReadError::Timeout { .. } => (StatusCode::GATEWAY_TIMEOUT, "read-timeout"),
            ReadError::NoLeader | ReadError::Stopped | ReadError::Quarantined => {
                (StatusCode::SERVICE_UNAVAILABLE, "no-leader")
            }
        };
        if matches!(error, ReadError::Quarantined) {
            return Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "quarantined",
                error.to_string(),
            );
        }
        Self::new(
            status,
            kind,
            format!(
                "{error}: a linearizable read needs a leader. Try again in a second, or read with `?consistency=stale`."
            ),
        )
    }
}

pub async fn method_not_allowed() -> Failure {
    Failure::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "this path does not take that method: /v1/openapi.json lists which does",
    )
}
