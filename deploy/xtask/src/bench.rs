//! `cargo xtask bench`: builds for release, then becomes the benchmark.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{build, golang, run};

/// What `cargo xtask bench` was asked for.
#[derive(Clone, Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct BenchArgs {
    /// Passed on: group [--quick] [--json] [--seconds-each N] [--kills N] [--nodes N] [--to leader|each] [--dir DIR], nodes [--nodes N]
    /// [--rest-s N] [--json] [--dir DIR], gossip [--quick] [--json] [--seed N], statistics [--nodes N] [--endpoints N] [--days N]
    /// [--json], --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds, then hands over; returns on failure only.
///
/// # Errors
/// Something does not build, or the peer is not in the cache and there is no Go to build it.
pub fn run(args: &BenchArgs) -> Result<()> {
    let what = args.arguments.first().map_or("", String::as_str);
    let peer = match what {
        "nodes" | "statistics" => None,
        "gossip" => Some(peer(
            "memberlist",
            "memberlist to compare with",
            "deploy/bench-memberlist",
        )?),
        _ => Some(peer("etcd", "etcd to compare with", "deploy/bench-etcd")?),
    };
    let mut cargo = run::cargo_command();
    cargo.args(["build", "--locked", "--release", "--bins"]);
    let programs = match what {
        "gossip" | "statistics" => &[][..],
        _ => &build::PACKAGES[..],
    };
    for package in programs {
        cargo.args(["--package", package]);
    }
    run::run(cargo.args(["--package", "krakend-bench"]))?;
    let debug = build::bin_dir()?;
    let target = debug.parent().context("the programs have no directory")?;
    let release = target.join("release");
    let program = release.join("krakend-bench");
    let mut bench = Command::new(&program);
    bench.args(&args.arguments);
    if matches!(what, "group" | "nodes") {
        if let Some(etcd) = peer {
            bench.arg("--etcd").arg(etcd);
        }
        bench
            .arg("--manager")
            .arg(release.join("krakend-cluster-manager"));
        let given = |argument: &String| argument == "--dir" || argument.starts_with("--dir=");
        // Not the system's directory for temporary files: that is often in memory, where no fsync reaches a disk.
        if !args.arguments.iter().any(given) {
            bench.arg("--dir").arg(target.join("bench"));
        }
    } else if let Some(memberlist) = peer {
        bench.arg("--memberlist").arg(memberlist);
    }
    // In this process's place: Ctrl-C then reaches the one that has something to end.
    let error = bench.exec();
    bail!("start {}: {error}", program.display())
}

/// Built once, with Go.
fn peer(name: &'static str, what: &'static str, sources: &'static str) -> Result<PathBuf> {
    golang::ensure(&golang::Program {
        name,
        what,
        sources,
        flags: &[],
    })?
    .with_context(|| {
        format!("there is no go on the PATH to build {what}: install Go, then try again")
    })
}
