use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper_util::{client::legacy::Client as Http, rt::TokioExecutor};
use krakend_api::Problem;

use super::{Client, connect::Connector, profile::Target};

const DEFAULT_TOKEN_FILE: &str = "/var/lib/krakend-cluster-manager/admin-token";
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
const MAX_ANSWER: usize = 64 << 20;
const MAX_PROBLEM: usize = 1 << 20;

/// Asks managers over HTTP, the next one when one does not answer.
pub struct ApiClient {
    servers: Vec<String>,
    token: String,
    http: Http<Connector, Full<Bytes>>,
}

/// A request to the API.
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
    /// For the whole answer.
    pub within: Duration,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            method: Method::GET,
            path: String::new(),
            headers: Vec::new(),
            body: Vec::new(),
            within: ANSWER_WITHIN,
        }
    }
}

impl Ask {
    /// A POST with a JSON body, done once however often it is sent.
    pub fn post(path: impl Into<String>, body: &serde_json::Value) -> Self {
        Self {
            method: Method::POST,
            path: path.into(),
            headers: vec![
                ("content-type", "application/json".into()),
                ("idempotency-key", uuid::Uuid::new_v4().to_string()),
            ],
            body: body.to_string().into_bytes(),
            ..Self::default()
        }
    }
}

/// A manager answered, and said no.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Refused {
    pub status: StatusCode,
    /// The last part of the problem's type, such as `no-such-node`.
    pub kind: String,
    pub text: String,
}

/// No manager answered.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreachable(pub String);

impl ApiClient {
    pub fn new(options: &Client) -> anyhow::Result<Self> {
        let target = Target::of(options)?;
        for server in &target.servers {
            if !server.starts_with("http://") && !server.starts_with("https://") {
                bail!("--server {server}: write http://HOST:PORT or https://HOST:PORT");
            }
        }
        let connector = Connector::new(target.ca_file.as_deref())?;
        Ok(Self {
            token: token(target.token_file.as_deref())?,
            servers: target.servers,
            http: Http::builder(TokioExecutor::new()).build(connector),
        })
    }

    /// So that it can be kept out of what is written.
    pub fn token(&self) -> &str {
        &self.token
    }

    pub fn servers(&self) -> &[String] {
        &self.servers
    }

    /// The same for one server only.
    pub fn only(&self, server: &str) -> Self {
        Self {
            servers: vec![server.to_owned()],
            token: self.token.clone(),
            http: self.http.clone(),
        }
    }

    /// The answer's body; a problem becomes an error that says what and what to do.
    pub async fn ask(&self, ask: Ask) -> anyhow::Result<Vec<u8>> {
        self.ask_any(&ask).await.map(|(_, body)| body)
    }

