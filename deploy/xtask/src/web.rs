//! `cargo xtask web`: builds the dashboard into `web/dist`.
//!
//! Cargo compiles `krakend-web` for `wasm32-unknown-unknown`, wasm-bindgen writes the JavaScript around it, wasm-opt shrinks it when
//! it is there, and the files get names with a digest of their content. What takes long (the standard library, the dependencies,
//! wasm-bindgen) is kept under the user's cache directory, so a fresh clone builds only the dashboard itself.

mod bindgen;
mod bundle;
mod inputs;
mod toolchain;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// The most that a browser may have to load, in bytes after compression.
///
/// The goal is 400,000; all pages together take 434,000: fonts 32,000, style 11,000, JavaScript 8,000, the module the rest. Of its code
/// a third is what the pages draw, a seventh leptos' signals and memos (a copy for each type), a tenth each the standard library and
/// what asks the managers, a twentieth reading JSON. wasm-opt 132 makes the module a tenth smaller and its gzip not at all.
const LIMIT_GZIP_BYTES: u64 = 440_000;

/// The oldest wasm-opt that is used. Release 108 exports the wrong table where a module has two, and the page stays empty.
const WASM_OPT_RELEASE: u32 = 116;

/// What `cargo xtask web` was asked for.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct WebArgs {
    /// End with one line of JSON: sizes and files
    #[arg(long)]
    pub json: bool,
    /// Build even when nothing changed
    #[arg(long)]
    pub force: bool,
}

/// Builds the dashboard unless it is up to date.
///
/// # Errors
/// A missing tool (the message names the command that installs it), a failed build, a result above the size limit.
pub fn run(args: &WebArgs) -> Result<()> {
    let started = Instant::now();
    let root = workspace_root()?;
    let dist = root.join("web/dist");
    let digest = inputs::digest(&root)?;
    if !args.force && inputs::is_current(&dist, &digest) {
        eprintln!("dashboard: up to date");
        return report(&dist, args.json);
    }
    let toolchain = toolchain::find()?;
    let cache = cache_dir()?;
    let bindgen = bindgen::ensure(&root, &cache)?;
    let wasm = compile(&root, &toolchain, &cache)?;
    let work = tempfile_dir(&cache)?;
    bindgen.generate(&wasm, &work)?;
    shrink(&work.join("app_bg.wasm"))?;
    bundle::write(&root.join("web"), &work, &dist)?;
    inputs::store(&dist, &digest)?;
    std::fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
    eprintln!(
        "dashboard: built in {:.0} s",
        started.elapsed().as_secs_f32()
    );
    report(&dist, args.json)
}

fn workspace_root() -> Result<PathBuf> {
    let here = std::env::var("CARGO_MANIFEST_DIR")
        .unwrap_or_else(|_| env!("CARGO_MANIFEST_DIR").to_owned());
    let root = Path::new(&here).ancestors().nth(2).map(Path::to_path_buf);
    root.filter(|r| r.join("web/Cargo.toml").is_file())
        .context("web/Cargo.toml not found: run this as `cargo xtask web` inside the repository")
}

/// `$XDG_CACHE_HOME` or `~/.cache`, then `krakend-cluster-manager`.
fn cache_dir() -> Result<PathBuf> {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .context(
            "neither XDG_CACHE_HOME nor HOME is set: set one, it holds what takes long to build",
        )?;
    Ok(base.join("krakend-cluster-manager"))
}

fn tempfile_dir(cache: &Path) -> Result<PathBuf> {
    let dir = cache.join(format!("web-{}", std::process::id()));
    std::fs::create_dir_all(&dir).with_context(|| format!("create {}", dir.display()))?;
    Ok(dir)
}

fn compile(root: &Path, toolchain: &toolchain::Toolchain, cache: &Path) -> Result<PathBuf> {
    let target_dir = cache.join(format!("wasm-{}", toolchain.key()));
    if !target_dir.is_dir() {
        eprintln!(
            "dashboard: first build with this compiler; it takes some minutes, later ones seconds"
        );
    }
    let mut cargo = toolchain.cargo();
    cargo
        .current_dir(root)
        .args(["build", "--package", "krakend-web", "--profile", "web"])
        .args(["--target", toolchain::TARGET, "--target-dir"])
        .arg(&target_dir);
    run_tool(&mut cargo, "build the dashboard")?;
    Ok(target_dir
        .join(toolchain::TARGET)
        .join("web/krakend-web.wasm"))
}

/// Shrinks the module in place. Without wasm-opt it stays a little larger, and works the same.
fn shrink(wasm: &Path) -> Result<()> {
    let Some(release) = wasm_opt_release() else {
        eprintln!("dashboard: no wasm-opt on the PATH, the module stays a little larger");
        return Ok(());
    };
    if release < WASM_OPT_RELEASE {
        eprintln!(
            "dashboard: wasm-opt {release} is too old (from {WASM_OPT_RELEASE} on), the module stays a little larger"
        );
        return Ok(());
    }
    // The features that rustc uses by default for this target.
    let features = [
        "bulk-memory",
        "mutable-globals",
        "multivalue",
        "nontrapping-float-to-int",
        "reference-types",
        "sign-ext",
    ];
    let mut tool = Command::new("wasm-opt");
    tool.arg("-Oz")
        .args(features.map(|f| format!("--enable-{f}")))
        .arg(wasm)
        .arg("-o")
        .arg(wasm);
    run_tool(&mut tool, "shrink the module")
}

/// The number in `wasm-opt version 108`.
fn wasm_opt_release() -> Option<u32> {
    let out = Command::new("wasm-opt").arg("--version").output().ok()?;
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    text.split_whitespace().find_map(|word| word.parse().ok())
}

/// Runs a tool with its output passed on to standard error.
fn run_tool(tool: &mut Command, purpose: &str) -> Result<()> {
    let name = tool.get_program().to_string_lossy().into_owned();
    let status = tool
        .stdout(std::io::stderr())
        .status()
        .with_context(|| format!("{purpose}: {name} could not be started"))?;
    if !status.success() {
        bail!("{purpose}: {name} ended with {status}; its messages are above");
    }
    Ok(())
}

/// Prints sizes, and fails above the limit.
fn report(dist: &Path, json: bool) -> Result<()> {
    let manifest = bundle::read_manifest(dist)?;
    if json {
        println!("{}", serde_json::to_string(&manifest)?);
    } else {
        for file in &manifest.files {
            eprintln!("{:>9} {:>9}  {}", file.bytes, file.gzip_bytes, file.path);
        }
        eprintln!(
            "dashboard: {} bytes to load, compressed",
            manifest.gzip_bytes
        );
    }
    if manifest.gzip_bytes > LIMIT_GZIP_BYTES {
        bail!(
            "the dashboard needs {} bytes, more than the limit of {LIMIT_GZIP_BYTES}",
            manifest.gzip_bytes
        );
    }
    Ok(())
}
