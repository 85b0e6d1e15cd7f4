//! The same as `real`, and what the simulation has instead where this thread is inside of one.

use std::{
    fmt,
    future::Future,
    io,
    path::Path,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, ReadBuf},
    net::TcpStream,
    sync::oneshot,
};
use uuid::Uuid;

pub(crate) use super::raft::Runtime;
use crate::simulation::{self, is_running, world};

super::raft::instant! {
    /// A moment, by the steady clock.
    Instant
}

impl Instant {
    pub(crate) fn now() -> Self {
        match is_running() {
            true => Self(world().now()),
            false => Self(std::time::Instant::now()),
        }
    }

    pub(crate) fn elapsed(&self) -> Duration {
        Self::now().saturating_duration_since(*self)
    }

    pub(crate) fn saturating_duration_since(&self, earlier: Self) -> Duration {
        self.0.saturating_duration_since(earlier.0)
    }

    pub(crate) fn checked_sub(&self, time: Duration) -> Option<Self> {
        self.0.checked_sub(time).map(Self)
    }
}

/// Ends after a time.
pub(crate) enum Sleep {
    Real(Pin<Box<tokio::time::Sleep>>),
    Simulated(simulation::Sleep),
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut *self {
            Self::Real(sleep) => sleep.as_mut().poll(context),
            Self::Simulated(sleep) => Pin::new(sleep).poll(context),
        }
    }
}

pub(crate) fn sleep(time: Duration) -> Sleep {
    match is_running() {
        true => Sleep::Simulated(world().sleep(time)),
        false => Sleep::Real(Box::pin(tokio::time::sleep(time))),
    }
}

pub(crate) fn sleep_until(deadline: Instant) -> Sleep {
    match is_running() {
        true => Sleep::Simulated(world().sleep_until_instant(deadline.0)),
        false => Sleep::Real(Box::pin(tokio::time::sleep_until(deadline.0.into()))),
    }
}

/// Lets others run first.
pub(crate) async fn yield_now() {
    match is_running() {
        true => sleep(Duration::ZERO).await,
        false => tokio::task::yield_now().await,
    }
}

/// The time is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the time is over")
    }
}

/// A future that is given up after a time.
pub(crate) struct Timeout<F> {
    future: Pin<Box<F>>,
    sleep: Sleep,
}

impl<F: Future> Future for Timeout<F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(done) = self.future.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        Pin::new(&mut self.sleep)
            .poll(context)
            .map(|()| Err(Elapsed))
    }
}

pub(crate) fn timeout<F: Future>(time: Duration, future: F) -> Timeout<F> {
    Timeout {
        future: Box::pin(future),
        sleep: sleep(time),
    }
}

pub(crate) fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    Timeout {
        future: Box::pin(future),
        sleep: sleep_until(deadline),
    }
}

/// Ticks at once, and then every so often.
pub(crate) struct Interval {
    every: Duration,
    begun: bool,
}

pub(crate) fn interval(every: Duration) -> Interval {
    Interval {
        every,
        begun: false,
    }
}

impl Interval {
    pub(crate) async fn tick(&mut self) {
        if std::mem::replace(&mut self.begun, true) {
            sleep(self.every).await;
        }
    }
}

/// What a task comes to.
pub(crate) enum JoinHandle<T> {
    Real(tokio::task::JoinHandle<T>),
    Simulated(oneshot::Receiver<T>),
}

/// The task was ended before it was done.
#[derive(Debug)]
pub(crate) struct JoinError {
    pub panicked: bool,
    reason: String,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for JoinError {}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Real(handle) => Pin::new(handle).poll(context).map_err(|error| JoinError {
                panicked: error.is_panic(),
                reason: error.to_string(),
            }),
            Self::Simulated(done) => Pin::new(done).poll(context).map_err(|error| JoinError {
                panicked: false,
                reason: error.to_string(),
            }),
        }
    }
}

pub(crate) fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    match is_running() {
        true => JoinHandle::Simulated(simulation::spawn(future)),
        false => JoinHandle::Real(tokio::spawn(future)),
    }
}

/// Inside a simulation the work is done in one go, and then it has taken some time.
pub(crate) async fn spawn_blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinError> {
    if !is_running() {
        return JoinHandle::Real(tokio::task::spawn_blocking(work)).await;
    }
    let done = work();
    sleep(world().random(|random| random.micros(50..3_000))).await;
    Ok(done)
}

/// At the usual priority, so that tests do not wait for one another.
pub(crate) async fn spawn_background<T: Send + 'static>(
    _: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(work).await.map_err(io::Error::other)
}

pub(crate) fn spawn_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    if is_running() {
        work();
        return Ok(());
    }
    let thread = std::thread::Builder::new().name(name.into());
    thread.spawn(work).map(drop)
}

pub(crate) fn new_id() -> Uuid {
    if !is_running() {
        return Uuid::new_v4();
    }
    let (high, low) = world().random(|random| (random.next(), random.next()));
    uuid::Builder::from_random_bytes((u128::from(high) << 64 | u128::from(low)).to_be_bytes())
        .into_uuid()
}

pub(crate) async fn dial(address: &str) -> io::Result<()> {
    if is_running() {
        return simulation::dial(address).await;
    }
    TcpStream::connect(address).await.map(drop)
}

/// A file that is read in place.
pub(crate) struct File(std::fs::File);

impl File {
    pub(crate) async fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        std::fs::File::open(path).map(Self)
    }
}

impl AsyncRead for File {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = io::Read::read(&mut self.0, buffer.initialize_unfilled());
        Poll::Ready(read.map(|bytes| buffer.advance(bytes)))
    }
}

/// Threads for Raft alone; inside a simulation, the manager's own process.
pub(crate) enum Pool {
    Real(tokio::runtime::Runtime),
    Simulated,
}

impl Pool {
    pub(crate) fn new(threads: usize, name: &str) -> io::Result<Self> {
        if is_running() {
            return Ok(Self::Simulated);
        }
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name(name)
            .enable_all()
            .build()
            .map(Self::Real)
    }

    pub(crate) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match self {
            Self::Real(runtime) => JoinHandle::Real(runtime.spawn(future)),
            Self::Simulated => spawn(future),
        }
    }

    pub(crate) fn handle(&self) -> Option<tokio::runtime::Handle> {
        match self {
            Self::Real(runtime) => Some(runtime.handle().clone()),
            Self::Simulated => None,
        }
    }

    pub(crate) fn shutdown_background(self) {
        if let Self::Real(runtime) = self {
            runtime.shutdown_background();
        }
    }
}
