//! Calling a backend: one HTTP exchange with redirects and the retry of a stale connection.

use std::error::Error as _;
use std::io::ErrorKind;
use std::time::Duration;

use http::header::{self, HeaderMap};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::LengthLimitError;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::body::ClientBody;

pub type HttpClient = Client<HttpConnector, ClientBody>;

/// KrakenD's own default for `max_idle_connections_per_host`.
const MAX_IDLE_PER_HOST: usize = 250;
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// As many as Go's client follows.
const MAX_REDIRECTS: usize = 10;

/// Why a call gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("the backend's address is no URL: {0}")]
    Address(#[from] http::uri::InvalidUri),
    #[error("the request could not be built: {0}")]
    Request(#[from] http::Error),
    #[error("the exchange with the backend failed: {0}")]
    Exchange(#[from] Error),
    #[error("the client's body is larger than the gateway passes on")]
    BodyTooLarge,
    #[error("the backend answered {0}, not 200 or 201")]
    Status(StatusCode),
    #[error("the backend's answer could not be read: {0}")]
    Body(Box<dyn std::error::Error + Send + Sync>),
    #[error("the backend's answer could not be decoded: {0}")]
    Decode(#[from] serde_json::Error),
    #[error("the backend did not answer in time")]
    Timeout,
    #[error("the backend redirected more than {MAX_REDIRECTS} times")]
    TooManyRedirects,
}

/// The client for all backends; its connections outlive configurations.
pub fn new_client() -> HttpClient {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .build(connector)
}

/// One exchange, redirects followed.
pub async fn exchange(
    client: &HttpClient,
    mut method: Method,
    mut uri: Uri,
    mut headers: HeaderMap,
    body: ClientBody,
) -> Result<Response<Incoming>, CallError> {
    let had_body = !body.is_none();
    let mut body = Some(body);
    for _ in 0..=MAX_REDIRECTS {
        let sent = body.take().unwrap_or(ClientBody::Empty);
        let response = send(client, &method, &uri, &headers, sent).await?;
        let Some(next) = redirect(&response, &uri) else {
            return Ok(response);
        };
        match response.status() {
            // A streamed body is gone and cannot be sent again; Go's client gives up here as well.
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT if had_body => {
                return Ok(response);
            }
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => {}
            _ => {
                if method != Method::HEAD {
                    method = Method::GET;
                }
                for describes_the_body in [
                    header::CONTENT_TYPE,
                    header::CONTENT_ENCODING,
                    header::CONTENT_LANGUAGE,
                    header::CONTENT_LOCATION,
                ] {
                    headers.remove(describes_the_body);
                }
            }
        }
        if next.authority() != uri.authority() {
            for secret in [
                header::AUTHORIZATION,
                header::COOKIE,
                header::WWW_AUTHENTICATE,
            ] {
                headers.remove(secret);
            }
        }
        uri = next;
    }
    Err(CallError::TooManyRedirects)
}

async fn send(
    client: &HttpClient,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: ClientBody,
) -> Result<Response<Incoming>, CallError> {
    let repeatable = body.is_none() && (method.is_idempotent());
    let first = client.request(request(method, uri, headers, body)?).await;
    let error = match first {
        Ok(response) => return Ok(response),
        Err(error) => error,
    };
    if is_too_large(&error) {
        return Err(CallError::BodyTooLarge);
    }
    // The backend closed a kept connection while the request was on its way: that says nothing about the request.
    if repeatable && is_stale_connection(&error) {
        return Ok(client
            .request(request(method, uri, headers, ClientBody::Empty)?)
            .await?);
    }
    Err(error.into())
}

fn request(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: ClientBody,
) -> http::Result<Request<ClientBody>> {
    let mut request = Request::builder()
        .method(method.clone())
        .uri(uri.clone())
        .body(body)?;
    *request.headers_mut() = headers.clone();
    Ok(request)
}

fn is_stale_connection(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(hyper) = cause.downcast_ref::<hyper::Error>()
            && (hyper.is_incomplete_message() || hyper.is_canceled())
        {
            return true;
        }
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return !error.is_connect()
                && matches!(
                    io.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                );
        }
        source = cause.source();
    }
    false
}

fn is_too_large(error: &Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if cause.is::<LengthLimitError>() {
            return true;
        }
        source = cause.source();
    }
    false
}

/// Where a redirect leads; `None` for other answers and for addresses that cannot be followed.
fn redirect(response: &Response<Incoming>, from: &Uri) -> Option<Uri> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    resolve(
        response.headers().get(header::LOCATION)?.to_str().ok()?,
        from,
    )
}

/// Resolves a `Location` against the address it came from (RFC 3986, section 5; dot segments are left to the backend).
fn resolve(location: &str, from: &Uri) -> Option<Uri> {
    let location = location.split('#').next().unwrap_or_default();
    let base = format!("{}://{}", from.scheme_str()?, from.authority()?);
    let text = if location.contains("://") {
        location.to_owned()
    } else if let Some(rest) = location.strip_prefix("//") {
        format!("{}://{rest}", from.scheme_str()?)
    } else if location.starts_with('/') {
        format!("{base}{location}")
    } else {
        let directory = from
            .path()
            .rsplit_once('/')
            .map_or("", |(directory, _)| directory);
        format!("{base}{directory}/{location}")
    };
    text.parse()
        .ok()
        .filter(|uri: &Uri| uri.scheme_str() == Some("http"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_resolve_against_the_address_they_came_from() {
        let from: Uri = "http://h:1/a/b?x=1".parse().unwrap();
        let resolved = |location| resolve(location, &from).map(|uri| uri.to_string());
        assert_eq!(resolved("/c").as_deref(), Some("http://h:1/c"));
        assert_eq!(resolved("c?y=2#f").as_deref(), Some("http://h:1/a/c?y=2"));
        assert_eq!(resolved("//g/c").as_deref(), Some("http://g/c"));
        assert_eq!(resolved("http://g:2/").as_deref(), Some("http://g:2/"));
        assert_eq!(resolved("https://g/"), None);
    }
}
