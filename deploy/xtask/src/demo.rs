//! `cargo xtask demo`: sets everything up, then becomes the scenario.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{build, krakend, setup};

/// What `cargo xtask demo` was asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoArgs {
    /// What serves the traffic [default: a real KrakenD when there is one, else embedded]
    #[arg(long, value_enum)]
    gateway: Option<Gateway>,
    /// Nodes to start; the licence is for exactly as many
    #[arg(long, default_value_t = 3)]
    nodes: u16,
    /// New or empty directory for data, logs and screenshots [default: a temporary one]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Go through the scenario by itself: one line a step, one line of JSON at the end, exit 0 or 1
    #[arg(long)]
    once: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Gateway {
    Krakend,
    Embedded,
}

/// Builds, then hands over; returns on failure only.
///
/// # Errors
/// Something is missing or does not build.
pub fn run(args: &DemoArgs) -> Result<()> {
    eprintln!("[1/3] looking for what is needed");
    setup::run()?;
    eprintln!("[2/3] building dashboard and programs; a first build takes some minutes");
    build::run()?;
    eprintln!("[3/3] starting");
    let krakend = krakend::ensure()?;
    let gateway = match args.gateway {
        Some(Gateway::Krakend) if krakend.is_none() => bail!(
            "there is no krakend, and no go to build one: install either, or take --gateway embedded"
        ),
        Some(Gateway::Krakend) => "krakend",
        Some(Gateway::Embedded) => "embedded",
        None if krakend.is_some() => "krakend",
        None => "embedded",
    };
    let bin_dir = build::bin_dir()?;
    let mut scenario = Command::new(bin_dir.join("scenario"));
    scenario
        .args([
            "--gateway",
            gateway,
            "--nodes",
            &args.nodes.to_string(),
            "--bin-dir",
        ])
        .arg(&bin_dir);
    if let Some(krakend) = &krakend {
        scenario.arg("--krakend-bin").arg(krakend);
    }
    if let Some(dir) = &args.dir {
        scenario.arg("--dir").arg(dir);
    }
    if args.once {
        scenario.arg("--once");
    }
    // In this process's place: Ctrl-C then reaches the one that has something to end.
    let error = scenario.exec();
    bail!("start {}: {error}", bin_dir.join("scenario").display())
}
