//! `cargo xtask setup`: what the build and the tests need beside Rust.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{
    axe, contract,
    debian::{HAPROXY, PROMETHEUS},
    krakend, run,
};

/// A thing that may be missing, and the Debian packages that bring it.
struct Need {
    what: &'static str,
    packages: &'static [&'static str],
    there: fn() -> bool,
    /// Without it nothing can be built; without the others something is skipped or larger.
    required: bool,
}

const NEEDS: [Need; 5] = [
    Need {
        what: "a compiler for WebAssembly",
        packages: &["rustc-web", "cargo-web", "rust-web-src"],
        there: has_wasm,
        required: true,
    },
    Need {
        what: "wasm-opt",
        packages: &["binaryen"],
        there: || run::on_path("wasm-opt").is_some(),
        required: false,
    },
    Need {
        what: "Chromium",
        packages: &["chromium"],
        there: has_chromium,
        required: false,
    },
    Need {
        what: "chromedriver",
        packages: &["chromium-driver"],
        there: || run::on_path("chromedriver").is_some(),
        required: false,
    },
    Need {
        what: "npm, for axe-core",
        packages: &["npm"],
        there: || run::on_path("npm").is_some(),
        required: false,
    },
];

/// Installs all that is missing.
///
/// # Errors
/// Not root, or an installation fails; the message is the command to run.
pub fn run() -> Result<()> {
    ensure(true)
}

/// Like [`run`]; unless `all`, what is missing and not required is said and left out.
///
/// # Errors
/// See [`run`].
pub fn ensure(all: bool) -> Result<()> {
    let missing: Vec<&Need> = NEEDS.iter().filter(|need| !(need.there)()).collect();
    if !missing.is_empty() {
        install(&missing, all)?;
    }
    match PROMETHEUS.ensure()? {
        Some(path) => eprintln!("setup: Prometheus {}", path.display()),
        None if run::is_ci() => {
            bail!(
                "there is neither a prometheus nor apt-get to fetch it; with CI=true that is a failure"
            )
        }
        None => eprintln!("setup: no prometheus and no apt-get; its test is left out"),
    }
    contract::ensure()?;
    axe::ensure()?;
    match HAPROXY.ensure()? {
        Some(path) => eprintln!("setup: HAProxy {}", path.display()),
        None => eprintln!("setup: no haproxy on the PATH and no apt-get; its test is left out"),
    }
    match krakend::ensure()? {
        Some(path) => eprintln!("setup: KrakenD {}", path.display()),
        None if run::is_ci() => {
            bail!("there is neither a krakend nor a go on the PATH; with CI=true that is a failure")
        }
        None => eprintln!(
            "setup: no krakend and no go on the PATH; what needs a real KrakenD is left out"
        ),
    }
    Ok(())
}

fn install(missing: &[&Need], all: bool) -> Result<()> {
    if missing.iter().any(|need| need.required) && add_rustup_target() {
        let rest: Vec<&Need> = missing
            .iter()
            .copied()
            .filter(|need| !(need.there)())
            .collect();
        return if rest.is_empty() {
            Ok(())
        } else {
            install(&rest, all)
        };
    }
    let names = missing
        .iter()
        .map(|need| need.what)
        .collect::<Vec<_>>()
        .join(", ");
    let packages: Vec<&str> = missing
        .iter()
        .flat_map(|need| need.packages)
        .copied()
        .collect();
    let command = format!(
        "apt-get update && apt-get install -y --no-install-recommends {}",
        packages.join(" ")
    );
    let can = is_root() && run::on_path("apt-get").is_some();
    if can {
        eprintln!("setup: installing {names}");
        let mut shell = Command::new("sh");
        shell
            .args(["-c", &command])
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(std::io::stderr());
        return run::run(&mut shell);
    }
    if all || missing.iter().any(|need| need.required) {
        bail!(
            "{names} missing. As root, run this one command, then this again:\n\n    {command}\n"
        );
    }
    eprintln!("setup: {names} missing, so something is left out. As root: {command}");
    Ok(())
}

/// The plain way, where rustup reaches its server.
fn add_rustup_target() -> bool {
    if has_wasm() || run::on_path("rustup").is_none() {
        return false;
    }
    eprintln!("setup: rustup target add wasm32-unknown-unknown");
    let status = Command::new("rustup")
        .args(["target", "add", "wasm32-unknown-unknown"])
        .stdout(std::io::stderr())
        .status();
    status.is_ok_and(|status| status.success()) && has_wasm()
}

fn has_wasm() -> bool {
    let libraries = run::output(
        "rustc",
        &[
            "--print",
            "target-libdir",
            "--target",
            "wasm32-unknown-unknown",
        ],
    );
    let debian = [
        "/usr/bin/rustc",
        "/usr/bin/cargo",
        "/usr/lib/rustlib/src/rust/library/std/Cargo.toml",
    ];
    libraries.is_some_and(|dir| Path::new(&dir).is_dir())
        || debian.iter().all(|path| Path::new(path).exists())
}

fn has_chromium() -> bool {
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .any(|name| run::on_path(name).is_some())
}

fn is_root() -> bool {
    run::output("id", &["-u"]).as_deref() == Some("0")
}
