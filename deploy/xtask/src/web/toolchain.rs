//! Which compiler builds for WebAssembly on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};
use sha2::{Digest, Sha256};

/// The target of the dashboard.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// A way to compile for [`TARGET`].
#[derive(Clone, Debug)]
pub enum Toolchain {
    /// The active toolchain has the target's standard library.
    Plain { version: String },
    /// Debian's compiler and its sources of the standard library, which cargo builds along.
    Debian { version: String, linker: PathBuf },
}

const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_STD: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";

/// Picks the plain way where it works.
///
/// # Errors
/// Neither way works; the message says what to install.
pub fn find() -> Result<Toolchain> {
    let libraries = output("rustc", &["--print", "target-libdir", "--target", TARGET]);
    if libraries.is_some_and(|dir| Path::new(&dir).is_dir()) {
        return Ok(Toolchain::Plain {
            version: output("rustc", &["-Vv"]).unwrap_or_default(),
        });
    }
    let version = output(DEBIAN_RUSTC, &["-Vv"]).filter(|_| Path::new(DEBIAN_STD).is_file());
    match (version, find_linker()) {
        (Some(version), Some(linker)) => Ok(Toolchain::Debian { version, linker }),
        (Some(_), None) => {
            bail!("no linker for WebAssembly: install one with `apt-get install -y lld`")
        }
        (None, _) => bail!(
            "this machine cannot compile for {TARGET}. Install it with `rustup target add {TARGET}`, or where rustup \
             cannot reach its server with `apt-get install -y rustc-web cargo-web rust-web-src lld`"
        ),
    }
}

impl Toolchain {
    /// Names the directory of what this toolchain has built. Cargo itself notices changed dependencies inside it.
    #[must_use]
    pub fn key(&self) -> String {
        let (way, version) = match self {
            Self::Plain { version } => ("plain", version),
            Self::Debian { version, .. } => ("debian", version),
        };
        let digest = Sha256::digest(format!("{way}\n{version}\n"));
        digest.iter().take(6).map(|b| format!("{b:02x}")).collect()
    }

    /// Cargo, ready for its arguments. Flags of the surrounding build do not reach it: they would make it build everything anew.
    #[must_use]
    pub fn cargo(&self) -> Command {
        let mut cargo = match self {
            Self::Plain { .. } => Command::new("cargo"),
            Self::Debian { linker, .. } => {
                let mut cargo = Command::new(DEBIAN_CARGO);
                // `-Zbuild-std` is unstable, and Debian's compiler is a stable one.
                cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", DEBIAN_RUSTC);
                cargo.arg("-Zbuild-std=std,panic_abort").arg("--config");
                cargo.arg(format!("target.{TARGET}.linker=\"{}\"", linker.display()));
                cargo
            }
        };
        for name in [
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
            "RUSTC_WRAPPER",
            "LD_LIBRARY_PATH",
        ] {
            cargo.env_remove(name);
        }
        cargo
    }
}

/// rustc's own lld, of any installed toolchain, or LLVM's.
fn find_linker() -> Option<PathBuf> {
    let active = output("rustc", &["--print", "sysroot"]).map(PathBuf::from);
    let rustup = std::env::home_dir().map(|home| home.join(".rustup/toolchains"));
    let installed = rustup
        .and_then(|dir| std::fs::read_dir(dir).ok())
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok().map(|e| e.path()));
    let own = active.into_iter().chain(installed).find_map(|sysroot| {
        let hosts = std::fs::read_dir(sysroot.join("lib/rustlib")).ok()?;
        hosts
            .filter_map(|host| host.ok().map(|h| h.path().join("bin/rust-lld")))
            .find(|lld| lld.is_file())
    });
    own.or_else(|| {
        let mut names = vec!["wasm-ld".to_owned()];
        names.extend((14..30).rev().map(|v| format!("wasm-ld-{v}")));
        names
            .into_iter()
            .map(|n| Path::new("/usr/bin").join(n))
            .find(|p| p.is_file())
    })
}

/// Trimmed standard output of a tool that ended well.
fn output(program: &str, args: &[&str]) -> Option<String> {
    let out = Command::new(program)
        .args(args)
        .env_remove("LD_LIBRARY_PATH")
        .output()
        .ok()?;
    out.status
        .success()
        .then(|| String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_compiler_gets_another_directory() {
        let plain = |version: &str| {
            Toolchain::Plain {
                version: version.to_owned(),
            }
            .key()
        };
        let debian = Toolchain::Debian {
            version: "1.96".to_owned(),
            linker: PathBuf::new(),
        }
        .key();
        assert_eq!(plain("1.96"), plain("1.96"));
        assert_ne!(plain("1.96"), plain("1.97"));
        assert_ne!(plain("1.96"), debian);
    }
}
