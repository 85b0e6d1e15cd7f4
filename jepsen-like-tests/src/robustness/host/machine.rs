use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;

use super::ip::program as ip_program;
use super::lab::Lab;
use super::stale::owner_mark;
use crate::managers::write_private;
use crate::process::Process;
use crate::robustness::disk::Disk;

/// Web interface and API.
pub const HTTP_PORT: u16 = 9897;
const NODE_PORT: u16 = 7000;
const MANAGER_PORT: u16 = 7001;
/// Soon, so that a run sees many managers come and go.
const PROMOTE_AFTER_S: u64 = 2;
/// A process that waits for a disk dies only when that has answered.
const KILLED_WITHIN: Duration = Duration::from_secs(20);

/// One manager on a host of its own.
#[derive(Debug)]
pub struct Machine {
    pub name: String,
    pub dir: PathBuf,
    pub http: SocketAddr,
    namespace: String,
    address: Ipv4Addr,
    program: PathBuf,
    /// The bug to switch on in a program that was built with `planted-bugs`.
    planted: Option<String>,
    /// Before the disk: it must be gone when that is unmounted.
    process: Option<Process>,
    paused: bool,
    /// Whether it has got a SIGKILL already.
    killed: bool,
    /// How long it gives leases, where that is not as usual.
    pub lease_ms: Option<u64>,
    /// Whether it is to run: a host that waits for its manager has none.
    pub deployed: bool,
    /// Whether it is coming or going: that it ends by itself is for whoever sees to that.
    pub unsettled: bool,
    /// Whether a file of it was damaged and has not been made good: it may refuse to run.
    pub damaged: bool,
    /// Whether it was started again since.
    pub restarted: bool,
    log_from: u64,
    /// A disk that can lose power; otherwise the directory is an ordinary one.
    disk: Option<Disk>,
    /// Starts so far: shared with clients, which must not compare answers of different runs.
    starts: Arc<AtomicU32>,
}

/// How a manager comes to its group.
#[derive(Clone, Debug)]
pub enum Way {
    /// Together with these.
    Form { peers: Vec<String>, secret: PathBuf },
    /// Empty, through those that are there.
    Rejoin { peers: Vec<String>, secret: PathBuf },
    /// New, with a token that buys the secret.
    Join {
        managers: Vec<String>,
        token: String,
    },
}

/// How a process ended that nobody had told to.
#[derive(Clone, Debug, serde::Serialize)]
pub struct EndedByItself {
    pub machine: String,
    pub how: String,
    pub at_ns: u64,
}

