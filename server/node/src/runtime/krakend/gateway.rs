//! One KrakenD process: started, followed, stopped.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::binary::{Binary, scrubbed};
use super::leftover;
use super::log::{LastLines, follow};

/// A running KrakenD. [`GatewayProcess::stop`] ends it well; dropping it, or
/// cancelling the token it was started with, kills it.
#[derive(Debug)]
pub(crate) struct GatewayProcess {
    pub(crate) pid: u32,
    pub(crate) last_lines: LastLines,
    exited: watch::Receiver<Option<Option<ExitStatus>>>,
    orders: mpsc::Sender<Order>,
}

#[derive(Debug, Clone, Copy)]
enum Order {
    Terminate,
    Kill,
}

impl GatewayProcess {
    /// Writes `rendered` to `file` and runs KrakenD from it on `port`. File
    /// and process record go away with the process.
    pub(crate) fn spawn(
        binary: &Binary,
        file: &Path,
        rendered: &[u8],
        port: u16,
        abandon: CancellationToken,
    ) -> std::io::Result<Self> {
        write_private(file, rendered)?;
        let mut command = scrubbed(&binary.path);
        command
            .arg("run")
            .arg("-c")
            .arg(file)
            .arg("-p")
            .arg(port.to_string());
        // Ctrl-C reaches a whole process group: KrakenD must not stop before
        // the front door has closed.
        command.process_group(0);
        let mut child = command.spawn()?;
        let pid = child.id().unwrap_or_default();
        let record = leftover::record(file, pid, &binary.path)?;
        let last_lines = LastLines::default();
        if let Some(out) = child.stdout.take() {
            tokio::spawn(follow(out, pid, last_lines.clone()));
        }
        if let Some(err) = child.stderr.take() {
            tokio::spawn(follow(err, pid, last_lines.clone()));
        }
        let (orders, order_queue) = mpsc::channel(4);
        let (exit, exited) = watch::channel(None);
        let files = vec![file.to_path_buf(), record];
        tokio::spawn(own(child, order_queue, exit, abandon, files));
        Ok(Self {
            pid,
            last_lines,
            exited,
            orders,
        })
    }

    /// Whether the process has ended.
    pub(crate) fn has_exited(&self) -> bool {
        self.exited.borrow().is_some()
    }

    /// Waits for the end; `None` when the system did not say how it ended.
    pub(crate) async fn exit(&self) -> Option<ExitStatus> {
        let mut exited = self.exited.clone();
        let status = exited.wait_for(Option::is_some).await;
        status.ok().and_then(|s| *s).flatten()
    }

    /// SIGTERM, and SIGKILL after `limit`: KrakenD swallows a second SIGTERM.
    pub(crate) async fn stop(&self, limit: Duration) {
        // A closed queue means the process is gone already.
        let _gone = self.orders.send(Order::Terminate).await;
        if tokio::time::timeout(limit, self.exit()).await.is_err() {
            tracing::warn!(target: "gateway", pid = self.pid, limit_ms = limit.as_millis() as u64,
                "the gateway did not end on SIGTERM; killing it");
            self.kill().await;
        }
    }

    /// SIGKILL, and waits for the end.
    pub(crate) async fn kill(&self) {
        let _gone = self.orders.send(Order::Kill).await;
        self.exit().await;
    }
}

/// Owns the child: only here is its process id known to be still its own.
async fn own(
    mut child: Child,
    mut orders: mpsc::Receiver<Order>,
    exit: watch::Sender<Option<Option<ExitStatus>>>,
    abandon: CancellationToken,
    files: Vec<PathBuf>,
) {
    let mut may_order = true;
    let status = loop {
        let order = tokio::select! {
            status = child.wait() => break status.ok(),
            order = orders.recv(), if may_order => order,
            () = abandon.cancelled(), if may_order => None,
        };
        match order {
            Some(Order::Terminate) => terminate(&child),
            Some(Order::Kill) => kill_now(&mut child),
            // Nobody uses it any more.
            None => {
                may_order = false;
                kill_now(&mut child);
            }
        }
    };
    for file in files {
        if let Err(error) = std::fs::remove_file(&file) {
            tracing::debug!(file = %file.display(), %error, "a gateway's file was already gone");
        }
    }
    exit.send_replace(Some(status));
}

fn kill_now(child: &mut Child) {
    if let Err(error) = child.start_kill() {
        tracing::warn!(target: "gateway", %error, "cannot kill the gateway");
    }
}

fn terminate(child: &Child) {
    let Some(pid) = child.id().and_then(|p| i32::try_from(p).ok()) else {
        return;
    };
    if let Err(error) = kill(Pid::from_raw(pid), Signal::SIGTERM) {
        tracing::warn!(target: "gateway", pid, %error, "cannot signal the gateway");
    }
}

/// Writes a file only its owner reads: configurations hold secrets.
pub(crate) fn write_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut handle = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(file)?;
    handle.write_all(bytes)
}
