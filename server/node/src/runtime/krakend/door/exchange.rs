//! One request from its head to the end of its answer: counted once.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use krakend_gateway::{NO_ROUTE, Statistics};

use crate::runtime::krakend::live::{InFlight, Live};

/// The client went away before an answer, as nginx counts it.
const CLIENT_GONE: u16 = 499;

/// The answer's body: from the gateway, or the front door's own words.
pub(super) type DoorBody = Either<TrackedBody, Full<Bytes>>;

/// Counts one request when it is dropped, or when [`Exchange::finish`] is called.
pub(super) struct Exchange {
    statistics: Option<Arc<Statistics>>,
    endpoint: String,
    method: Method,
    started: Instant,
    status: u16,
    bytes_sent: u64,
}

impl Exchange {
    /// Begins a request; `live` knows its endpoint. The health check is not counted.
    pub(super) fn begin(
        statistics: &Arc<Statistics>,
        live: Option<&Live>,
        method: &Method,
        path: &str,
    ) -> Self {
        let health =
            live.is_some_and(|l| l.health_path.as_deref() == Some(path)) || path == "/__health";
        let routes = live.and_then(|l| l.routes.as_ref());
        let endpoint = routes.and_then(|r| r.endpoint_of(method.as_str(), path));
        Self {
            statistics: (!health).then(|| Arc::clone(statistics)),
            endpoint: endpoint.unwrap_or(NO_ROUTE).to_owned(),
            method: method.clone(),
            started: Instant::now(),
            status: CLIENT_GONE,
            bytes_sent: 0,
        }
    }

    /// The answer's head is known.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    /// So much of the answer's body goes to the client.
    pub(super) fn sent(&mut self, bytes: u64) {
        self.bytes_sent += bytes;
    }

    fn finish(&mut self) {
        if let Some(statistics) = self.statistics.take() {
            statistics.record_request(
                &self.endpoint,
                self.method.as_str(),
                self.status,
                self.started.elapsed(),
                self.bytes_sent,
            );
        }
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.finish();
    }
}

/// The gateway's body on its way to the client. The gateway counts as busy
/// until it is through.
pub(super) struct TrackedBody {
    inner: Incoming,
    exchange: Exchange,
    _in_flight: InFlight,
}

impl TrackedBody {
    pub(super) fn new(inner: Incoming, mut exchange: Exchange, in_flight: InFlight) -> Self {
        if inner.is_end_stream() {
            exchange.finish();
        }
        Self {
            inner,
            exchange,
            _in_flight: in_flight,
        }
    }
}

impl Body for TrackedBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            self.exchange.sent(bytes as u64);
        }
        // Counted before the last byte leaves, so whoever has read an answer
        // finds it in the statistics.
        let over = matches!(polled, Poll::Ready(None | Some(Err(_)))) || self.inner.is_end_stream();
        if over {
            self.exchange.finish();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
