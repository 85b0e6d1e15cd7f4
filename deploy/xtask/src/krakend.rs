//! A real KrakenD: one on the `PATH`, or the reference KrakenD, built once into the user's cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::run;

const VERSION_FLAG: &str = "-X github.com/luraproject/lura/v2/core.KrakendVersion=2.13.8";

/// Where it is, building it when that can be done; nothing when there is neither KrakenD nor Go.
///
/// # Errors
/// The build fails.
pub fn ensure() -> Result<Option<PathBuf>> {
    let named = std::env::var_os("KRAKEND_BIN")
        .map(PathBuf::from)
        .filter(|path| path.is_file());
    if let Some(found) = named.or_else(|| run::on_path("krakend")) {
        return Ok(Some(found));
    }
    let sources = run::root().join("deploy/reference-krakend");
    let dir = run::cache_dir()?.join(format!("krakend-{}", digest(&sources)?));
    let program = dir.join("krakend");
    if program.is_file() {
        return Ok(Some(program));
    }
    let Some(go) = find_go() else { return Ok(None) };
    eprintln!("setup: building the reference KrakenD, once; about a minute");
    std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    // Renamed when it is whole: a build that was interrupted must not look like one that is done.
    let unfinished = dir.join(format!("krakend-{}", std::process::id()));
    let mut build = Command::new(go);
    build
        .current_dir(&sources)
        .args(["build", "-trimpath", "-ldflags", VERSION_FLAG, "-o"])
        .arg(&unfinished)
        .arg(".");
    run::run(&mut build)?;
    std::fs::rename(&unfinished, &program)
        .with_context(|| format!("rename to {}", program.display()))?;
    Ok(Some(program))
}

fn find_go() -> Option<PathBuf> {
    run::on_path("go")
        .or_else(|| Some(PathBuf::from("/usr/local/go/bin/go")).filter(|path| path.is_file()))
}

/// Over names and contents of all that goes into the program.
fn digest(sources: &Path) -> Result<String> {
    let read = || format!("read {}", sources.display());
    let mut files = Vec::new();
    for entry in std::fs::read_dir(sources).with_context(read)? {
        let path = entry.with_context(read)?.path();
        if path
            .extension()
            .is_some_and(|extension| ["go", "mod", "sum"].iter().any(|known| extension == *known))
        {
            files.push(path);
        }
    }
    files.sort();
    let mut digest = Sha256::new();
    for file in files {
        digest.update(file.file_name().unwrap_or_default().as_encoded_bytes());
        digest.update([0]);
        digest.update(std::fs::read(&file).with_context(|| format!("read {}", file.display()))?);
    }
    Ok(digest
        .finalize()
        .iter()
        .take(6)
        .map(|byte| format!("{byte:02x}"))
        .collect())
}