    pub async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let ask = Ask {
            path: path.into(),
            ..Ask::default()
        };
        let body = self.ask(ask).await?;
        serde_json::from_slice(&body).with_context(|| format!("reading the answer of {path}"))
    }

    async fn ask_any(&self, ask: &Ask) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let mut failed = Vec::new();
        for server in &self.servers {
            match self.ask_one(server, ask).await {
                Ok((status, body)) if status.is_success() => return Ok((status, body)),
                // Another one may know a leader, or not be stopping.
                Ok((status, body)) if tries_next(status, &body) => {
                    failed.push(format!("{server}: {}", problem(status, &body)));
                }
                Ok((status, body)) => return Err(problem(status, &body)),
                Err(reason) => failed.push(reason),
            }
        }
        Err(unreachable(&failed))
    }

    /// Begins to read an answer that may be long; the body is the caller's to read.
    pub async fn open(
        &self,
        path: &str,
        within: Duration,
    ) -> anyhow::Result<http::Response<Incoming>> {
        let mut failed = Vec::new();
        for server in &self.servers {
            let request = self
                .request(server, Method::GET, path)?
                .body(Full::default())?;
            match tokio::time::timeout(within, self.http.request(request)).await {
                Ok(Ok(answer)) if answer.status().is_success() => return Ok(answer),
                Ok(Ok(answer)) => {
                    let status = answer.status();
                    let body = Limited::new(answer.into_body(), MAX_PROBLEM);
                    let body = body
                        .collect()
                        .await
                        .map(http_body_util::Collected::to_bytes);
                    return Err(problem(status, &body.unwrap_or_default()));
                }
                Ok(Err(error)) => failed.push(silent(server, &error)),
                Err(_) => failed.push(late(server, within)),
            }
        }
        Err(unreachable(&failed))
    }

    fn request(
        &self,
        server: &str,
        method: Method,
        path: &str,
    ) -> anyhow::Result<http::request::Builder> {
        let uri = format!("{}{path}", server.trim_end_matches('/'));
        let uri: http::Uri = uri
            .parse()
            .with_context(|| format!("--server {server}: write http://HOST:PORT"))?;
        let request = Request::builder().method(method).uri(uri);
        Ok(request.header("authorization", format!("Bearer {}", self.token)))
    }

    /// The status and body of an answer, or why there is none.
    async fn ask_one(&self, server: &str, ask: &Ask) -> Result<(StatusCode, Vec<u8>), String> {
        let request = self.request(server, ask.method.clone(), &ask.path);
        let mut request = request.map_err(|error| error.to_string())?;
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let body = Full::new(Bytes::from(ask.body.clone()));
        let request = request.body(body).map_err(|error| error.to_string())?;
        let answer = async {
            let response = self.http.request(request).await;
            let response = response.map_err(|error| silent(server, &error))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect();
            let body = body.await;
            let body = body.map_err(|error| format!("{server}: the answer broke off: {error}"))?;
            Ok((status, body.to_bytes().to_vec()))
        };
        let answer = tokio::time::timeout(ask.within, answer).await;
        answer.unwrap_or_else(|_| Err(late(server, ask.within)))
    }
}

/// Whether another manager may give a better answer. A write that may have happened is not sent again without its key.
fn tries_next(status: StatusCode, body: &[u8]) -> bool {
    let problem = serde_json::from_slice::<Problem>(body).unwrap_or_default();
    status == StatusCode::SERVICE_UNAVAILABLE && !problem.indeterminate
}

fn silent(server: &str, error: &hyper_util::client::legacy::Error) -> String {
    let mut reason = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(deeper) = source {
        reason = deeper.to_string();
        source = deeper.source();
    }
    format!("{server} does not answer: {reason}")
}

fn late(server: &str, within: Duration) -> String {
    let within = within.as_secs();
    format!("{server} did not answer within {within} s; a write may or may not have happened")
}

fn unreachable(failed: &[String]) -> anyhow::Error {
    let advice = "Name managers with --server, KRAKEND_CM_SERVER or a profile";
    Unreachable(format!("{}\n{advice}", failed.join("\n"))).into()
}

fn token(file: Option<&Path>) -> anyhow::Result<String> {
    if let Ok(token) = std::env::var("KRAKEND_CM_TOKEN") {
        return Ok(token.trim().into());
    }
    let path = file.unwrap_or(Path::new(DEFAULT_TOKEN_FILE));
    let token = std::fs::read_to_string(path).with_context(|| {
        format!(
            "reading the token {}: name one with --token-file, KRAKEND_CM_TOKEN or a profile",
            path.display()
        )
    })?;
    Ok(token.trim().into())
}

fn problem(status: StatusCode, body: &[u8]) -> anyhow::Error {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        let text = format!("the manager answered {status}");
        let kind = String::new();
        return Refused { status, kind, text }.into();
    };
    let mut text = problem.detail;
    for finding in &problem.findings {
        text.push_str(&format!(
            "\n  {} line {}, column {}: {}",
            finding.severity, finding.line, finding.column, finding.message
        ));
    }
    if let Some(diff) = problem.diff {
        text.push('\n');
        text.push_str(&diff);
    }
    let kind = problem
        .kind
        .rsplit(':')
        .next()
        .unwrap_or_default()
        .to_owned();
    Refused { status, kind, text }.into()
}
