use std::{path::Path, time::Duration};

use anyhow::{Context, bail};
use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client as Http, rt::TokioExecutor};
use krakend_api::Problem;

use super::{Client, connect::Connector};

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
#[derive(Default)]
pub struct Ask {
    pub method: Method,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

impl ApiClient {
    pub fn new(options: &Client) -> anyhow::Result<Self> {
        for server in &options.server {
            if !server.starts_with("http://") && !server.starts_with("https://") {
                bail!("--server {server}: write http://host:port or https://host:port");
            }
        }
        let https = options.server.iter().any(|it| it.starts_with("https://"));
        let connector = Connector::new(https, options.ca_file.as_deref())?;
        Ok(Self {
            servers: options.server.clone(),
            token: token(options)?,
            http: Http::builder(TokioExecutor::new()).build(connector),
        })
    }

    /// The answer's body; a problem becomes an error that says what and what to do.
    pub async fn ask(&self, ask: Ask) -> anyhow::Result<Vec<u8>> {
        let mut last = None;
        for server in &self.servers {
            match self.ask_one(server, &ask).await {
                Ok((status, body)) if status.is_success() => return Ok(body),
                Ok((status, body)) => return Err(problem(status, &body)),
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no --server is named")))
    }

    pub async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let ask = Ask {
            path: path.into(),
            ..Ask::default()
        };
        let body = self.ask(ask).await?;
        serde_json::from_slice(&body).with_context(|| format!("reading the answer of {path}"))
    }

    /// Begins to read an answer that may be long; the body is the caller's to read.
    pub async fn open(
        &self,
        path: &str,
        within: Duration,
    ) -> anyhow::Result<http::Response<hyper::body::Incoming>> {
        let mut last = None;
        for server in &self.servers {
            let uri = format!("{}{path}", server.trim_end_matches('/'));
            let request = Request::builder()
                .uri(&uri)
                .header("authorization", format!("Bearer {}", self.token))
                .body(Full::new(Bytes::new()))?;
            match tokio::time::timeout(within, self.http.request(request)).await {
                Ok(Ok(answer)) if answer.status().is_success() => return Ok(answer),
                Ok(Ok(answer)) => {
                    let status = answer.status();
                    let body = http_body_util::Limited::new(answer.into_body(), MAX_PROBLEM);
                    let body = body.collect().await.map(http_body_util::Collected::to_bytes);
                    return Err(problem(status, &body.unwrap_or_default()));
                }
                Ok(Err(error)) => last = Some(anyhow::Error::new(error).context(format!("{server} does not answer: is a manager running there? Name others with --server"))),
                Err(_) => last = Some(anyhow::anyhow!("{server} did not answer within {} s", within.as_secs())),
            }
        }
        Err(last.unwrap_or_else(|| anyhow::anyhow!("no --server is named")))
    }

    async fn ask_one(&self, server: &str, ask: &Ask) -> anyhow::Result<(StatusCode, Vec<u8>)> {
        let uri = format!("{}{}", server.trim_end_matches('/'), ask.path);
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(&uri)
            .header("authorization", format!("Bearer {}", self.token));
        for (name, value) in &ask.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(Bytes::from(ask.body.clone())))?;
        let answer = async {
            let response = self.http.request(request).await?;
            let status = response.status();
            let body = http_body_util::Limited::new(response.into_body(), MAX_ANSWER);
            let body = body
                .collect()
                .await
                .map_err(|error| anyhow::anyhow!(error))?;
            anyhow::Ok((status, body.to_bytes().to_vec()))
        };
        tokio::time::timeout(ANSWER_WITHIN, answer)
            .await
            .with_context(|| format!("{server} did not answer within 15 s; a write may or may not have happened"))?
            .with_context(|| format!("{server} does not answer: is a manager running there? Name others with --server"))
    }
}

fn token(options: &Client) -> anyhow::Result<String> {
    if let Ok(token) = std::env::var("KRAKEND_CM_TOKEN") {
        return Ok(token.trim().into());
    }
    let path = options.token_file.as_deref();
    let path = path.unwrap_or(Path::new(DEFAULT_TOKEN_FILE));
    let token = std::fs::read_to_string(path).with_context(|| {
        format!(
            "reading the token {}: name one with --token-file or KRAKEND_CM_TOKEN",
            path.display()
        )
    })?;
    Ok(token.trim().into())
}

fn problem(status: StatusCode, body: &[u8]) -> anyhow::Error {
    let Ok(problem) = serde_json::from_slice::<Problem>(body) else {
        return anyhow::anyhow!("the manager answered {status}");
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
    anyhow::anyhow!(text)
}
