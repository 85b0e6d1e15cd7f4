//! A real Prometheus for the tests: one on the `PATH`, or Debian's package unpacked into the user's cache. It is not
//! installed: that would start a service and needs root.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run;

/// Directory of `prometheus` and `promtool`; nothing where there is no way to get them.
///
/// # Errors
/// The package cannot be unpacked.
pub fn ensure() -> Result<Option<PathBuf>> {
    if let Some(found) = run::on_path("prometheus")
        && run::on_path("promtool").is_some()
    {
        return Ok(found.parent().map(PathBuf::from));
    }
    let dir = run::cache_dir()?.join("prometheus");
    let programs = dir.join("usr/bin");
    if programs.join("promtool").is_file() {
        return Ok(Some(programs));
    }
    if run::on_path("apt-get").is_none() || run::on_path("dpkg").is_none() {
        return Ok(None);
    }
    eprintln!("setup: fetching Debian's prometheus into {}", dir.display());
    // Renamed when it is whole: what was interrupted must not look like what is done.
    let unfinished = dir.with_extension(std::process::id().to_string());
    std::fs::create_dir_all(&unfinished)
        .with_context(|| format!("make {}", unfinished.display()))?;
    let fetched = Command::new("apt-get")
        .current_dir(&unfinished)
        .args(["download", "prometheus"])
        .stdout(std::io::stderr())
        .status();
    if !fetched.is_ok_and(|status| status.success()) {
        eprintln!("setup: apt-get knows no prometheus (as root: apt-get update)");
        std::fs::remove_dir_all(&unfinished)?;
        return Ok(None);
    }
    let mut shell = Command::new("sh");
    shell
        .current_dir(&unfinished)
        .args(["-c", "dpkg -x prometheus_*.deb . && rm prometheus_*.deb"]);
    run::run(&mut shell)?;
    std::fs::rename(&unfinished, &dir).with_context(|| format!("rename to {}", dir.display()))?;
    Ok(Some(programs))
}
