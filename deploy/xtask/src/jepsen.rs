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
    /// Passed on: --time 10m --seed N --workload .. --nemesis .. --managers 3 --json --dir DIR --planted[=BUG,..], --help
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
        .any(|argument| argument == "--planted" || argument.starts_with("--planted="))
    {
        tester.arg("--program").arg(planted()?);
    }
    build::programs()?;
    // In this process's place: Ctrl-C then reaches the one that has something to end.
    let error = tester.exec();
    bail!("start {}: {error}", bin_dir.join("jepsen").display())
}

/// Builds the programs with the bugs in them, and puts them where no other build writes over them. The manager's path.
fn planted() -> Result<PathBuf> {
    const NAMES: [&str; 2] = ["krakend-cluster-manager", "krakend-node"];
    let mut cargo = run::cargo_command();
    cargo.args(["build", "--locked", "--bins"]);
    for package in build::PACKAGES {
        cargo.args(["--package", package]);
    }
    // The same packages as ever, so that nothing but our own crates is built again.
    let features = NAMES.map(|name| format!("{name}/planted-bugs")).join(",");
    cargo.args(["--features", &features]);
    run::run(&mut cargo)?;
    let bin_dir = build::bin_dir()?;
    let dir = bin_dir.join("planted");
    std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    for name in NAMES {
        let (from, to) = (bin_dir.join(name), dir.join(name));
        std::fs::copy(&from, &to)
            .with_context(|| format!("copy {} to {}", from.display(), to.display()))?;
    }
    Ok(dir.join(NAMES[0]))
}
