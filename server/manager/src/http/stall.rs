//! A reader that takes nothing is hung up on: its connection would stay for ever otherwise.

use std::{
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    extract::connect_info::Connected,
    serve::{IncomingStream, Listener},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    time::Sleep,
};
use tokio_rustls::server::TlsStream;

/// How long a connection may take nothing of what is sent.
pub const LIMIT: Duration = Duration::from_secs(30);

/// What the kernel keeps of an answer that is not taken, in bytes: with its own measure a thousand readers that take
/// nothing would cost gigabytes.
const SEND_BUFFER: u32 = 128 * 1024;

/// Listens on `host:port`.
///
/// # Errors
/// No address of the name can be listened on; the last one's error.
pub async fn bind(address: &str) -> io::Result<TcpListener> {
    let mut last = None;
    for address in tokio::net::lookup_host(address).await? {
        match bind_one(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::other("the name has no address")))
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // Connections inherit it.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(1_024)
}

/// Accepts connections whose writes may not stall.
pub struct Guarded {
    source: Source,
    address: SocketAddr,
    dropped: Arc<AtomicU64>,
}

enum Source {
    Plain(TcpListener),
    /// After their handshakes.
    Tls(mpsc::Receiver<(Wire, SocketAddr)>),
}

impl Guarded {
    /// `dropped` counts the readers that were hung up on.
    pub fn plain(listener: TcpListener, dropped: Arc<AtomicU64>) -> io::Result<Self> {
        Ok(Self {
            address: listener.local_addr()?,
            source: Source::Plain(listener),
            dropped,
        })
    }

    /// The connections of a listener at `address` whose handshakes are done elsewhere.
    pub fn tls(
        ready: mpsc::Receiver<(Wire, SocketAddr)>,
        address: SocketAddr,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        Self {
            source: Source::Tls(ready),
            address,
            dropped,
        }
    }
}

impl Listener for Guarded {
    type Io = Stall<Wire>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        let (wire, address) = match &mut self.source {
            Source::Plain(listener) => {
                let (stream, address) = Listener::accept(listener).await;
                // Without it small answers wait for an acknowledgement; that it fails is no reason to refuse.
                let _ = stream.set_nodelay(true);
                (Wire::Plain(stream), address)
            }
            Source::Tls(ready) => match ready.recv().await {
                Some(accepted) => accepted,
                // The manager stops.
                None => std::future::pending().await,
            },
        };
        (Stall::new(wire, LIMIT, self.dropped.clone()), address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub address: SocketAddr,
}

impl Connected<IncomingStream<'_, Guarded>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Guarded>) -> Self {
        Self {
            address: *stream.remote_addr(),
        }
    }
}

/// A connection, plain or with TLS.
pub enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

macro_rules! on_stream {
    ($wire:expr, $stream:ident => $call:expr) => {
        match &mut *$wire {
            Wire::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            Wire::Tls(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
        }
    };
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on_stream!(self, stream => stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_stream!(self, stream => stream.poll_write_vectored(cx, pieces))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_stream!(self, stream => stream.poll_shutdown(cx))
    }
}

/// Fails a write that has made no progress for a while.
pub struct Stall<T> {
    inner: T,
    limit: Duration,
    /// Runs while a write waits.
    stalled: Option<Pin<Box<Sleep>>>,
    dropped: Arc<AtomicU64>,
}

impl<T> Stall<T> {
    fn new(inner: T, limit: Duration, dropped: Arc<AtomicU64>) -> Self {
        Self {
            inner,
            limit,
            stalled: None,
            dropped,
        }
    }

    fn watch<R>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let limit = self.limit;
        let stalled = self
            .stalled
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        if stalled.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the reader took nothing for {limit:?}"),
        )))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Stall<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Stall<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.watch(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn a_reader_that_never_reads_is_hung_up_on() {
        let (ours, _theirs) = tokio::io::duplex(64);
        let dropped = Arc::new(AtomicU64::new(0));
        let mut stall = Stall::new(ours, Duration::from_millis(50), dropped.clone());
        stall.write_all(&[0; 64]).await.expect("it fits");
        let error = stall.write_all(&[0; 1]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(dropped.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_slow_reader_that_reads_is_not() {
        const LIMIT: Duration = Duration::from_secs(2);
        let (ours, mut theirs) = tokio::io::duplex(64);
        let mut stall = Stall::new(ours, LIMIT, Arc::default());
        let reading = tokio::spawn(async move {
            let mut buffer = [0; 64];
            for _ in 0..12 {
                // Slower than the limit in all, quicker at each step.
                tokio::time::sleep(LIMIT / 10).await;
                theirs.read_exact(&mut buffer).await.expect("written");
            }
        });
        stall
            .write_all(&[0; 768])
            .await
            .expect("it is slow, not gone");
        reading.await.expect("it has read all");
    }
}
