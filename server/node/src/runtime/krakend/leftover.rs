//! Gateway processes that outlived a node that was killed.
//!
//! Each process has a record beside its file in the working directory. At the
//! next start those still running are killed, but only when `/proc` shows the
//! same program running from the same file: process ids are reused.

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::gateway::write_private;

const RECORD: &str = "pid";

#[derive(Debug, Serialize, Deserialize)]
struct Record {
    pid: i32,
    program: PathBuf,
    file: PathBuf,
}

/// Notes that `pid` runs `program` from `file`; returns the record's path.
pub(crate) fn record(file: &Path, pid: u32, program: &Path) -> std::io::Result<PathBuf> {
    let record = Record {
        pid: i32::try_from(pid).map_err(std::io::Error::other)?,
        program: program
            .canonicalize()
            .unwrap_or_else(|_| program.to_path_buf()),
        file: file.to_path_buf(),
    };
    let path = file.with_extension(RECORD);
    write_private(&path, &serde_json::to_vec(&record)?)?;
    Ok(path)
}

/// Kills what earlier runs of this node left in `work_dir`, and clears it.
pub(crate) fn clear(work_dir: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(work_dir)? {
        let path = entry?.path();
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !name.starts_with("gateway-") {
            continue;
        }
        if path.extension().is_some_and(|e| e == RECORD) {
            kill_recorded(&path);
        }
        fs::remove_file(&path)?;
    }
    Ok(())
}

fn kill_recorded(path: &Path) {
    let record = fs::read(path)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Record>(&bytes).ok());
    // A record that cannot be read is of a process that was just starting.
    let Some(record) = record else { return };
    if !still_runs(&record) {
        return;
    }
    tracing::warn!(target: "gateway", pid = record.pid, "killing a gateway that an earlier run of this node left behind");
    if let Err(error) = kill(Pid::from_raw(record.pid), Signal::SIGKILL) {
        tracing::warn!(target: "gateway", pid = record.pid, %error, "cannot kill it");
    }
}

fn still_runs(record: &Record) -> bool {
    let proc = PathBuf::from(format!("/proc/{}", record.pid));
    let Ok(program) = fs::read_link(proc.join("exe")) else {
        return false;
    };
    // The kernel marks a program that was replaced on disk since.
    let program = program.to_string_lossy();
    let program = program.strip_suffix(" (deleted)").unwrap_or(&program);
    let Ok(arguments) = fs::read(proc.join("cmdline")) else {
        return false;
    };
    let file = record.file.as_os_str().as_encoded_bytes();
    Path::new(program) == record.program && arguments.split(|&b| b == 0).any(|a| a == file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn only_a_process_that_is_still_the_recorded_one_is_killed() {
        let dir = tempfile::tempdir().expect("a directory");
        let sleep = PathBuf::from("/bin/sleep");
        let start = |seconds: &str| {
            let mut command = Command::new(&sleep);
            let child = command.arg(seconds).stdin(Stdio::null()).spawn();
            let child = child.expect("sleep runs");
            // The kernel lets us go on a moment before the new program's arguments can be seen.
            let arguments = format!("/proc/{}/cmdline", child.id());
            while fs::read(&arguments).expect("it runs").is_empty() {
                std::thread::yield_now();
            }
            child
        };
        // `sleep` takes its argument where KrakenD takes its file.
        let (mut ours, mut other) = (start("600"), start("601"));
        let write = |name: &str, pid: u32, file: &str| {
            let record = Record {
                pid: i32::try_from(pid).expect("a pid"),
                program: sleep.canonicalize().expect("a program"),
                file: file.into(),
            };
            let bytes = serde_json::to_vec(&record).expect("JSON");
            write_private(&dir.path().join(name), &bytes).expect("written");
        };
        write("gateway-1.pid", ours.id(), "600");
        write("gateway-2.pid", other.id(), "another file");
        clear(dir.path()).expect("cleared");
        assert!(!ours.wait().expect("reaped").success());
        assert!(other.try_wait().expect("asked").is_none());
        other.kill().expect("killed");
        other.wait().expect("reaped");
    }
}
