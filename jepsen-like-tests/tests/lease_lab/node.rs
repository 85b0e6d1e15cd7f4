use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use jepsen_like_tests::process::Process;
use jepsen_like_tests::robustness::host::Lab;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::MANAGERS;

const API_PORT: u16 = 7080;
const LIBRARIES: [&str; 3] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/faketime/libfaketime.so.1",
];

/// One node on a host of its own.
pub struct Node {
    pub api: SocketAddr,
    /// Starts so far.
    pub runs: Arc<AtomicU32>,
    name: String,
    dir: PathBuf,
    namespace: String,
    program: PathBuf,
    process: Option<Process>,
}

impl Node {
    pub fn new(lab: &Lab, host: usize, dir: &Path, programs: &Path, token: &Path) -> Result<Self> {
        let name = format!("node-{}", host - MANAGERS + 1);
        let dir = dir.join(&name);
        std::fs::create_dir_all(&dir)?;
        let seeds: Vec<_> = (0..MANAGERS)
            .map(|it| format!("{}:7000", lab.address(it)))
            .collect();
        let text = format!(
            "seed: [{}]\nname: {name}\ndata_dir: {}\njoin_token_file: {}\napi_listen: 0.0.0.0:{API_PORT}\ngateway: embedded\nsample_period_s: 2\nretry_max_s: 1\n",
            seeds.join(", "),
            dir.join("data").display(),
            token.display(),
        );
        std::fs::write(dir.join("service.yml"), text)?;
        let node = Self {
            api: SocketAddr::from((lab.address(host), API_PORT)),
            runs: Arc::default(),
            name,
            dir,
            namespace: lab.namespace(host),
            program: programs.join("krakend-node"),
            process: None,
        };
        node.set_clock("+0")?;
        Ok(node)
    }

    pub fn start(&mut self) -> Result<()> {
        let settings = self.dir.join("service.yml").display().to_string();
        let program = self.program.display().to_string();
        let arguments = [
            "netns",
            "exec",
            &self.namespace,
            &program,
            "--settings",
            &settings,
        ];
        let clock = self.dir.join("clock").display().to_string();
        // Where the library is missing, its clocks stay right; all else is tested.
        let library = LIBRARIES.into_iter().find(|it| Path::new(it).exists());
        let environment: Vec<(&str, &str)> = match library {
            None => Vec::new(),
            Some(library) => vec![
                ("LD_PRELOAD", library),
                ("FAKETIME_TIMESTAMP_FILE", &clock),
                ("FAKETIME_NO_CACHE", "1"),
                ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
                ("DONT_FAKE_MONOTONIC", "1"),
            ],
        };
        self.runs.fetch_add(1, Ordering::SeqCst);
        let ip = ip_program().context("there is no `ip` program")?;
        let log = self.dir.join("log");
        let process = Process::start_with(&self.name, &ip, &arguments, &environment, &log)?;
        self.process = Some(process);
        Ok(())
    }

    pub async fn kill(&mut self) -> Result<()> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        let process = self.process.take();
        process.context("it does not run")?.kill().await
    }

    pub fn pause(&self, stop: bool) -> Result<()> {
        let process = self.process.as_ref().context("it does not run")?;
        let signal = if stop {
            Signal::SIGSTOP
        } else {
            Signal::SIGCONT
        };
        kill(Pid::from_raw(process.pid()), signal).with_context(|| self.name.clone())
    }

    /// Moves its wall clock; the boot clock stays.
    pub fn set_clock(&self, offset: &str) -> Result<()> {
        let file = self.dir.join("clock");
        let part = file.with_extension("new");
        std::fs::write(&part, format!("{offset}\n"))?;
        std::fs::rename(part, file).context("set the clock")
    }
}

fn ip_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|dir| dir.join("ip"))
        .find(|path| path.is_file())
}
