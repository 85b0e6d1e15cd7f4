use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::Process;
use crate::robustness::host::{Lab, ip_program};

const ENDS_WITHIN: Duration = Duration::from_secs(45);

/// One node on a host of its own.
#[derive(Debug)]
pub struct NodeMachine {
    pub name: String,
    dir: PathBuf,
    namespace: String,
    program: PathBuf,
    process: Option<Process>,
    paused: bool,
}

impl NodeMachine {
    /// Lays out node `number` on host `host` of the lab below `dir`.
    pub fn new(
        lab: &Lab,
        (host, number): (usize, usize),
        dir: &Path,
        (program, seeds, token): (&Path, &[Ipv4Addr], &Path),
    ) -> Result<Self> {
        let name = format!("node-{}", number + 1);
        let dir = dir.join(&name);
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let seeds: String = seeds.iter().map(|it| format!("  - {it}:7000\n")).collect();
        let text = format!(
            "seed:\n{seeds}name: {name}\ndata_dir: {}\njoin_token_file: {}\ngateway: embedded\nretry_max_s: 3\nshutdown_grace_s: 5\n",
            dir.join("data").display(),
            token.display(),
        );
        let node = Self {
            name,
            dir,
            namespace: lab.namespace(host),
            program: program.to_owned(),
            process: None,
            paused: false,
        };
        let file = node.settings();
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        Ok(node)
    }

    fn settings(&self) -> PathBuf {
        self.dir.join("service.yml")
    }

    /// Starts it, unless it runs.
    pub fn start(&mut self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let ip = ip_program().context("there is no `ip` program")?;
        let (program, settings) = (self.program.display().to_string(), self.settings());
        let settings = settings.display().to_string();
        let arguments = [
            "netns",
            "exec",
            &self.namespace,
            &program,
            "--settings",
            &settings,
        ];
        let log = self.dir.join("log");
        self.process = Some(Process::start(&self.name, &ip, &arguments, &log)?);
        self.paused = false;
        Ok(())
    }

    /// Whether the process is there, paused or not.
    pub fn is_running(&mut self) -> bool {
        let process = self.process.as_mut();
        process.is_some_and(|process| process.ended().is_none())
    }

    /// `kill -9`. Nothing happens when it does not run.
    pub async fn kill(&mut self) -> Result<()> {
        self.paused = false;
        match self.process.take() {
            Some(mut process) => match process.ended() {
                None => process.kill().await,
                Some(_) => Ok(()),
            },
            None => Ok(()),
        }
    }

    /// SIGTERM: the operator stops it.
    pub fn terminate(&mut self) -> Result<()> {
        if !self.is_running() {
            return Ok(());
        }
        self.pause(false)?;
        match self.process.as_mut() {
            Some(process) => process.terminate(),
            None => Ok(()),
        }
    }

    /// Waits for its end.
    pub async fn ended(&mut self) -> Result<()> {
        match self.process.take() {
            Some(mut process) => process.wait(ENDS_WITHIN).await.map(drop),
            None => Ok(()),
        }
    }

    /// SIGSTOP or SIGCONT.
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
}
