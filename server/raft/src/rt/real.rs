use std::{future::Future, io};

use tokio::{
    net::TcpStream,
    time::{Timeout, timeout_at as tokio_timeout_at},
};
use uuid::Uuid;

/// What Raft's own tasks run on.
pub(crate) use openraft::impls::TokioRuntime as Runtime;
pub(crate) use std::time::Instant;
pub(crate) use tokio::{
    fs::File,
    spawn,
    task::{spawn_blocking, yield_now},
    time::{interval, sleep, timeout},
};

pub(crate) fn timeout_at<F: Future>(deadline: Instant, future: F) -> Timeout<F> {
    tokio_timeout_at(deadline.into(), future)
}

/// An id that nobody else has.
pub(crate) fn new_id() -> Uuid {
    Uuid::new_v4()
}

/// Whether somebody listens there.
pub(crate) async fn dial(address: &str) -> io::Result<()> {
    TcpStream::connect(address).await.map(drop)
}

/// For work that takes long and that nobody waits for.
pub(crate) fn spawn_thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let thread = std::thread::Builder::new().name(name.into());
    thread.spawn(work).map(drop)
}

/// For work that takes long and that nothing waits for but its own end.
pub(crate) async fn spawn_background<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> io::Result<T> {
    let (tell, told) = tokio::sync::oneshot::channel();
    spawn_thread(name, move || {
        krakend_storage::yield_to_others();
        drop(tell.send(work()));
    })?;
    told.await.map_err(io::Error::other)
}

/// Threads for Raft alone.
pub(crate) struct Pool(tokio::runtime::Runtime);

impl Pool {
    pub(crate) fn new(threads: usize, name: &str) -> io::Result<Self> {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name(name)
            .enable_all()
            .build()
            .map(Self)
    }

    pub(crate) fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(future)
    }

    /// For whoever has tasks begun there by others.
    pub(crate) fn handle(&self) -> Option<tokio::runtime::Handle> {
        Some(self.0.handle().clone())
    }

    pub(crate) fn shutdown_background(self) {
        self.0.shutdown_background();
    }
}
