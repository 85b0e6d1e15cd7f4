//! `cargo xtask build`: the dashboard first, because the manager carries it inside.

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::web::WebArgs;
use crate::{run, web};

/// What is built together, always: another choice would build dependencies again with other features.
pub const PACKAGES: [&str; 4] = [
    "krakend-cluster-manager",
    "krakend-node",
    "jepsen-like-tests",
    "krakend-bench",
];

/// Builds the dashboard and the programs.
///
/// # Errors
/// A build fails.
pub fn run() -> Result<()> {
    web::run(&WebArgs::default())?;
    programs()
}

/// Builds the programs alone.
///
/// # Errors
/// The build fails.
pub fn programs() -> Result<()> {
    let mut cargo = run::cargo_command();
    cargo.args(["build", "--locked", "--bins"]);
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    run::run(&mut cargo)
}

/// Where the programs are: beside this one.
///
/// # Errors
/// The system does not say where this program is.
pub fn bin_dir() -> Result<PathBuf> {
    let me = std::env::current_exe().context("find this program's own path")?;
    Ok(me
        .parent()
        .context("this program has no directory")?
        .to_owned())
}
