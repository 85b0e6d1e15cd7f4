//! `cargo xtask jepsen`: builds, then becomes the fault tester.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{build, run};

/// What `cargo xtask jepsen` was asked for.
#[derive(Clone, Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct JepsenArgs {
    /// Passed on: --time 10m --seed N --workload .. --nemesis .. --managers 3 --json --dir DIR --planted, --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds, then hands over; returns on failure only.
///
/// # Errors
/// Something does not build.
pub fn run(args: &JepsenArgs) -> Result<()> {
    let bin_dir = build::bin_dir()?;
    let mut tester = Command::new(bin_dir.join("jepsen"));
    tester.args(&args.arguments);
    if args
        .arguments
        .iter()
        .any(|argument| argument == "--planted")
    {
        tester.arg("--program").arg(planted()?);
    }
    build::programs()?;
    // In this process's place: Ctrl-C then reaches the one that has something to end.
    let error = tester.exec();
    bail!("start {}: {error}", bin_dir.join("jepsen").display())
}

/// Builds the manager with the bugs in it, and puts it where no other build writes over it.
fn planted() -> Result<PathBuf> {
    const NAME: &str = "krakend-cluster-manager";
    let mut cargo = run::cargo_command();
    cargo.args(["build", "--locked", "--bins"]);
    for package in build::PACKAGES {
        cargo.args(["--package", package]);
    }
    // The same packages as ever, so that nothing but our own crates is built again.
    cargo.args(["--features", "krakend-cluster-manager/planted-bugs"]);
    run::run(&mut cargo)?;
    let bin_dir = build::bin_dir()?;
    let dir = bin_dir.join("planted");
    std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    let (from, to) = (bin_dir.join(NAME), dir.join(NAME));
    std::fs::copy(&from, &to)
        .with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    Ok(to)
}
