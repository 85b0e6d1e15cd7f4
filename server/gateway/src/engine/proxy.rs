//! From a matched request to its answer.

use bytes::{Buf, Bytes};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body as _, Incoming};
use serde_json::Value;
use std::sync::Arc;
use std::time::Instant;
use tokio::time::timeout_at;

use super::body::{Body, ClientBody};
use super::client::{CallError, HttpClient, exchange};
use super::headers;
use super::manipulate::Data;
use super::target::{Outgoing, Target};
use crate::config::Encoding;
use crate::statistics::{BackendSeries, Outcome};

/// Largest client body that streams to a single backend.
pub const MAX_STREAMED_BYTES: usize = 64 * 1024 * 1024;
/// Largest client body where several backends need a copy.
pub const MAX_BUFFERED_BYTES: usize = 1024 * 1024;
/// Largest answer of a backend that is decoded.
const MAX_DECODED_BYTES: usize = 64 * 1024 * 1024;

/// Counts a backend's call; one that is dropped unfinished was abandoned by its client.
struct CallRecorder<'t> {
    series: &'t Arc<BackendSeries>,
    started: Instant,
    outcome: Outcome,
}

impl<'t> CallRecorder<'t> {
    fn new(series: &'t Arc<BackendSeries>) -> Self {
        CallRecorder {
            series,
            started: Instant::now(),
            outcome: Outcome::Abandoned,
        }
    }

    fn finish<T>(mut self, result: &Result<T, CallError>) {
        self.outcome = match result {
            Ok(_) => Outcome::Answered,
            Err(CallError::Timeout) => Outcome::Timeout,
            // The client's fault, not the backend's.
            Err(CallError::BodyTooLarge) => Outcome::Abandoned,
            Err(_) => Outcome::Error,
        };
    }
}

impl Drop for CallRecorder<'_> {
    fn drop(&mut self) {
        self.series.record(self.outcome, self.started.elapsed());
    }
}

/// The client's body for one backend, streamed.
pub fn streamed(body: Incoming) -> Result<ClientBody, CallError> {
    if body.is_end_stream() {
        return Ok(ClientBody::Empty);
    }
    if body.size_hint().lower() > MAX_STREAMED_BYTES as u64 {
        return Err(CallError::BodyTooLarge);
    }
    Ok(ClientBody::Stream(Limited::new(body, MAX_STREAMED_BYTES)))
}

/// The client's body for several backends, read first.
pub async fn buffered(body: Incoming, deadline: tokio::time::Instant) -> Result<Bytes, CallError> {
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    if body.size_hint().lower() > MAX_BUFFERED_BYTES as u64 {
        return Err(CallError::BodyTooLarge);
    }
    let read = timeout_at(deadline, Limited::new(body, MAX_BUFFERED_BYTES).collect()).await;
    match read.map_err(|_| CallError::Timeout)? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(CallError::BodyTooLarge),
        Err(error) => Err(CallError::Body(error)),
    }
}

/// Calls a backend and gives its answer as data; `None` is the answer `null`.
pub async fn fetch_data(
    client: &HttpClient,
    target: &Target,
    outgoing: &Outgoing,
    body: ClientBody,
    deadline: tokio::time::Instant,
) -> Result<Option<Data>, CallError> {
    let (host, series) = target.next_host();
    let recorder = CallRecorder::new(series);
    let call = async {
        let mut headers = headers::narrow(&outgoing.headers, &target.input_headers);
        // What is decoded here must come uncompressed.
        headers.remove(http::header::ACCEPT_ENCODING);
        let response = start(client, target, host, outgoing, headers, body).await?;
        if !matches!(response.status(), StatusCode::OK | StatusCode::CREATED) {
            return Err(CallError::Status(response.status()));
        }
        let collected = Limited::new(response.into_body(), MAX_DECODED_BYTES).collect();
        let answer = collected.await.map_err(CallError::Body)?.aggregate();
        Ok(target.manipulation.apply(decode(target, answer)?))
    };
    let result = timeout_at(deadline, call)
        .await
        .unwrap_or(Err(CallError::Timeout));
    recorder.finish(&result);
    result
}

/// Calls a backend and passes its answer through.
pub async fn fetch_through(
    client: &HttpClient,
    target: &Target,
    outgoing: &Outgoing,
    body: ClientBody,
    deadline: tokio::time::Instant,
) -> Result<Response<Body>, CallError> {
    let (host, series) = target.next_host();
    let recorder = CallRecorder::new(series);
    let headers = headers::narrow(&outgoing.headers, &target.input_headers);
    let call = start(client, target, host, outgoing, headers, body);
    let result = timeout_at(deadline, call)
        .await
        .unwrap_or(Err(CallError::Timeout));
    recorder.finish(&result);
    let (mut parts, body) = result?.into_parts();
    headers::strip_hop_by_hop(&mut parts.headers);
    parts.version = http::Version::HTTP_11;
    parts.extensions.clear();
    Ok(Response::from_parts(parts, Body::stream(body, deadline)))
}

async fn start(
    client: &HttpClient,
    target: &Target,
    host: &str,
    outgoing: &Outgoing,
    headers: HeaderMap,
    body: ClientBody,
) -> Result<Response<Incoming>, CallError> {
    let uri = target.uri(host, outgoing)?;
    exchange(client, target.method.clone(), uri, headers, body).await
}

fn decode(target: &Target, answer: impl Buf) -> Result<Option<Data>, CallError> {
    use serde::Deserialize as _;
    // As KrakenD's decoder, this reads one value and ignores what follows.
    let first_value =
        |answer| Value::deserialize(&mut serde_json::Deserializer::from_reader(answer));
    let under = |key: &str, value: Value| Data::from_iter([(key.to_owned(), value)]);
    let wrong = |expected: &str| {
        CallError::Decode(serde::de::Error::custom(format!(
            "the answer is not {expected}; see the backend's encoding and is_collection"
        )))
    };
    Ok(Some(match (&target.encoding, target.is_collection) {
        (Encoding::String, _) => {
            let mut bytes = Vec::with_capacity(answer.remaining());
            std::io::copy(&mut answer.reader(), &mut bytes)
                .map_err(|error| CallError::Body(error.into()))?;
            under(
                "content",
                Value::String(String::from_utf8_lossy(&bytes).into_owned()),
            )
        }
        (Encoding::SafeJson, _) => match first_value(answer.reader())? {
            Value::Object(data) => data,
            list @ Value::Array(_) => under("collection", list),
            scalar => under("content", scalar),
        },
        (Encoding::NoOp, _) => Data::new(),
        (_, true) => match first_value(answer.reader())? {
            list @ (Value::Array(_) | Value::Null) => under("collection", list),
            _ => return Err(wrong("an array")),
        },
        (_, false) => match first_value(answer.reader())? {
            Value::Object(data) => data,
            Value::Null => return Ok(None),
            _ => return Err(wrong("an object")),
        },
    }))
}
