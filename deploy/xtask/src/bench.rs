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
    /// Passed on: group --quick --json --seconds-each N --kills N --to leader|each --dir DIR,
    /// or nodes --nodes N --rest-s N --json --dir DIR, --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds, then hands over; returns on failure only.
///
/// # Errors
/// Something does not build, or there is neither etcd in the cache nor Go to build it.
pub fn run(args: &BenchArgs) -> Result<()> {
    let what = args.arguments.first().map_or("", String::as_str);
    let etcd = match what {
        "nodes" => None,
        _ => Some(etcd()?),
    };
    let mut cargo = run::cargo_command();
    cargo.args(["build", "--locked", "--release", "--bins"]);
    for package in build::PACKAGES {
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
        if let Some(etcd) = etcd {
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
    }
    // In this process's place: Ctrl-C then reaches the one that has something to end.
    let error = bench.exec();
    bail!("start {}: {error}", program.display())
}

/// Built once, with Go.
fn etcd() -> Result<PathBuf> {
    golang::ensure(&golang::Program {
        name: "etcd",
        what: "etcd to compare with",
        sources: "deploy/bench-etcd",
        flags: &[],
    })?
    .context("there is no go on the PATH to build etcd with: install Go, then try again")
}
