//! Whether the dashboard must be built at all.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

const STAMP: &str = ".inputs";
/// Everything that goes into the dashboard, and the tool that builds it.
const FOLDERS: [&str; 3] = ["web", "server/api", "deploy/xtask/src/web"];
const FILES: [&str; 3] = ["Cargo.toml", "Cargo.lock", "deploy/xtask/src/web.rs"];

/// Digest over names and contents of all inputs.
///
/// # Errors
/// An input cannot be read.
pub fn digest(root: &Path) -> Result<String> {
    let mut files: Vec<PathBuf> = FILES.iter().map(|f| root.join(f)).collect();
    for folder in FOLDERS {
        collect(&root.join(folder), &mut files)?;
    }
    files.sort();
    let mut hasher = Sha256::new();
    for file in &files {
        let bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
        let name = file.strip_prefix(root).unwrap_or(file).to_string_lossy();
        hasher.update(format!("{name}\0{}\0", bytes.len()));
        hasher.update(&bytes);
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect())
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    for entry in entries {
        let path = entry
            .with_context(|| format!("read {}", folder.display()))?
            .path();
        if path.is_dir() {
            if !path.ends_with("web/dist") {
                collect(&path, into)?;
            }
        } else {
            into.push(path);
        }
    }
    Ok(())
}

/// True when `dist` was built from inputs with this digest.
#[must_use]
pub fn is_current(dist: &Path, digest: &str) -> bool {
    let stamp = std::fs::read_to_string(dist.join(STAMP)).unwrap_or_default();
    stamp == digest && dist.join("index.html").is_file()
}

/// Remembers what `dist` was built from.
///
/// # Errors
/// The stamp cannot be written.
pub fn store(dist: &Path, digest: &str) -> Result<()> {
    std::fs::write(dist.join(STAMP), digest).context("write web/dist/.inputs")
}
