//! Programs in Go, built once into the user's cache.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::run;

/// One program.
#[derive(Debug)]
pub struct Program {
    pub name: &'static str,
    /// For people.
    pub what: &'static str,
    /// Folder in the repository.
    pub sources: &'static str,
    /// For `go build`, beside the usual ones.
    pub flags: &'static [&'static str],
}

/// Where it is, building it when its sources are new; nothing when there is no Go.
///
/// # Errors
/// The build fails.
pub fn ensure(program: &Program) -> Result<Option<PathBuf>> {
    let name = program.name;
    let sources = run::root().join(program.sources);
    let dir = run::cache_dir()?.join(format!("{name}-{}", digest(&sources)?));
    let built = dir.join(name);
    if built.is_file() {
        return Ok(Some(built));
    }
    let Some(go) = find_go() else { return Ok(None) };
    eprintln!("building {}, once; about a minute", program.what);
    std::fs::create_dir_all(&dir).with_context(|| format!("make {}", dir.display()))?;
    // Renamed when it is whole: a build that was interrupted must not look like one that is done.
    let unfinished = dir.join(format!("{name}-{}", std::process::id()));
    let mut build = Command::new(go);
    build
        .current_dir(&sources)
        .args(["build", "-trimpath"])
        .args(program.flags)
        .arg("-o")
        .arg(&unfinished)
        .arg(".");
    run::run(&mut build)?;
    std::fs::rename(&unfinished, &built)
        .with_context(|| format!("rename to {}", built.display()))?;
    Ok(Some(built))
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
