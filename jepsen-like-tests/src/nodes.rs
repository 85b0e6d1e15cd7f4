//! The nodes as processes; their `service.yml` names a seed and what a test must move.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::options::Options;
use crate::ports::loopback;
use crate::process::Process;
use crate::traffic::Target;

/// Ports that one node listens on.
pub const PORTS_EACH: usize = 3;
/// Seconds from sample to sample; ten unless a setting says otherwise, two so that the scenario need not wait.
pub const SAMPLE_PERIOD_S: u64 = 2;

/// One node, running or not.
#[derive(Debug)]
pub struct Node {
    pub target: Target,
    pub dir: PathBuf,
    /// Its id in the group, bare; known after it joined.
    pub id: String,
    /// When it was killed with -9, UTC milliseconds.
    pub killed_at_ms: Option<u64>,
    pub process: Option<Process>,
    program: PathBuf,
}

impl Node {
    /// Lays out one node below `options.dir` and writes its settings, without starting it.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn new(
        index: usize,
        options: &Options,
        seed: SocketAddr,
        join_token: &Path,
        ports: [u16; PORTS_EACH],
    ) -> Result<Self> {
        let name = format!("node-{}", index + 1);
        let dir = options.dir.join(&name);
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let [public, gossip, api] = ports.map(loopback);
        let mut text = format!(
            "seed: {seed}\n\n# What a test must move; a node of its own machine needs none of it.\n"
        );
        write!(
            text,
            "name: {name}\ndata_dir: {}\njoin_token_file: {}\nlisten: {public}\ngossip_listen: {gossip}\napi_listen: {api}\ngateway: {}\nsample_period_s: {SAMPLE_PERIOD_S}\n",
            dir.join("data").display(),
            join_token.display(),
            options.gateway.name(),
        )?;
        if let Some(krakend) = &options.krakend_bin {
            writeln!(text, "krakend_bin: {}", krakend.display())?;
        }
        let node = Self {
            target: Target {
                index,
                name,
                address: public,
            },
            dir,
            id: String::new(),
            killed_at_ms: None,
            process: None,
            program: options.program("krakend-node")?,
        };
        std::fs::write(node.settings(), text)
            .with_context(|| format!("write {}", node.settings().display()))?;
        Ok(node)
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
        let mut process =
            Process::start(&self.target.name, &self.program, &arguments, &self.log())?;
        if let Some(earlier) = self.process.take() {
            process.follow(earlier);
        }
        self.process = Some(process);
        Ok(())
    }

    /// Its process.
    ///
    /// # Errors
    /// It was never started.
    pub fn process(&mut self) -> Result<&mut Process> {
        self.process
            .as_mut()
            .with_context(|| format!("{} was never started", self.target.name))
    }

    /// Its settings file.
    pub fn settings(&self) -> PathBuf {
        self.dir.join("service.yml")
    }

    /// Its log.
    pub fn log(&self) -> PathBuf {
        self.dir.join("log")
    }
}
