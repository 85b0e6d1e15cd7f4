#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::path::PathBuf;

use jepsen_like_tests::options::sibling_bin_dir;
use jepsen_like_tests::{Gateway, Options, run_once};

/// Runs the scenario in a directory that is kept when it fails.
pub async fn passes(gateway: Gateway, krakend_bin: Option<PathBuf>) {
    let dir = tempfile::Builder::new()
        .prefix("scenario-")
        .tempdir()
        .expect("a temporary directory");
    let options = Options {
        gateway,
        nodes: 3,
        dir: dir.path().join("run"),
        bin_dir: sibling_bin_dir().expect("the target directory"),
        krakend_bin,
    };
    let report = run_once(options, &mut |line| println!("{line}")).await;
    let report = match report {
        Ok(report) => report,
        Err(error) => panic!("the scenario could not start: {error:#}"),
    };
    for step in &report.steps {
        if let Some(reason) = step.figures["skipped"].as_str() {
            skip(reason);
        }
    }
    assert!(
        report.ok,
        "files kept in {}\n{}",
        dir.keep().display(),
        report.complaint()
    );
}

/// Says what was not tried, also to the file that `cargo xtask test` sums up from. With `CI=true` it is a failure.
pub fn skip(reason: &str) {
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "{reason}; with CI=true that is a failure"
    );
    say_skipped(reason);
}

/// Says what this machine does not allow to be tried, also to the file that `cargo xtask test` sums up from.
pub fn say_skipped(reason: &str) {
    eprintln!("skipped: {reason}");
    if let Some(file) = std::env::var_os("XTASK_SKIPS") {
        use std::io::Write;
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(file);
        if let Ok(mut file) = file {
            let _ = writeln!(file, "{reason}");
        }
    }
}
