//! Replaces a data directory's log, snapshots, records and identity as one: after a crash anywhere either the old or
//! the new is there, never a mix.
//!
//! The new content is prepared in `replacement.new`. Renaming that directory to `replacement` is the one step that
//! decides; whoever opens the data directory next carries it out, as often as it is interrupted. What was there
//! before is kept in `replaced-<name>`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{FileError, atomic_file::sync_dir};

const PREPARED: &str = "replacement.new";
const DECIDED: &str = "replacement";
const ARCHIVE_PREFIX: &str = "replaced-";
const NAME_FILE: &str = "name";
/// Everything that a replacement covers. The identity goes last: until then the directory is still the old manager's.
const COVERED: [&str; 4] = ["state", "log", "snapshots", "identity.json"];

/// New content of a data directory, not yet in force. Whoever makes one holds the directory's lock.
#[derive(Debug)]
pub struct Replacement {
    data_dir: PathBuf,
}

impl Replacement {
    /// Begins one, and forgets what an interrupted attempt had prepared. `name` becomes part of the archive's name.
    pub fn begin(data_dir: &Path, name: &str) -> Result<Self, FileError> {
        let prepared = data_dir.join(PREPARED);
        remove_tree(&prepared)?;
        fs::create_dir(&prepared).map_err(FileError::of("create", &prepared))?;
        crate::write_atomic(&prepared.join(NAME_FILE), name.as_bytes())?;
        Ok(Self {
            data_dir: data_dir.into(),
        })
    }

    /// Where the new content is put: `log`, `snapshots`, `identity.json`, each durable before [`Self::commit`].
    pub fn path(&self) -> PathBuf {
        self.data_dir.join(PREPARED)
    }

    /// Puts it in force. Says where the old content is kept, if there was any.
    pub fn commit(self) -> Result<Option<PathBuf>, FileError> {
        self.decide()?;
        carry_out(&self.data_dir)
    }

    fn decide(&self) -> Result<(), FileError> {
        let prepared = self.path();
        sync_tree(&prepared)?;
        let decided = self.data_dir.join(DECIDED);
        fs::rename(&prepared, &decided).map_err(FileError::of("rename to", &decided))?;
        sync_dir(&self.data_dir)
    }
}

/// Carries out a replacement that was decided and interrupted, and forgets one that was not decided. To be called
/// under the directory's lock before anything in it is read.
pub fn finish_replacement(data_dir: &Path) -> Result<Option<PathBuf>, FileError> {
    remove_tree(&data_dir.join(PREPARED))?;
    carry_out(data_dir)
}

/// Whether a replacement was decided that nobody has carried out yet.
pub fn is_replacement_pending(data_dir: &Path) -> bool {
    data_dir.join(DECIDED).exists()
}

fn carry_out(data_dir: &Path) -> Result<Option<PathBuf>, FileError> {
    let decided = data_dir.join(DECIDED);
    if !decided.exists() {
        return Ok(None);
    }
    let name_file = decided.join(NAME_FILE);
    let name = match fs::read_to_string(&name_file) {
        Ok(name) => name,
        // It is removed last, so everything else is in its place.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            remove_tree(&decided)?;
            sync_dir(data_dir)?;
            return Ok(None);
        }
        Err(error) => return Err(FileError::of("read", &name_file)(error)),
    };
    let archive = data_dir.join(format!("{ARCHIVE_PREFIX}{name}"));
    for item in COVERED {
        move_item(data_dir, &decided, &archive, item)?;
    }
    fs::remove_file(&name_file).map_err(FileError::of("remove", &name_file))?;
    remove_tree(&decided)?;
    sync_dir(data_dir)?;
    Ok(archive.exists().then_some(archive))
}

/// The old one into the archive, then the new one into its place. The records (`state`) have no new one: they are
/// rebuilt from the snapshot.
fn move_item(data_dir: &Path, decided: &Path, archive: &Path, item: &str) -> Result<(), FileError> {
    let (new, current, old) = (decided.join(item), data_dir.join(item), archive.join(item));
    let waiting = new.exists();
    if !waiting && old.exists() {
        return Ok(());
    }
    let replaced = waiting || item == COVERED[0];
    if replaced && current.exists() {
        fs::create_dir_all(archive).map_err(FileError::of("create", archive))?;
        fs::rename(&current, &old).map_err(FileError::of("rename to", &old))?;
        sync_dir(archive)?;
    }
    if waiting {
        fs::rename(&new, &current).map_err(FileError::of("rename to", &current))?;
    }
    sync_dir(data_dir)?;
    sync_dir(decided)
}

