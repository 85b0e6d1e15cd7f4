//! axe-core, which finds what keeps people with a screen reader or a keyboard out: from npm into the user's cache.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

const VERSION: &str = "4.14.1";

/// Installs it, once.
///
/// # Errors
/// With `CI=true` there is no npm, or the installation fails.
pub fn ensure() -> Result<()> {
    let dir = run::cache_dir()?.join("axe-core");
    let done = dir.join("installed");
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == VERSION) {
        return Ok(());
    }
    let Some(npm) = run::on_path("npm") else {
        if run::is_ci() {
            bail!("there is no npm on the PATH; with CI=true that is a failure");
        }
        eprintln!("setup: no npm on the PATH; the dashboard is tested without axe-core");
        return Ok(());
    };
    eprintln!("setup: fetching axe-core {VERSION} into {}", dir.display());
    std::fs::create_dir_all(&dir)?;
    let mut install = Command::new(npm);
    install
        .args(["install", "--ignore-scripts", "--no-audit", "--no-fund"])
        .args(["--no-save", "--loglevel=error", "--prefix"])
        .arg(&dir)
        .arg(format!("axe-core@{VERSION}"));
    match run::run(&mut install) {
        Ok(()) => Ok(std::fs::write(done, VERSION)?),
        Err(error) if !run::is_ci() => {
            eprintln!("setup: the dashboard is tested without axe-core: {error:#}");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
