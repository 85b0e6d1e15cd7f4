//! wasm-bindgen of exactly the version that the lock file names.
//!
//! The library, in a program of ten lines of its own: it builds in a fraction of the time of `wasm-bindgen-cli`, which brings a
//! TLS stack and a test server along, and it keeps this tool quick to build.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

const MAIN: &str = r#"fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, input, out] = args.as_slice() else { return Err("usage: bindgen INPUT OUT".into()) };
    wasm_bindgen_cli_support::Bindgen::new()
        .input_path(input)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .out_name("app")
        .generate(out)?;
    Ok(())
}
"#;

/// The program.
#[derive(Clone, Debug)]
pub struct Bindgen {
    program: PathBuf,
}

impl Bindgen {
    /// Writes `app.js` and `app_bg.wasm` into `out`.
    ///
    /// # Errors
    /// The program failed.
    pub fn generate(&self, wasm: &Path, out: &Path) -> Result<()> {
        super::run_tool(
            Command::new(&self.program).arg(wasm).arg(out),
            "write the module's JavaScript",
        )
    }
}

/// Builds the program unless it is in the cache.
///
/// # Errors
/// The lock file names no version, or the build failed.
pub fn ensure(root: &Path, cache: &Path) -> Result<Bindgen> {
    let lock = std::fs::read_to_string(root.join("Cargo.lock")).context("read Cargo.lock")?;
    let version = locked_version(&lock)
        .context("Cargo.lock names no wasm-bindgen: run `cargo metadata` once")?;
    let dir = cache.join(format!("bindgen-{version}"));
    let program = dir.join("target/release/bindgen");
    if program.is_file() {
        return Ok(Bindgen { program });
    }
    eprintln!("dashboard: building wasm-bindgen {version}, once for all clones");
    std::fs::create_dir_all(dir.join("src"))
        .with_context(|| format!("create {}", dir.display()))?;
    let manifest = format!(
        "[package]\nname = \"bindgen\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         wasm-bindgen-cli-support = \"={version}\"\n\n[profile.release]\nopt-level = 2\ndebug = false\n"
    );
    std::fs::write(dir.join("Cargo.toml"), manifest)
        .context("write the manifest of wasm-bindgen's program")?;
    std::fs::write(dir.join("src/main.rs"), MAIN).context("write wasm-bindgen's program")?;
    let mut cargo = Command::new("cargo");
    cargo
        .current_dir(&dir)
        .args(["build", "--release", "--target-dir"])
        .arg(dir.join("target"));
    for name in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    super::run_tool(&mut cargo, "build wasm-bindgen")?;
    Ok(Bindgen { program })
}

fn locked_version(lock: &str) -> Option<String> {
    let mut lines = lock.lines();
    lines.find(|line| *line == "name = \"wasm-bindgen\"")?;
    let version = lines
        .next()?
        .strip_prefix("version = \"")?
        .strip_suffix('"')?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_comes_from_the_lock_file() {
        let lock = "[[package]]\nname = \"wasm-bindgen-shared\"\nversion = \"0.1.0\"\n\n[[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(locked_version(lock).as_deref(), Some("0.2.130"));
        assert_eq!(locked_version(""), None);
    }
}
