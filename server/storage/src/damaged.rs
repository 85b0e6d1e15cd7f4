//! Where damaged files go: beside the others, under the time at which they were found, for whoever wants to look.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{FileError, atomic_file::sync_dir, write_atomic};

const PREFIX: &str = "damaged-";
/// Directories that stay; the oldest goes when one more is needed.
const KEEP: usize = 3;

/// Moves `names`, as far as they exist, from `dir` into a new directory `damaged-<seconds since 1970>`, in this order,
/// with the reason in a file beside them. Durable on return. After a crash in between it may be called again.
pub fn set_aside(dir: &Path, names: &[&str], reason: &str) -> Result<PathBuf, FileError> {
    let target = free_name(dir)?;
    fs::create_dir(&target).map_err(FileError::of("create", &target))?;
    write_atomic(&target.join("reason.txt"), format!("{reason}\n").as_bytes())?;
    for name in names {
        let from = dir.join(name);
        if from.exists() {
            fs::rename(&from, target.join(name)).map_err(FileError::of("move", &from))?;
            sync_dir(&target)?;
            sync_dir(dir)?;
        }
    }
    sync_dir(dir)?;
    let kept = set_aside_dirs(dir)?;
    let surplus = kept.len().saturating_sub(KEEP);
    for old in kept.into_iter().take(surplus) {
        tracing::warn!(dir = %old.display(), "deleting the oldest of the directories with damaged files: {KEEP} are kept");
        fs::remove_dir_all(&old).map_err(FileError::of("delete", &old))?;
    }
    Ok(target)
}

/// What was set aside and is still there, oldest first.
pub fn set_aside_dirs(dir: &Path) -> Result<Vec<PathBuf>, FileError> {
    Ok(numbered(dir)?.into_iter().map(|(_, path)| path).collect())
}

fn numbered(dir: &Path) -> Result<Vec<(u64, PathBuf)>, FileError> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(FileError::of("list", dir))? {
        let entry = entry.map_err(FileError::of("list", dir))?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if let Some(number) = number.and_then(|it| it.parse::<u64>().ok()) {
            found.push((number, entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// Later than every other, so that the order of the names is the order in which they were made.
fn free_name(dir: &Path) -> Result<PathBuf, FileError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = now.map_or(0, |since| since.as_secs());
    let newest = numbered(dir)?.last().map_or(0, |(number, _)| number + 1);
    Ok(dir.join(format!("{PREFIX}{}", seconds.max(newest))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_aside_keeps_its_reason_and_the_newest_three_stay() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..5 {
            fs::create_dir(dir.path().join("log")).unwrap();
            fs::write(dir.path().join("log/file"), n.to_string()).unwrap();
            let aside = set_aside(dir.path(), &["log", "absent"], &format!("reason {n}")).unwrap();
            assert!(!dir.path().join("log").exists());
            assert_eq!(
                fs::read_to_string(aside.join("log/file")).unwrap(),
                n.to_string()
            );
            let reason = fs::read_to_string(aside.join("reason.txt")).unwrap();
            assert_eq!(reason, format!("reason {n}\n"));
        }
        let kept = set_aside_dirs(dir.path()).unwrap();
        let reasons: Vec<_> = kept
            .iter()
            .map(|it| fs::read_to_string(it.join("log/file")).unwrap())
            .collect();
        assert_eq!(reasons, ["2", "3", "4"]);
    }
}
