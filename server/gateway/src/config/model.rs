//! A configuration as the engine needs it: defaults filled in, everything inherited resolved.

use std::net::IpAddr;
use std::time::Duration;

/// One parsed document.
#[derive(Clone, Debug, PartialEq)]
pub struct ServiceConfig {
    /// The document's `name`, empty when it has none.
    pub name: String,
    /// TCP port of the gateway; 8080 when the document has none.
    pub port: u16,
    /// Address to listen on; `None` for all.
    pub listen_ip: Option<IpAddr>,
    /// Longest time a client may take to send a request's head; `None` for no limit.
    pub read_header_timeout: Option<Duration>,
    /// Longest time a graceful stop may take (`max_shutdown_wait_time`); `None` when the document does not say.
    pub max_shutdown_wait: Option<Duration>,
    /// The health endpoint's path; `None` when it is disabled.
    pub health_path: Option<String>,
    /// Whether `X-Krakend` hides the version.
    pub hide_version_header: bool,
    /// Whether `/a/` redirects to `/a` (and back) when only the other one is an endpoint.
    pub redirect_trailing_slash: bool,
    /// Whether a known path with another method answers 405 (else 404).
    pub method_not_allowed: bool,
    /// In the document's order.
    pub endpoints: Vec<Endpoint>,
    /// What the embedded engine cannot do with this document. Empty for one that was parsed strictly.
    pub unsupported: Vec<String>,
}

/// One endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Endpoint {
    /// The configured pattern, such as `/users/{id}`.
    pub endpoint: String,
    /// Upper case.
    pub method: String,
    pub timeout: Duration,
    /// Zero for no `Cache-Control`.
    pub cache_ttl: Duration,
    pub output_encoding: OutputEncoding,
    pub input_headers: AllowList,
    pub input_query_strings: AllowList,
    /// At least one.
    pub backends: Vec<Backend>,
}

/// One backend of an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Backend {
    /// The configured pattern, beginning with `/`.
    pub url_pattern: String,
    /// Base URLs without a trailing slash, such as `http://10.0.0.1:8000`.
    pub hosts: Vec<String>,
    /// Upper case.
    pub method: String,
    pub encoding: Encoding,
    pub is_collection: bool,
    /// Dotted path to the part of the answer that is kept; empty for all of it.
    pub target: String,
    /// Dotted fields to keep; empty for all.
    pub allow: Vec<String>,
    /// Dotted fields to drop; not used when `allow` has any.
    pub deny: Vec<String>,
    /// Top-level renames, old to new.
    pub mapping: Vec<(String, String)>,
    /// Name that wraps the answer; empty for none.
    pub group: String,
    /// Narrows what the endpoint lets through.
    pub input_headers: AllowList,
    /// Narrows what the endpoint lets through.
    pub input_query_strings: AllowList,
}

/// What of the client's headers or query strings passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowList {
    /// The list is absent or empty.
    Unset,
    /// The list holds `*`.
    All,
    /// Exactly these.
    Only(Vec<String>),
}

/// How an endpoint's answer is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputEncoding {
    Json,
    JsonCollection,
    String,
    NoOp,
    /// One the embedded engine does not write.
    Other(String),
}

/// How a backend's answer is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Encoding {
    Json,
    SafeJson,
    String,
    NoOp,
    /// One the embedded engine does not read.
    Other(String),
}
