//! The `ip` program.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Where it is; a user's `PATH` often lacks the system's directories.
pub fn program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|dir| dir.join("ip"))
        .find(|path| path.is_file())
}

/// Runs `ip` with these words, split at spaces.
///
/// # Errors
/// It cannot be started or refuses; with its words.
pub fn ip(words: &str) -> Result<String> {
    let program = program().context("there is no `ip` program: install iproute2")?;
    let output = Command::new(program)
        .args(words.split_whitespace())
        .output()
        .with_context(|| format!("start `ip {words}`"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`ip {words}`: {}", said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
