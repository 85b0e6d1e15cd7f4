//! One keep-alive HTTP/1.1 connection to one manager.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const MAX_ANSWER_BYTES: usize = 4 << 20;
/// What a manager takes as a caller's patience.
const PATIENCE_MS: std::ops::RangeInclusive<u128> = 100..=60_000;

/// A connection that is made when it is needed, and again after a request that did not end well.
#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    host: HeaderValue,
    token: HeaderValue,
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Bytes,
}

impl Connection {
    /// To the manager at `address`, with an API token.
    ///
    /// # Errors
    /// The token has characters that no header may have.
    pub fn new(address: SocketAddr, token: &str) -> Result<Self> {
        let mut token = HeaderValue::try_from(format!("Bearer {token}")).context("the token")?;
        token.set_sensitive(true);
        Ok(Self {
            address,
            host: HeaderValue::try_from(address.to_string()).context("the address")?,
            token,
            sender: None,
        })
    }

    /// Sends one request; the manager is told to give up at `limit` too.
    ///
    /// # Errors
    /// No connection, no HTTP, or no answer within `limit`.
    pub async fn send(
        &mut self,
        method: Method,
        path: &str,
        precondition: Option<(&'static str, &str)>,
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer> {
        let patience = limit
            .as_millis()
            .clamp(*PATIENCE_MS.start(), *PATIENCE_MS.end());
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.host.clone())
            .header(AUTHORIZATION, self.token.clone())
            .header("x-request-timeout-ms", patience.to_string());
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some((name, value)) = precondition {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).context("make the request")?;
        // Taken out: what is dropped in the middle of a request must not be used for the next one.
        let sender = self.sender.take();
        let exchange = exchange(self.address, sender, request);
        let (sender, answer) = tokio::time::timeout(limit, exchange)
            .await
            .with_context(|| format!("{path}: no answer within {limit:?}"))?
            .with_context(|| format!("{path} at {}", self.address))?;
        self.sender = Some(sender);
        Ok(answer)
    }
}

async fn exchange(
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
    request: Request<Full<Bytes>>,
) -> Result<(SendRequest<Full<Bytes>>, Answer)> {
    let mut sender = match sender.filter(|sender| !sender.is_closed()) {
        Some(sender) => sender,
        None => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(stream)).await?;
            // It ends with its sender.
            tokio::spawn(connection);
            sender
        }
    };
    sender.ready().await?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    let body = Limited::new(body, MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| anyhow::anyhow!("the answer's body: {error}"))?;
    let answer = Answer {
        status: head.status,
        body: body.to_bytes(),
    };
    Ok((sender, answer))
}

impl Answer {
    /// Fails unless the status is 2xx.
    ///
    /// # Errors
    /// Shows status and the body's beginning.
    pub fn ok(self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let text = String::from_utf8_lossy(&self.body);
        let text: String = text.chars().take(300).collect();
        anyhow::bail!("answered {}: {text}", self.status)
    }
}