impl Machine {
    /// Lays out host number `host` of the lab below `dir`.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(
        lab: &Lab,
        host: usize,
        dir: &Path,
        program: &Path,
        planted: Option<&str>,
    ) -> Result<Self> {
        let name = format!("manager-{}", host + 1);
        let dir = dir.join(&name);
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let address = lab.address(host);
        Ok(Self {
            name,
            dir,
            http: SocketAddr::from((address, HTTP_PORT)),
            namespace: lab.namespace(host),
            address,
            program: program.to_owned(),
            planted: planted.map(str::to_owned),
            process: None,
            paused: false,
            killed: false,
            lease_ms: None,
            deployed: true,
            unsettled: false,
            damaged: false,
            restarted: false,
            log_from: 0,
            disk: None,
            starts: Arc::default(),
        })
    }

    /// `host:port` for the other managers.
    pub fn manager_address(&self) -> SocketAddr {
        SocketAddr::from((self.address, MANAGER_PORT))
    }

    /// Writes its settings file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn configure(&self, way: &Way) -> Result<()> {
        let list = |key: &str, items: &[String]| {
            let items: String = items.iter().map(|item| format!("  - {item}\n")).collect();
            format!("{key}:\n{items}")
        };
        let way = match way {
            Way::Form { peers, secret } => format!(
                "{}bootstrap_expect: {}\nsecret_file: {}\n",
                list("peers", peers),
                peers.len(),
                secret.display()
            ),
            Way::Rejoin { peers, secret } => {
                format!(
                    "{}secret_file: {}\n",
                    list("peers", peers),
                    secret.display()
                )
            }
            Way::Join { managers, token } => {
                let file = self.dir.join("join-token");
                let _ = std::fs::remove_file(&file);
                write_private(&file, token)?;
                format!(
                    "{}join_token_file: {}\n",
                    list("join", managers),
                    file.display()
                )
            }
        };
        let lease = self.lease_ms.map(|ms| format!("lease_s: {}\n", ms / 1000));
        let lease = lease.unwrap_or_default();
        let text = format!(
            "name: {}\ndata_dir: {}\nlisten_http: 0.0.0.0:{HTTP_PORT}\nlisten_nodes: 0.0.0.0:{NODE_PORT}\nlisten_managers: 0.0.0.0:{MANAGER_PORT}\nadvertise: {}\npromote_after_s: {PROMOTE_AFTER_S}\ngrace_s: {}\n{lease}{way}",
            self.name,
            self.data_dir().display(),
            self.address,
            crate::robustness::fleet::GRACE_S,
        );
        let file = self.settings();
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))
    }

    /// Gives it a disk that can lose power.
    ///
    /// # Errors
    /// This machine does not allow it.
    pub fn mount_disk(&mut self) -> Result<()> {
        self.disk = Some(Disk::mount(&self.data_dir(), &owner_mark())?);
        Ok(())
    }

    /// Whether it can lose power.
    pub fn has_disk(&self) -> bool {
        self.disk.is_some()
    }

    /// The first moment of a power loss: nothing reaches the disk any more, and the process gets a SIGKILL that nobody waits for.
    ///
    /// # Errors
    /// The system refuses.
    pub fn cut_power(&mut self) -> Result<()> {
        if let Some(disk) = &self.disk {
            disk.cut_power();
        }
        if self.is_running()
            && let Some(process) = &self.process
        {
            kill(Pid::from_raw(process.pid()), Signal::SIGKILL)
                .with_context(|| format!("kill -9 {}", self.name))?;
            self.killed = true;
        }
        Ok(())
    }

    /// kill -9, and what was not fsynced is gone.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn lose_power(&mut self, rng: &mut StdRng) -> Result<()> {
        self.kill().await?;
        if let Some(disk) = &self.disk {
            disk.lose_power(rng);
        }
        Ok(())
    }

    /// Empties its data directory, so that no power loss brings anything back. It must not run.
    ///
    /// # Errors
    /// The system refuses.
    pub fn wipe(&self) -> Result<()> {
        let dir = self.data_dir();
        let wipe = || -> std::io::Result<()> {
            for entry in std::fs::read_dir(&dir)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    std::fs::remove_dir_all(entry.path())?;
                } else {
                    std::fs::remove_file(entry.path())?;
                }
            }
            // The directory itself stays: it may be where a disk is mounted.
            std::fs::File::open(&dir)?.sync_all()
        };
        wipe().with_context(|| format!("empty {}", dir.display()))
    }

    /// Whether it has got the group's secret with its join token.
    pub fn has_enrolled(&self) -> bool {
        self.data_dir().join("group-secret").exists()
    }

    /// Starts the manager, unless it runs or is not to run.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(&mut self) -> Result<()> {
        if !self.deployed || self.is_running() {
            return Ok(());
        }
        let ip = ip_program().context("there is no `ip` program")?;
        let (program, settings) = (self.program.display().to_string(), self.settings());
        let settings = settings.display().to_string();
        // `ip netns exec` becomes the program: the process id is the manager's.
        let arguments = [
            "netns",
            "exec",
            &self.namespace,
            &program,
            "--settings",
            &settings,
        ];
        let bug = self.planted.as_deref();
        let environment: Vec<_> = bug
            .map(|bug| ("KRAKEND_PLANTED_BUG", bug))
            .into_iter()
            .collect();
        self.starts.fetch_add(1, Ordering::SeqCst);
        let process = Process::start_with(&self.name, &ip, &arguments, &environment, &self.log())?;
        self.process = Some(process);
        self.paused = false;
        Ok(())
    }

    /// `kill -9`, also of a paused one. Nothing happens when it does not run.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        self.paused = false;
        let Some(mut process) = self.process.take() else {
            return Ok(());
        };
        if std::mem::take(&mut self.killed) {
            return process.wait(KILLED_WITHIN).await.map(drop);
        }
        if process.ended().is_some() {
            // It ended by itself: whoever looks for that must find it.
            self.process = Some(process);
            return Ok(());
        }
        process.kill().await
    }

    /// SIGSTOP or SIGCONT.
    ///
    /// # Errors
    /// The system refuses.
    pub fn pause(&mut self, stop: bool) -> Result<()> {
        if !self.is_running() || self.paused == stop {
            return Ok(());
        }
        let Some(process) = &self.process else {
            return Ok(());
        };
        let signal = if stop {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        kill(Pid::from_raw(process.pid()), signal)
            .with_context(|| format!("{signal} to {}", self.name))?;
        self.paused = stop;
        Ok(())
    }

    /// Whether the process is there, paused or not.
    pub fn is_running(&mut self) -> bool {
        self.process
            .as_mut()
            .is_some_and(|process| process.ended().is_none())
    }

    /// Whether it is stopped by a signal.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// How it ended, when nobody had killed it. Says so once.
    pub fn take_end(&mut self) -> Option<String> {
        let status = self.process.as_mut()?.ended()?;
        self.process = None;
        Some(status.to_string())
    }

    /// From here on the log is looked at.
    pub fn log_mark(&mut self) {
        self.log_from = std::fs::metadata(self.log()).map_or(0, |facts| facts.len());
    }

    /// What it has said since the mark.
    pub fn log_since_mark(&self) -> String {
        let log = std::fs::read(self.log()).unwrap_or_default();
        let from = usize::try_from(self.log_from).unwrap_or(usize::MAX);
        String::from_utf8_lossy(log.get(from..).unwrap_or_default()).into_owned()
    }

    /// Whether it has ended for the first time since it was damaged.
    pub fn may_restart_damaged(&mut self) -> bool {
        let ended = self.process.is_some() && !self.is_running();
        ended && !std::mem::replace(&mut self.restarted, true)
    }

    /// Counts its starts.
    pub fn starts(&self) -> Arc<AtomicU32> {
        self.starts.clone()
    }

    /// Its data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }

    /// Where it puts the admin's token.
    pub fn admin_token(&self) -> PathBuf {
        self.data_dir().join("admin-token")
    }

    fn settings(&self) -> PathBuf {
        self.dir.join("cluster-manager.yml")
    }
}
