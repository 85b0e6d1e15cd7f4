//! `cargo xtask test`: one gate that only reads, from the format to the scenario.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::web::WebArgs;
use crate::{build, debian::PROMETHEUS, krakend, run, setup, web};

/// Runs everything; stops at the first stage that fails.
///
/// # Errors
/// The stage that failed.
pub fn run() -> Result<()> {
    let skips = std::env::temp_dir().join(format!("xtask-skips-{}", std::process::id()));
    let result = stages(&skips);
    let skipped = std::fs::read_to_string(&skips).unwrap_or_default();
    // It is not there when nothing was skipped.
    let _ = std::fs::remove_file(&skips);
    summary(&skipped);
    result
}

/// The linter over everything; a warning is an error.
///
/// # Errors
/// There are warnings.
pub fn lint() -> Result<()> {
    run::cargo(&[
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ])
}

fn stages(skips: &Path) -> Result<()> {
    let stages: [(&str, &dyn Fn() -> Result<()>); 6] = [
        ("what is needed", &|| setup::ensure(run::is_ci())),
        ("format", &|| run::cargo(&["fmt", "--all", "--check"])),
        ("dashboard", &|| web::run(&WebArgs::default())),
        ("linter", &lint),
        ("programs", &build::programs),
        ("tests", &|| tests(skips)),
    ];
    for (index, (name, stage)) in stages.iter().enumerate() {
        let start = Instant::now();
        eprintln!("[{}/{}] {name}", index + 1, stages.len());
        stage().with_context(|| format!("stage {:?} failed", *name))?;
        eprintln!(
            "[{}/{}] {name}: {:.0} s",
            index + 1,
            stages.len(),
            start.elapsed().as_secs_f32()
        );
    }
    Ok(())
}

fn tests(skips: &Path) -> Result<()> {
    let mut cargo = run::cargo_command();
    cargo
        .args(["test", "--locked", "--workspace", "--no-fail-fast"])
        .env("XTASK_SKIPS", skips);
    if let Some(krakend) = krakend::ensure()? {
        cargo.env("KRAKEND_BIN", krakend);
    }
    let program = PROMETHEUS.ensure()?;
    if let Some(dir) = program.as_deref().and_then(Path::parent) {
        cargo.env("PROMETHEUS_DIR", dir);
    }
    run::run(&mut cargo)
}

fn summary(skipped: &str) {
    let mut reasons: Vec<&str> = skipped.lines().collect();
    reasons.sort_unstable();
    reasons.dedup();
    if reasons.is_empty() {
        eprintln!("skipped: nothing");
    }
    for reason in reasons {
        eprintln!("skipped: {reason}");
    }
}
