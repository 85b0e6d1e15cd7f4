//! One request through the front door.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, RETRY_AFTER};
use http::request::Parts;
use http::{HeaderValue, Request, Response, StatusCode, Uri, Version};
use http_body_util::{Either, Empty, Full};
use hyper::body::{Body, Incoming};
use hyper_util::client::legacy::Error;

use super::exchange::{DoorBody, Exchange, TrackedBody};
use super::headers::{prepare_request, strip_hop_by_hop};
use crate::runtime::krakend::live::{InFlight, UpstreamBody};
use crate::runtime::krakend::shared::Shared;

/// Answers one request.
pub(super) async fn handle(
    shared: Arc<Shared>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<DoorBody> {
    if shared.is_draining() && shared.is_health(request.uri().path()) {
        return draining();
    }
    let mut response = match shared.enter() {
        Some(in_flight) => forward(&shared, in_flight, peer, request).await,
        None => unavailable(&shared, &request),
    };
    if shared.is_closing() || shared.is_draining() {
        response
            .headers_mut()
            .insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

async fn forward(
    shared: &Shared,
    mut in_flight: InFlight,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<DoorBody> {
    let live = in_flight.live();
    let mut exchange = Exchange::begin(
        &shared.statistics,
        Some(live),
        request.method(),
        request.uri().path(),
    );
    let (mut parts, body) = request.into_parts();
    let client = live.rules.client_ip(peer, &parts.headers);
    prepare_request(&mut parts.headers, client);

    let mut retry = body.is_end_stream().then(|| parts.clone());
    let mut body: UpstreamBody = if retry.is_some() {
        Either::Right(Empty::new())
    } else {
        Either::Left(body)
    };
    loop {
        let Some(upstream) = to_upstream(parts, body, in_flight.live().port) else {
            return own_answer(
                &mut exchange,
                StatusCode::BAD_REQUEST,
                "the request's target cannot be forwarded",
            );
        };
        let error = match in_flight.live().send(upstream).await {
            Ok(response) => return from_upstream(response, exchange, in_flight),
            Err(error) => error,
        };
        match (retry.take(), shared.enter()) {
            // Without a body nothing is lost by asking again; whoever serves
            // now may be another gateway than a moment ago.
            (Some(again), Some(current)) if may_repeat(&again, &error) => {
                (parts, body, in_flight) = (again, Either::Right(Empty::new()), current);
            }
            _ => return failed(&mut exchange, &error),
        }
    }
}

/// Nothing was sent, or repeating is harmless (RFC 9110, 9.2.2).
fn may_repeat(parts: &Parts, error: &Error) -> bool {
    error.is_connect() || parts.method.is_idempotent()
}

fn to_upstream(mut parts: Parts, body: UpstreamBody, port: u16) -> Option<Request<UpstreamBody>> {
    let target = parts.uri.path_and_query().map_or("/", |t| t.as_str());
    parts.uri = format!("http://127.0.0.1:{port}{target}")
        .parse::<Uri>()
        .ok()?;
    parts.version = Version::HTTP_11;
    Some(Request::from_parts(parts, body))
}

fn from_upstream(
    response: Response<Incoming>,
    mut exchange: Exchange,
    in_flight: InFlight,
) -> Response<DoorBody> {
    let (mut parts, body) = response.into_parts();
    strip_hop_by_hop(&mut parts.headers);
    parts.version = Version::HTTP_11;
    exchange.answered(parts.status);
    Response::from_parts(
        parts,
        Either::Left(TrackedBody::new(body, exchange, in_flight)),
    )
}

fn failed(exchange: &mut Exchange, error: &Error) -> Response<DoorBody> {
    if error.is_connect() {
        return retry_later(exchange, "the gateway is starting again");
    }
    tracing::warn!(target: "gateway", error = error as &dyn std::error::Error, "the gateway broke off a request");
    own_answer(
        exchange,
        StatusCode::BAD_GATEWAY,
        "the gateway broke off the request",
    )
}

fn unavailable(shared: &Shared, request: &Request<Incoming>) -> Response<DoorBody> {
    let mut exchange = Exchange::begin(
        &shared.statistics,
        None,
        request.method(),
        request.uri().path(),
    );
    if shared.is_configured() {
        retry_later(&mut exchange, "the gateway is starting again")
    } else {
        retry_later(&mut exchange, "this node has no configuration yet")
    }
}

fn retry_later(exchange: &mut Exchange, message: &str) -> Response<DoorBody> {
    let mut response = own_answer(exchange, StatusCode::SERVICE_UNAVAILABLE, message);
    response
        .headers_mut()
        .insert(RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// What balancers ask for; it is not counted.
fn draining() -> Response<DoorBody> {
    let mut response = text_answer(StatusCode::SERVICE_UNAVAILABLE, "this node is draining");
    response
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn own_answer(exchange: &mut Exchange, status: StatusCode, message: &str) -> Response<DoorBody> {
    exchange.answered(status);
    let answer = text_answer(status, message);
    let bytes = answer.body().size_hint().exact().unwrap_or(0);
    exchange.sent(bytes);
    answer
}

fn text_answer(status: StatusCode, message: &str) -> Response<DoorBody> {
    let text = serde_json::json!({ "message": message }).to_string();
    let mut response = Response::new(Either::Right(Full::new(Bytes::from(text))));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
