//! The bodies that go to clients and to backends.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::Limited;
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::Sleep;

use crate::statistics::EndpointSeries;

/// Why an answer ended before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// The backend broke off; what the client has is incomplete.
    #[error("the backend broke the answer off: {0}")]
    Backend(#[source] hyper::Error),
    /// The endpoint's timeout covers the whole answer, as with KrakenD.
    #[error(
        "the answer was cut off because the endpoint's timeout passed; raise the endpoint's timeout"
    )]
    Timeout,
}

/// The body of the engine's answers.
#[derive(Debug)]
pub struct Body {
    kind: Kind,
    recorder: Option<Recorder>,
}

#[derive(Debug)]
enum Kind {
    Full(Option<Bytes>),
    Stream {
        inner: Incoming,
        deadline: Pin<Box<Sleep>>,
    },
}

impl Body {
    /// A body that is there already; may be empty.
    pub fn full(bytes: impl Into<Bytes>) -> Self {
        Body {
            kind: Kind::Full(Some(bytes.into()).filter(|bytes| !bytes.is_empty())),
            recorder: None,
        }
    }

    /// A backend's body, passed on as it comes.
    pub(crate) fn stream(inner: Incoming, deadline: tokio::time::Instant) -> Self {
        let deadline = Box::pin(tokio::time::sleep_until(deadline));
        Body {
            kind: Kind::Stream { inner, deadline },
            recorder: None,
        }
    }

    /// Counts the request when this body has been sent.
    pub(crate) fn recorded(mut self, recorder: Recorder) -> Self {
        self.recorder = Some(recorder);
        self
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        let polled = match &mut this.kind {
            Kind::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Kind::Stream { inner, deadline } => match Pin::new(inner).poll_frame(cx) {
                Poll::Pending if deadline.as_mut().poll(cx).is_ready() => {
                    Poll::Ready(Some(Err(BodyError::Timeout)))
                }
                Poll::Pending => Poll::Pending,
                Poll::Ready(frame) => {
                    Poll::Ready(frame.map(|frame| frame.map_err(BodyError::Backend)))
                }
            },
        };
        if let (Poll::Ready(Some(Ok(frame))), Some(recorder)) = (&polled, &mut this.recorder) {
            recorder.bytes_sent += frame.data_ref().map_or(0, |data| data.len() as u64);
        }
        // The server may not ask again after the last frame: count now, before the client can see the end.
        if polled.is_ready() && hyper::body::Body::is_end_stream(this) {
            this.recorder = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Full(bytes) => bytes.is_none(),
            Kind::Stream { inner, .. } => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            Kind::Stream { inner, .. } => inner.size_hint(),
        }
    }
}

/// Counts one request when it is dropped, wherever that happens.
#[derive(Debug)]
pub(crate) struct Recorder {
    series: Arc<EndpointSeries>,
    started: Instant,
    status: u16,
    bytes_sent: u64,
}

impl Recorder {
    /// Until an answer is there, the request counts as abandoned by its client.
    const CLIENT_CLOSED_REQUEST: u16 = 499;

    pub fn new(series: Arc<EndpointSeries>, started: Instant) -> Self {
        Recorder {
            series,
            started,
            status: Self::CLIENT_CLOSED_REQUEST,
            bytes_sent: 0,
        }
    }

    pub fn answered(mut self, status: http::StatusCode) -> Self {
        self.status = status.as_u16();
        self
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.series
            .record(self.status, self.started.elapsed(), self.bytes_sent);
    }
}

/// The body of a request to a backend.
#[derive(Debug)]
pub(crate) enum ClientBody {
    Empty,
    Full(Option<Bytes>),
    /// The client's body as it comes.
    Stream(Limited<Incoming>),
}

impl ClientBody {
    /// A buffered body; an empty one is none.
    pub fn full(bytes: Bytes) -> Self {
        if bytes.is_empty() {
            ClientBody::Empty
        } else {
            ClientBody::Full(Some(bytes))
        }
    }

    pub fn is_none(&self) -> bool {
        matches!(self, ClientBody::Empty)
    }
}

impl hyper::body::Body for ClientBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            ClientBody::Empty => Poll::Ready(None),
            ClientBody::Full(bytes) => {
                Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes))))
            }
            ClientBody::Stream(inner) => Pin::new(inner).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ClientBody::Empty => true,
            ClientBody::Full(bytes) => bytes.is_none(),
            ClientBody::Stream(inner) => inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ClientBody::Empty => SizeHint::with_exact(0),
            ClientBody::Full(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64)
            }
            ClientBody::Stream(inner) => inner.size_hint(),
        }
    }
}
