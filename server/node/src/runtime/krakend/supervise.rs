//! Keeps the wanted configuration served: switches, drains, restarts.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::launch::Launcher;
use super::live::Live;
use super::shared::Shared;
use super::{Document, gateway};
use crate::runtime::process::read_use;
use crate::runtime::{Applied, ApplyError, ProcessSample};

/// Pause before the second restart in a row; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A gateway that lived so long starts over with a first, immediate restart.
const STABLE_AFTER: Duration = Duration::from_secs(30);

/// See the module.
pub(crate) struct Supervisor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) launcher: Launcher,
    drain_timeout: Duration,
    stop_timeout: Duration,
    /// One change at a time: apply, restart or stop.
    wanted: Mutex<Wanted>,
    /// Ends a launch that a stop would have to wait for.
    stopping: CancellationToken,
    restarts: AtomicU32,
    failures_in_a_row: AtomicU32,
    cpu: StdMutex<CpuAccount>,
}

#[derive(Default)]
struct Wanted {
    source: Option<Arc<Vec<u8>>>,
    retiring: Option<JoinHandle<()>>,
    stopped: bool,
}

/// CPU time over all processes of this runtime.
#[derive(Default)]
struct CpuAccount {
    pid: u32,
    of_pid_ms: u64,
    before_ms: u64,
}

impl Supervisor {
    pub(crate) fn new(
        launcher: Launcher,
        drain_timeout: Duration,
        stop_timeout: Duration,
    ) -> Arc<Self> {
        Arc::new(Self {
            shared: Arc::new(Shared::new()),
            launcher,
            drain_timeout,
            stop_timeout,
            wanted: Mutex::default(),
            stopping: CancellationToken::new(),
            restarts: AtomicU32::new(0),
            failures_in_a_row: AtomicU32::new(0),
            cpu: StdMutex::default(),
        })
    }

    /// KrakenD's own check, then what the front door needs.
    pub(crate) async fn check(&self, source: &[u8]) -> Result<Document, ApplyError> {
        static CANDIDATES: AtomicU64 = AtomicU64::new(0);
        let number = CANDIDATES.fetch_add(1, Ordering::Relaxed);
        let file = self
            .launcher
            .work_dir
            .join(format!("gateway-candidate-{number}.json"));
        let writing = format!("writing {}", file.display());
        gateway::write_private(&file, source).map_err(ApplyError::io(writing))?;
        let checked = self.launcher.binary.check(&file).await;
        let removing = format!("removing {}", file.display());
        std::fs::remove_file(&file).map_err(ApplyError::io(removing))?;
        checked?;
        Ok(Document::parse(source)?)
    }

    pub(crate) async fn apply(self: &Arc<Self>, source: &[u8]) -> Result<Applied, ApplyError> {
        let document = self.check(source).await?;
        let mut wanted = self.wanted.lock().await;
        if wanted.stopped {
            return Err(ApplyError::Stopping);
        }
        if let (Some(live), Some(same)) = (self.shared.current(), &wanted.source)
            && same.as_slice() == source
            && !live.process.has_exited()
        {
            return Ok(Applied {
                rendered_digest: live.digest,
            });
        }
        self.replace(&mut wanted, Arc::new(source.to_vec()), &document)
            .await
    }

    /// Another process for the configuration that is served.
    pub(crate) async fn renew(self: &Arc<Self>) -> Result<Applied, ApplyError> {
        let mut wanted = self.wanted.lock().await;
        if wanted.stopped {
            return Err(ApplyError::Stopping);
        }
        let source = wanted.source.clone().ok_or(ApplyError::NoConfiguration)?;
        let document = Document::parse(&source)?;
        self.replace(&mut wanted, source, &document).await
    }

    async fn replace(
        self: &Arc<Self>,
        wanted: &mut Wanted,
        source: Arc<Vec<u8>>,
        document: &Document,
    ) -> Result<Applied, ApplyError> {
        // At most one gateway drains while two others run.
        if let Some(retiring) = wanted.retiring.take() {
            wait_for(retiring).await;
        }
        let live = self.launch(&source, document).await?;
        wanted.source = Some(source);
        self.failures_in_a_row.store(0, Ordering::Relaxed);
        let rendered_digest = live.digest;
        wanted.retiring = self
            .install(live)
            .map(|old| tokio::spawn(Arc::clone(self).retire(old)));
        Ok(Applied { rendered_digest })
    }

