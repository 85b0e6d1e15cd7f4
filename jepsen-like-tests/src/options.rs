//! What a run of the scenario was asked for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// What serves the traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Gateway {
    /// A real KrakenD behind the node's front door.
    Krakend,
    /// The engine inside the node.
    Embedded,
}

impl Gateway {
    /// As the node's settings spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Krakend => "krakend",
            Self::Embedded => "embedded",
        }
    }
}

/// A run.
#[derive(Clone, Debug)]
pub struct Options {
    pub gateway: Gateway,
    /// Nodes that the licence allows, and that are started; at least three for the whole scenario.
    pub nodes: usize,
    /// Everything that the run writes; made when missing, must be empty.
    pub dir: PathBuf,
    /// Where `krakend-cluster-manager` and `krakend-node` are.
    pub bin_dir: PathBuf,
    /// The KrakenD program; needed for [`Gateway::Krakend`] only.
    pub krakend_bin: Option<PathBuf>,
}

impl Options {
    /// Path of a program under test.
    ///
    /// # Errors
    /// It is not there; the message says how to build it.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let path = self.bin_dir.join(name);
        if path.is_file() {
            return Ok(path);
        }
        bail!(
            "no {name} in {}: build it with `cargo xtask build`, or name another directory with --bin-dir",
            self.bin_dir.display()
        )
    }
}

/// The directory of the running program's siblings: `target/debug` also for a test, which lies one deeper.
///
/// # Errors
/// The system does not say where this program is.
pub fn sibling_bin_dir() -> Result<PathBuf> {
    let me = std::env::current_exe().context("find this program's own path")?;
    let dir = me.parent().context("this program has no directory")?;
    let dir = if dir.ends_with("deps") {
        dir.parent().unwrap_or(dir)
    } else {
        dir
    };
    Ok(dir.to_owned())
}

/// A KrakenD: `KRAKEND_BIN`, one on the `PATH`, the one that `cargo xtask setup` built, or the one built in the repository.
pub fn find_krakend() -> Option<PathBuf> {
    let named = std::env::var_os("KRAKEND_BIN").map(PathBuf::from);
    let on_path = std::env::var_os("PATH").map(|path| {
        std::env::split_paths(&path)
            .map(|dir| dir.join("krakend"))
            .collect::<Vec<_>>()
    });
    let in_place =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/reference-krakend/krakend");
    named
        .into_iter()
        .chain(on_path.unwrap_or_default())
        .chain([in_place])
        .find(|path| path.is_file())
}
