//! A small HTTP/1.1 client: one connection a request, bodies bounded.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Screenshots and statistics are the largest answers.
const MAX_BODY_BYTES: usize = 32 * 1024 * 1024;

/// A request: method, path with query, header lines, body.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    pub method: &'static str,
    pub path: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Option<Bytes>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Ask {
    /// A GET.
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            ..Self::default()
        }
    }

    /// Any method with a JSON body.
    pub fn json(method: &'static str, path: impl Into<String>, body: &Value) -> Self {
        Self::get(path).with_body(method, Bytes::from(body.to_string()))
    }

    /// Any method with a JSON document given as bytes.
    pub fn with_body(mut self, method: &'static str, body: Bytes) -> Self {
        self.method = method;
        self.body = Some(body);
        self.header(CONTENT_TYPE.as_str(), "application/json")
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sends it.
    ///
    /// # Errors
    /// No connection, no HTTP, or no answer within `limit`.
    pub async fn send(&self, server: SocketAddr, limit: Duration) -> Result<Answer> {
        let what = || format!("{} http://{server}{}", self.method, self.path);
        let answer = tokio::time::timeout(limit, self.exchange(server)).await;
        answer
            .with_context(|| format!("{}: no answer within {limit:?}", what()))?
            .with_context(what)
    }

    async fn exchange(&self, server: SocketAddr) -> Result<Answer> {
        let stream = TcpStream::connect(server).await?;
        self.exchange_on(stream, server).await
    }

    /// Sends it on a connection that the caller made, and so knows whether anything was sent at all.
    ///
    /// # Errors
    /// No HTTP, or the connection ended.
    pub async fn exchange_on(&self, stream: TcpStream, server: SocketAddr) -> Result<Answer> {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder().method(self.method).uri(&self.path);
        request = request
            .header(HOST, server.to_string())
            .header(CONNECTION, "close");
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Full::new(self.body.clone().unwrap_or_default()))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let headers = answer.headers().clone();
        let body = Limited::new(answer.into_body(), MAX_BODY_BYTES)
            .collect()
            .await;
        driver.abort();
        match body {
            Ok(body) => Ok(Answer {
                status,
                headers,
                body: body.to_bytes(),
            }),
            Err(error) => bail!("the answer's body: {error}"),
        }
    }
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is none; the message shows its beginning.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body)
            .with_context(|| format!("no JSON in the answer {}: {}", self.status, self.excerpt()))
    }

    /// The beginning of the body, for messages.
    pub fn excerpt(&self) -> String {
        String::from_utf8_lossy(&self.body)
            .chars()
            .take(600)
            .collect()
    }

    /// Fails unless the status is 2xx.
    ///
    /// # Errors
    /// Shows status and body.
    pub fn ok(self) -> Result<Self> {
        if self.status.is_success() {
            Ok(self)
        } else {
            bail!("answered {}: {}", self.status, self.excerpt())
        }
    }
}
