//! One program under test: started in a process group of its own, its output in a file, never left behind.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

/// A running or ended program. Dropping it kills its whole process group.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    child: Child,
    pid: Pid,
    ended: Option<ExitStatus>,
    /// Process groups of earlier runs, which may still hold what those had started.
    earlier: Vec<Pid>,
    handed_over: bool,
}

/// A program that was just written may be busy for a moment: another thread began a process meanwhile, which has the file
/// open until it is a program of its own.
fn spawn(command: &mut Command) -> std::io::Result<Child> {
    let mut left = 100;
    loop {
        match command.spawn() {
            Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy && left > 0 => {
                left -= 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            spawned => return spawned,
        }
    }
}

impl Process {
    /// Starts `program` with its standard output and error appended to `log`.
    ///
    /// # Errors
    /// The log cannot be opened, or the program cannot be started.
    pub fn start(name: &str, program: &Path, arguments: &[&str], log: &Path) -> Result<Self> {
        Self::start_with(name, program, arguments, &[], log)
    }

    /// The same with environment variables.
    ///
    /// # Errors
    /// The log cannot be opened, or the program cannot be started.
    pub fn start_with(
        name: &str,
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
        log: &Path,
    ) -> Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(log);
        let file = file.with_context(|| format!("open the log {}", log.display()))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .kill_on_drop(true);
        for (key, _) in std::env::vars_os() {
            // The caller's own settings must not move the programs under test.
            if key.to_string_lossy().starts_with("KRAKEND_") {
                command.env_remove(key);
            }
        }
        command.envs(environment.iter().copied());
        let child = spawn(&mut command);
        let child = child.with_context(|| {
            format!(
                "start {name} ({}); build the programs first: cargo xtask build",
                program.display()
            )
        })?;
        let pid = child
            .id()
            .context("the program ended before it had an id")?;
        let pid = Pid::from_raw(i32::try_from(pid)?);
        Ok(Self {
            name: name.to_owned(),
            log: log.to_owned(),
            child,
            pid,
            ended: None,
            earlier: Vec::new(),
            handed_over: false,
        })
    }

    /// Takes over from an earlier run: what that one left behind stays as it is until this one is dropped, as on a real machine.
    pub fn follow(&mut self, mut earlier: Self) {
        self.earlier.append(&mut earlier.earlier);
        self.earlier.push(earlier.pid);
        earlier.earlier.clear();
        earlier.handed_over = true;
    }

    /// Name for people.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process's id.
    pub fn pid(&self) -> i32 {
        self.pid.as_raw()
    }

    /// Where its output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().ok().flatten();
        }
        self.ended
    }

    /// Fails when the program is no longer there.
    ///
    /// # Errors
    /// Says how it ended.
    pub fn expect_running(&mut self) -> Result<()> {
        match self.ended() {
            Some(status) => bail!("{} ended by itself: {status}", self.name),
            None => Ok(()),
        }
    }

    /// `kill -9` to the program alone, as a crash would; what it had started itself is not touched.
    ///
    /// # Errors
    /// It was not running.
    pub async fn kill(&mut self) -> Result<()> {
        self.expect_running()?;
        kill(self.pid, Signal::SIGKILL).with_context(|| format!("kill -9 {}", self.name))?;
        self.ended = Some(self.child.wait().await?);
        Ok(())
    }

    /// Sends SIGTERM.
    ///
    /// # Errors
    /// It was not running.
    pub fn terminate(&mut self) -> Result<()> {
        self.expect_running()?;
        kill(self.pid, Signal::SIGTERM).with_context(|| format!("SIGTERM to {}", self.name))
    }

    /// Waits until it has ended.
    ///
    /// # Errors
    /// It is still running after `limit`.
    pub async fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        if let Some(status) = self.ended() {
            return Ok(status);
        }
        let status = tokio::time::timeout(limit, self.child.wait()).await;
        let status = status.with_context(|| {
            format!(
                "{} still runs {} s after SIGTERM",
                self.name,
                limit.as_secs()
            )
        })??;
        self.ended = Some(status);
        Ok(status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.handed_over {
            return;
        }
        for group in &self.earlier {
            let _ = killpg(*group, Signal::SIGKILL);
        }
        // The group, not the process: a killed node leaves its gateway behind. An empty group is the usual case and no error.
        let _ = killpg(self.pid, Signal::SIGKILL);
    }
}
