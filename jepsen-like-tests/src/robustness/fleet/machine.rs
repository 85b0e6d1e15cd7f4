use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::process::Process;
use crate::robustness::host::{Lab, ip_program};

const ENDS_WITHIN: Duration = Duration::from_secs(45);
const API_PORT: u16 = 7080;
/// Gives a program a wall clock of its own.
const FAKETIME: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

/// What all nodes of a run have in common.
#[derive(Clone, Copy, Debug)]
pub struct Common<'a> {
    pub dir: &'a Path,
    pub program: &'a Path,
    pub seeds: &'a [Ipv4Addr],
    pub token: &'a Path,
    /// The bug to switch on in a program that was built with `planted-bugs`.
    pub planted: Option<&'a str>,
    /// Whether their clocks are to be moved.
    pub clocks: bool,
    /// Whether many share a host: each has ports of its own.
    pub crowded: bool,
}

/// The library that moves a program's clock, where there is one.
pub fn faketime() -> Option<&'static str> {
    FAKETIME.into_iter().find(|it| Path::new(it).exists())
}

/// One node on a host of its own.
#[derive(Debug)]
pub struct NodeMachine {
    pub name: String,
    /// Its own port, which listens everywhere here.
    pub api: SocketAddr,
    /// Starts so far.
    pub starts: Arc<AtomicU32>,
    dir: PathBuf,
    namespace: String,
    program: PathBuf,
    environment: Vec<(&'static str, String)>,
    process: Option<Process>,
    paused: bool,
}

impl NodeMachine {
    /// Lays out node `number` on host `host` of the lab.
    pub fn new(lab: &Lab, (host, number): (usize, usize), common: Common<'_>) -> Result<Self> {
        let name = format!("node-{}", number + 1);
        let dir = common.dir.join(&name);
        std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
        let seeds = common.seeds.iter();
        let seeds: String = seeds.map(|it| format!("  - {it}:7000\n")).collect();
        let (api, ports) = match common.crowded {
            false => (API_PORT, String::new()),
            true => {
                let own = |base: usize| base + number;
                let ports = format!(
                    "listen: 0.0.0.0:{}\ngossip_listen: 0.0.0.0:{}\n",
                    own(20_000),
                    own(21_000)
                );
                (u16::try_from(own(22_000))?, ports)
            }
        };
        let text = format!(
            "seed:\n{seeds}name: {name}\ndata_dir: {}\njoin_token_file: {}\napi_listen: 0.0.0.0:{api}\n{ports}gateway: embedded\nretry_max_s: 3\nshutdown_grace_s: 5\n",
            dir.join("data").display(),
            common.token.display(),
        );
        let mut environment = Vec::new();
        if let Some(bug) = common.planted {
            environment.push(("KRAKEND_PLANTED_BUG", bug.to_owned()));
        }
        if let Some(library) = faketime().filter(|_| common.clocks) {
            let clock = dir.join("clock").display().to_string();
            environment.extend([
                ("LD_PRELOAD", library.to_owned()),
                ("FAKETIME_TIMESTAMP_FILE", clock),
                ("FAKETIME_CACHE_DURATION", "1".into()),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
                ("DONT_FAKE_MONOTONIC", "1".into()),
            ]);
        }
        let node = Self {
            name,
            api: SocketAddr::from((lab.address(host), api)),
            starts: Arc::default(),
            dir,
            namespace: lab.namespace(host),
            program: common.program.to_owned(),
            environment,
            process: None,
            paused: false,
        };
        let file = node.settings();
        std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
        node.set_clock("+0")?;
        Ok(node)
    }

    /// Moves its wall clock, if that can be moved; the boot clock stays.
    pub fn set_clock(&self, offset: &str) -> Result<()> {
        let file = self.dir.join("clock");
        let part = file.with_extension("new");
        std::fs::write(&part, format!("{offset}\n"))?;
        std::fs::rename(part, file).with_context(|| format!("set the clock of {}", self.name))
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
        let environment = self.environment.iter();
        let environment: Vec<_> = environment
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        self.starts.fetch_add(1, Ordering::SeqCst);
        let process = Process::start_with(&self.name, &ip, &arguments, &environment, &log)?;
        self.process = Some(process);
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
