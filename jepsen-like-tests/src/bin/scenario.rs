//! `scenario`: what `cargo xtask demo` runs.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Parser;
use jepsen_like_tests::options::{find_krakend, sibling_bin_dir};
use jepsen_like_tests::{Gateway, Options, run_interactively, run_once};
use tokio::signal::unix::{SignalKind, signal};

/// Starts a group of managers, nodes, a sample backend and traffic on this machine.
#[derive(Debug, Parser)]
#[command(name = "scenario", version)]
struct Arguments {
    /// What serves the traffic [default: krakend when there is one, else embedded]
    #[arg(long, value_enum)]
    gateway: Option<Gateway>,
    /// Nodes to start; the licence is for exactly as many
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=50))]
    nodes: u16,
    /// New or empty directory for data and logs, kept afterwards [default: a temporary one, removed when all went well]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Where krakend-cluster-manager and krakend-node are [default: beside this program]
    #[arg(long)]
    bin_dir: Option<PathBuf>,
    /// The KrakenD program
    #[arg(long)]
    krakend_bin: Option<PathBuf>,
    /// Go through the scenario, print one line a step and one line of JSON at the end; exit 0 or 1
    #[arg(long)]
    once: bool,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let krakend_bin = arguments.krakend_bin.or_else(find_krakend);
    let gateway = arguments.gateway.unwrap_or(if krakend_bin.is_some() {
        Gateway::Krakend
    } else {
        Gateway::Embedded
    });
    if gateway == Gateway::Krakend {
        krakend_bin.as_ref().context(
            "no krakend on the PATH: run `cargo xtask setup`, or take --gateway embedded",
        )?;
    }
    let temporary = arguments
        .dir
        .is_none()
        .then(|| tempfile::Builder::new().prefix("krakend-demo-").tempdir())
        .transpose()?;
    let dir = arguments
        .dir
        .or_else(|| temporary.as_ref().map(|dir| dir.path().to_owned()))
        .context("no directory")?;
    let bin_dir = arguments.bin_dir.map_or_else(sibling_bin_dir, Ok)?;
    let options = Options {
        gateway,
        nodes: usize::from(arguments.nodes),
        dir,
        bin_dir,
        krakend_bin,
    };
    let mut say = |line: &str| println!("{line}");
    if !arguments.once {
        run_interactively(options, &mut say, told_to_end()).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let report = tokio::select! {
        report = run_once(options, &mut say) => report?,
        // Dropping the run kills everything that it started.
        () = told_to_end() => anyhow::bail!("ended by a signal"),
    };
    if let (false, Some(dir)) = (report.ok, temporary) {
        println!("kept: {}", dir.keep().display());
    }
    println!("{}", report.json());
    Ok(if report.ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Ready at Ctrl-C or SIGTERM.
async fn told_to_end() {
    let mut terminate = signal(SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminate {
            Some(terminate) => terminate.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