fn remove_tree(path: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(FileError::of("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Makes all files and directories below durable.
fn sync_tree(path: &Path) -> Result<(), FileError> {
    for entry in fs::read_dir(path).map_err(FileError::of("list", path))? {
        let entry = entry.map_err(FileError::of("list", path))?.path();
        if entry.is_dir() {
            sync_tree(&entry)?;
        } else {
            fs::File::open(&entry)
                .and_then(|file| file.sync_all())
                .map_err(FileError::of("fsync", &entry))?;
        }
    }
    sync_dir(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn old_directory() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for item in ["log", "snapshots", "state"] {
            fs::create_dir(dir.path().join(item)).unwrap();
            fs::write(dir.path().join(item).join("content"), "old").unwrap();
        }
        fs::write(dir.path().join("identity.json"), "old").unwrap();
        fs::write(dir.path().join("group-secret"), "stays").unwrap();
        dir
    }

    fn prepare(dir: &Path) -> Replacement {
        let replacement = Replacement::begin(dir, "xyz").unwrap();
        for item in ["log", "snapshots"] {
            fs::create_dir(replacement.path().join(item)).unwrap();
            fs::write(replacement.path().join(item).join("content"), "new").unwrap();
        }
        fs::write(replacement.path().join("identity.json"), "new").unwrap();
        replacement
    }

    fn content(dir: &Path) -> Vec<String> {
        ["log/content", "snapshots/content", "identity.json"]
            .map(|item| fs::read_to_string(dir.join(item)).unwrap_or_else(|_| "none".into()))
            .to_vec()
    }

    fn is_new(dir: &Path) {
        assert_eq!(content(dir), ["new"; 3]);
        assert!(
            !dir.join("state").exists(),
            "the old records are not the new state's"
        );
        assert_eq!(content(&dir.join("replaced-xyz")), ["old"; 3]);
        assert!(dir.join("replaced-xyz/state/content").exists());
        assert_eq!(
            fs::read_to_string(dir.join("group-secret")).unwrap(),
            "stays"
        );
        assert!(!dir.join(PREPARED).exists() && !dir.join(DECIDED).exists());
    }

    #[test]
    fn a_replacement_puts_everything_in_force_and_keeps_the_old() {
        let dir = old_directory();
        let archive = prepare(dir.path()).commit().unwrap();
        assert_eq!(archive, Some(dir.path().join("replaced-xyz")));
        is_new(dir.path());
        assert_eq!(finish_replacement(dir.path()).unwrap(), None);
        is_new(dir.path());
    }

    #[test]
    fn one_that_was_not_decided_is_forgotten() {
        let dir = old_directory();
        drop(prepare(dir.path()));
        assert!(!is_replacement_pending(dir.path()));
        finish_replacement(dir.path()).unwrap();
        assert_eq!(content(dir.path()), ["old"; 3]);
        assert!(!dir.path().join(PREPARED).exists());
    }

    #[test]
    fn an_empty_directory_gets_new_content_and_no_archive() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(prepare(dir.path()).commit().unwrap(), None);
        assert_eq!(content(dir.path()), ["new"; 3]);
    }

    /// Every prefix of the steps, as a crash leaves it, then the next start.
    #[test]
    fn a_crash_between_any_two_steps_ends_with_the_new_content() {
        let steps: Vec<(String, String)> = COVERED
            .iter()
            .flat_map(|item| {
                let archive = (item.to_string(), format!("replaced-xyz/{item}"));
                let place = (format!("{DECIDED}/{item}"), item.to_string());
                [archive, place]
            })
            .filter(|(from, _)| *from != format!("{DECIDED}/state"))
            .collect();
        for done in 0..=steps.len() {
            let dir = old_directory();
            prepare(dir.path()).decide().unwrap();
            assert!(is_replacement_pending(dir.path()));
            fs::create_dir(dir.path().join("replaced-xyz")).unwrap();
            for (from, to) in &steps[..done] {
                fs::rename(dir.path().join(from), dir.path().join(to)).unwrap();
            }
            finish_replacement(dir.path()).unwrap();
            is_new(dir.path());
        }
        let dir = old_directory();
        prepare(dir.path()).decide().unwrap();
        carry_out(dir.path()).unwrap();
        fs::create_dir(dir.path().join(DECIDED)).unwrap();
        finish_replacement(dir.path()).unwrap();
        is_new(dir.path());
    }
}
