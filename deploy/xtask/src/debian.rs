//! Programs that tests need and that must not be installed, because that would start a service and needs root: Debian's
//! packages unpacked into the user's cache.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::run;

/// A program, its packages (with the libraries that a plain machine lacks), and where it is in them.
pub struct Unpacked {
    pub name: &'static str,
    pub packages: &'static [&'static str],
    pub program: &'static str,
    /// Other programs of the package that are needed: one on the `PATH` without them does not do.
    pub beside: &'static [&'static str],
}

/// The balancer of the tests.
pub const HAPROXY: Unpacked = Unpacked {
    name: "haproxy",
    packages: &[
        "haproxy",
        "liblua5.3-0",
        "libopentracing-c-wrapper0",
        "libopentracing1",
    ],
    program: "usr/sbin/haproxy",
    beside: &[],
};

/// What scrapes in the tests, and checks rules.
pub const PROMETHEUS: Unpacked = Unpacked {
    name: "prometheus",
    packages: &["prometheus"],
    program: "usr/bin/prometheus",
    beside: &["promtool"],
};

impl Unpacked {
    /// The program: the one on the `PATH`, or the unpacked one; nothing where there is no way to get it.
    ///
    /// # Errors
    /// A package cannot be unpacked.
    pub fn ensure(&self) -> Result<Option<PathBuf>> {
        let whole = self.beside.iter().all(|it| run::on_path(it).is_some());
        if let Some(found) = run::on_path(self.name).filter(|_| whole) {
            return Ok(Some(found));
        }
        let dir = run::cache_dir()?.join(self.name);
        let program = dir.join(self.program);
        if program.is_file() {
            return Ok(Some(program));
        }
        if run::on_path("apt-get").is_none() || run::on_path("dpkg").is_none() {
            return Ok(None);
        }
        eprintln!(
            "setup: fetching Debian's {} into {}",
            self.name,
            dir.display()
        );
        // Renamed when it is whole: what was interrupted must not look like what is done.
        let unfinished = dir.with_extension(std::process::id().to_string());
        std::fs::create_dir_all(&unfinished)
            .with_context(|| format!("make {}", unfinished.display()))?;
        let fetched = Command::new("apt-get")
            .current_dir(&unfinished)
            .arg("download")
            .args(self.packages)
            .stdout(std::io::stderr())
            .status();
        if !fetched.is_ok_and(|status| status.success()) {
            eprintln!(
                "setup: apt-get knows no {} (as root: apt-get update)",
                self.name
            );
            std::fs::remove_dir_all(&unfinished)?;
            return Ok(None);
        }
        let mut shell = Command::new("sh");
        shell.current_dir(&unfinished).args([
            "-c",
            "for package in *.deb; do dpkg -x \"$package\" . && rm \"$package\" || exit 1; done",
        ]);
        run::run(&mut shell)?;
        std::fs::rename(&unfinished, &dir)
            .with_context(|| format!("rename to {}", dir.display()))?;
        Ok(Some(program))
    }
}