    /// Ends the serving gateway, after the front door has closed.
    pub(crate) async fn stop(self: &Arc<Self>) {
        self.stopping.cancel();
        let mut wanted = self.wanted.lock().await;
        wanted.stopped = true;
        let retiring = wanted.retiring.take();
        drop(wanted);
        if let Some(live) = self.shared.current() {
            // Connections that outlived the grace time are cut off now.
            live.retire();
            live.collect_settled(&self.shared.statistics).await;
            live.process.stop(self.stop_timeout).await;
            self.shared.remove(&live);
        }
        if let Some(retiring) = retiring {
            wait_for(retiring).await;
        }
    }

    pub(crate) fn process_sample(&self) -> Option<ProcessSample> {
        let live = self.shared.current()?;
        let used = read_use(live.process.pid)?;
        let mut cpu = self.cpu.lock().unwrap_or_else(PoisonError::into_inner);
        if cpu.pid != live.process.pid {
            cpu.before_ms += cpu.of_pid_ms;
            cpu.pid = live.process.pid;
            cpu.of_pid_ms = 0;
        }
        cpu.of_pid_ms = cpu.of_pid_ms.max(used.cpu_ms);
        Some(ProcessSample {
            memory_bytes: used.memory_bytes,
            cpu_ms: cpu.before_ms + cpu.of_pid_ms,
            restarts: self.restarts.load(Ordering::Relaxed),
        })
    }

    async fn launch(&self, source: &[u8], document: &Document) -> Result<Arc<Live>, ApplyError> {
        tokio::select! {
            launched = self.launcher.launch(source, document) => launched,
            () = self.stopping.cancelled() => Err(ApplyError::Stopping),
        }
    }

    /// Makes `live` the one that serves and watches over it.
    fn install(self: &Arc<Self>, live: Arc<Live>) -> Option<Arc<Live>> {
        tracing::info!(target: "gateway", pid = live.process.pid, port = live.port, "a gateway took over");
        let old = self.shared.switch(Arc::clone(&live));
        tokio::spawn(Arc::clone(self).watch(live, Instant::now()));
        old
    }

    /// Lets `old` finish its requests, reads its last counters, ends it.
    async fn retire(self: Arc<Self>, old: Arc<Live>) {
        old.retire();
        if tokio::time::timeout(self.drain_timeout, old.drained())
            .await
            .is_err()
        {
            tracing::warn!(target: "gateway", pid = old.process.pid, "requests of the old configuration are cut off after the drain limit");
        }
        old.collect_settled(&self.shared.statistics).await;
        old.process.stop(self.stop_timeout).await;
    }

    async fn watch(self: Arc<Self>, live: Arc<Live>, since: Instant) {
        let status = live.process.exit().await;
        if live.is_retired() || self.launcher.abandon.is_cancelled() || !self.shared.remove(&live) {
            return;
        }
        if since.elapsed() >= STABLE_AFTER {
            self.failures_in_a_row.store(0, Ordering::Relaxed);
        }
        let how = status.map_or_else(|| "in an unknown way".to_owned(), |s| s.to_string());
        tracing::error!(target: "gateway", pid = live.process.pid, how, "the gateway died; starting it again");
        // Boxed: watching and restarting call each other.
        let restart: std::pin::Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(self.restart());
        restart.await;
    }

    async fn restart(self: Arc<Self>) {
        loop {
            let failures = self.failures_in_a_row.fetch_add(1, Ordering::Relaxed);
            tokio::select! {
                () = tokio::time::sleep(pause_after(failures)) => {}
                () = self.launcher.abandon.cancelled() => return,
            }
            let wanted = self.wanted.lock().await;
            let source = match (&wanted.source, self.shared.current()) {
                (Some(source), None) if !wanted.stopped => Arc::clone(source),
                _ => return,
            };
            let launched = match Document::parse(&source) {
                Ok(document) => self.launch(&source, &document).await,
                Err(refusal) => Err(refusal.into()),
            };
            match launched {
                Ok(live) => {
                    self.restarts.fetch_add(1, Ordering::Relaxed);
                    self.install(live);
                    return;
                }
                Err(error) => {
                    tracing::error!(target: "gateway", %error, "the gateway could not be started again")
                }
            }
        }
    }
}

fn pause_after(failures: u32) -> Duration {
    match failures {
        0 => Duration::ZERO,
        n => LONGEST_PAUSE.min(FIRST_PAUSE * 2u32.pow((n - 1).min(10))),
    }
}

async fn wait_for(task: JoinHandle<()>) {
    if let Err(error) = task.await {
        tracing::error!(target: "gateway", %error, "retiring a gateway failed");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit() {
        assert_eq!(pause_after(0), Duration::ZERO);
        assert_eq!(pause_after(1), FIRST_PAUSE);
        assert_eq!(pause_after(3), FIRST_PAUSE * 4);
        assert_eq!(pause_after(u32::MAX), LONGEST_PAUSE);
    }
}
