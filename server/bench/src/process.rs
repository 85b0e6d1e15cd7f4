//! The members as processes: started in process groups of their own, output in files, never left behind.

use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::Rng;
use tokio::process::{Child, Command};

/// Below the range from which the kernel takes ports for outgoing connections: a killed member must find its port free.
const PORTS: std::ops::Range<u16> = 15_000..32_000;

/// How one member is started.
#[derive(Clone, Debug)]
pub struct Start {
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub log: PathBuf,
}

/// All members of one group. Dropping it kills those that run.
#[derive(Debug)]
pub struct Members {
    list: Vec<(Start, Option<Child>)>,
}

impl Members {
    /// None runs yet.
    pub fn new(starts: Vec<Start>) -> Self {
        Self {
            list: starts.into_iter().map(|start| (start, None)).collect(),
        }
    }

    /// Starts every member.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start_all(&mut self) -> Result<()> {
        (0..self.list.len()).try_for_each(|member| self.start(member))
    }

    /// Starts one member, for the first time or again.
    ///
    /// # Errors
    /// Its log cannot be opened or its program not be started.
    pub fn start(&mut self, member: usize) -> Result<()> {
        let (start, child) = &mut self.list[member];
        *child = Some(spawn(start)?);
        Ok(())
    }

    /// `kill -9`, and waits until the process is gone.
    ///
    /// # Errors
    /// It was not running.
    pub async fn kill(&mut self, member: usize) -> Result<()> {
        let (start, child) = &mut self.list[member];
        let mut child = child
            .take()
            .with_context(|| format!("{} does not run", start.name))?;
        let pid = pid(&child).with_context(|| format!("{} ended by itself", start.name))?;
        kill(pid, Signal::SIGKILL).with_context(|| format!("kill -9 {}", start.name))?;
        child
            .wait()
            .await
            .with_context(|| format!("wait for {}", start.name))?;
        Ok(())
    }

    /// Fails when a member that was started is no longer there.
    ///
    /// # Errors
    /// Says which, how it ended, and where its log is.
    pub fn expect_running(&mut self) -> Result<()> {
        for (start, child) in &mut self.list {
            let Some(child) = child else { continue };
            if let Some(status) = child.try_wait()? {
                let log = start.log.display();
                bail!("{} ended by itself ({status}): see {log}", start.name);
            }
        }
        Ok(())
    }

    /// Resident memory of each running member in MiB.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn memory_mb(&self) -> Result<Vec<f64>> {
        let running = self.list.iter().filter_map(|(_, child)| child.as_ref());
        running
            .map(|child| {
                let pid = pid(child).context("a member ended by itself")?;
                let file = format!("/proc/{pid}/status");
                let text =
                    std::fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
                resident_mb(&text).with_context(|| format!("{file} has no VmRSS"))
            })
            .collect()
    }
}

impl Members {
    /// Processor time of each running member so far, in seconds.
    ///
    /// # Errors
    /// The kernel does not say.
    pub fn cpu_s(&self) -> Result<Vec<f64>> {
        let running = self.list.iter().filter_map(|(_, child)| child.as_ref());
        running
            .map(|child| {
                let pid = pid(child).context("a member ended by itself")?;
                let file = format!("/proc/{pid}/stat");
                let text =
                    std::fs::read_to_string(&file).with_context(|| format!("read {file}"))?;
                busy_s(&text).with_context(|| format!("{file} has no times"))
            })
            .collect()
    }
}

/// Fields 14 and 15 of `/proc/PID/stat`, in the hundredths of a second that Linux counts in.
fn busy_s(stat: &str) -> Option<f64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / 100.0)
}

fn pid(child: &Child) -> Option<Pid> {
    child
        .id()
        .and_then(|id| i32::try_from(id).ok())
        .map(Pid::from_raw)
}

fn resident_mb(status: &str) -> Option<f64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: f64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024.0)
}

fn spawn(start: &Start) -> Result<Child> {
    let log = || format!("open the log {}", start.log.display());
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&start.log);
    let file = file.with_context(log)?;
    let mut command = Command::new(&start.program);
    command
        .args(&start.arguments)
        .stdin(Stdio::null())
        .stdout(file.try_clone().with_context(log)?)
        .stderr(file)
        .process_group(0)
        .kill_on_drop(true);
    for (key, _) in std::env::vars_os() {
        // The caller's own settings must not move the programs under measurement.
        let text = key.to_string_lossy();
        if text.starts_with("KRAKEND_") || text.starts_with("ETCD_") {
            command.env_remove(&key);
        }
    }
    command.spawn().with_context(|| {
        let program = start.program.display();
        format!(
            "start {} ({program}): `cargo xtask bench` builds it",
            start.name
        )
    })
}

/// Finds ports that are free for TCP and UDP, all different, and gives them up only when all are found.
///
/// # Errors
/// Too few are free.
pub fn free_ports(count: usize) -> Result<Vec<u16>> {
    let mut held: Vec<(u16, TcpListener, UdpSocket)> = Vec::with_capacity(count);
    for _ in 0..count * 200 {
        if held.len() == count {
            break;
        }
        let port = rand::rng().random_range(PORTS);
        let address = loopback(port);
        if let (Ok(tcp), Ok(udp)) = (TcpListener::bind(address), UdpSocket::bind(address)) {
            held.push((port, tcp, udp));
        }
    }
    if held.len() < count {
        let found = held.len();
        bail!("only {found} of {count} free ports found in {PORTS:?} on 127.0.0.1");
    }
    Ok(held.iter().map(|(port, _, _)| *port).collect())
}

/// `127.0.0.1:port`.
pub fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The file system that `dir` is on, when it is one that keeps nothing on a disk.
pub fn in_memory(dir: &Path) -> Option<String> {
    let dir = dir.canonicalize().ok()?;
    let mounts = std::fs::read_to_string("/proc/self/mounts").ok()?;
    kind_of(&dir, &mounts).filter(|kind| ["tmpfs", "ramfs"].contains(&kind.as_str()))
}

fn kind_of(dir: &Path, mounts: &str) -> Option<String> {
    let lines = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    lines
        .filter(|(point, _)| dir.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_mebibytes() {
        let text = "Name:\tx\nVmHWM:\t  9999 kB\nVmRSS:\t   2048 kB\nThreads:\t3\n";
        assert_eq!(resident_mb(text), Some(2.0));
        assert_eq!(resident_mb("Name:\tx\n"), None);
    }

    #[test]
    fn the_deepest_mount_decides_what_disk_a_directory_is_on() {
        let mounts =
            "/dev/vda / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/vdb /tmp/disk xfs rw 0 0\n";
        let kind = |dir: &str| kind_of(Path::new(dir), mounts);
        assert_eq!(kind("/home/x").as_deref(), Some("ext4"));
        assert_eq!(kind("/tmp/x").as_deref(), Some("tmpfs"));
        assert_eq!(kind("/tmp/disk/x").as_deref(), Some("xfs"));
    }

    #[test]
    fn ports_are_all_different() {
        let mut ports = free_ports(12).expect("ports");
        ports.sort_unstable();
        ports.dedup();
        assert_eq!(ports.len(), 12);
    }
}
