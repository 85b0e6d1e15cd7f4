//! The managers as processes, each with its own data directory, settings file and ports.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::RngCore;

use crate::ports::loopback;
use crate::process::Process;

/// Ports that one manager listens on.
pub const PORTS_EACH: usize = 3;

/// One manager, running or not.
#[derive(Debug)]
pub struct Manager {
    pub name: String,
    pub dir: PathBuf,
    pub http: SocketAddr,
    /// Node service and gossip.
    pub nodes: SocketAddr,
    /// Other managers.
    pub managers: SocketAddr,
    pub process: Option<Process>,
    program: PathBuf,
}

impl Manager {
    /// Lays out one manager below `dir` without starting it.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn new(
        number: usize,
        dir: &Path,
        program: &Path,
        ports: [u16; PORTS_EACH],
    ) -> Result<Self> {
        let name = format!("manager-{number}");
        let dir = dir.join(&name);
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let [http, nodes, managers] = ports.map(loopback);
        Ok(Self {
            name,
            dir,
            http,
            nodes,
            managers,
            process: None,
            program: program.to_owned(),
        })
    }

    /// Writes its settings file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn configure(&self, peers: &[SocketAddr], secret: &Path, grace_s: u64) -> Result<()> {
        let peers: String = peers.iter().map(|peer| format!("  - {peer}\n")).collect();
        let count = peers.lines().count();
        let text = format!(
            "name: {}\ndata_dir: {}\nlisten_http: {}\nlisten_nodes: {}\nlisten_managers: {}\nadvertise: 127.0.0.1\npeers:\n{peers}bootstrap_expect: {count}\nsecret_file: {}\ngrace_s: {grace_s}\n",
            self.name,
            self.data_dir().display(),
            self.http,
            self.nodes,
            self.managers,
            secret.display(),
        );
        let file = self.settings();
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))
    }

    /// Starts it, for the first time or again.
    ///
    /// # Errors
    /// The program cannot be started.
    pub fn start(&mut self) -> Result<()> {
        let settings = self.settings();
        let arguments = [
            "--settings",
            settings
                .to_str()
                .context("the directory's name is no UTF-8")?,
        ];
        self.process = Some(Process::start(
            &self.name,
            &self.program,
            &arguments,
            &self.log(),
        )?);
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// It was not running.
    pub async fn kill(&mut self) -> Result<()> {
        self.process
            .as_mut()
            .with_context(|| format!("{} was never started", self.name))?
            .kill()
            .await
    }

    /// Its settings file.
    pub fn settings(&self) -> PathBuf {
        self.dir.join("cluster-manager.yml")
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
}

/// Writes a new group secret into a file that only its owner reads.
///
/// # Errors
/// The file exists or cannot be written.
pub fn write_secret(file: &Path) -> Result<()> {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    write_private(file, &format!("{hex}\n"))
}

/// Writes a new file of mode 0600.
///
/// # Errors
/// The file exists or cannot be written.
pub fn write_private(file: &Path, text: &str) -> Result<()> {
    let open = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    let mut open = open.with_context(|| format!("make {}", file.display()))?;
    open.write_all(text.as_bytes())
        .with_context(|| format!("write {}", file.display()))
}
