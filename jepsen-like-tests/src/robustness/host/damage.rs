use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

/// Files of the manager that are no data: locks, and what it writes anew.
const SPARED: [&str; 4] = ["lock", "LOCK", "admin-token", "group-secret"];

/// A file that was damaged, and how to undo it.
#[derive(Clone, Debug)]
pub struct Damage {
    pub file: PathBuf,
    pub what: String,
    before: Vec<u8>,
}

/// Damages one file below `data`: bits flipped, or its end cut off. The manager must not run.
///
/// The last fifth of a file is spared: an end that was written within the last second may be cut or torn by a crash as well, and
/// nobody can tell the two apart.
///
/// # Errors
/// There is no file yet, or the system refuses.
pub fn damage(data: &Path, rng: &mut StdRng) -> Result<Damage> {
    let mut files = Vec::new();
    walk(data, &mut files)?;
    // A file system lists in any order; the seed must not care.
    files.sort();
    let file = files
        .choose(rng)
        .with_context(|| format!("there is nothing to damage in {}", data.display()))?
        .clone();
    let before = std::fs::read(&file).with_context(|| format!("read {}", file.display()))?;
    let mut bytes = before.clone();
    let reach = (bytes.len() * 4 / 5).max(1);
    let what = if rng.random_bool(0.4) {
        bytes.truncate(rng.random_range(0..reach));
        format!("cut to {} of {} bytes", bytes.len(), before.len())
    } else {
        // Where nothing was ever written, nothing is damaged.
        let written: Vec<usize> = (0..reach).filter(|at| bytes[*at] != 0).collect();
        let at = written.choose(rng).copied().unwrap_or(0);
        bytes[at] ^= 1 << rng.random_range(0..8);
        format!("one bit of byte {at} of {} flipped", before.len())
    };
    write(&file, &bytes)?;
    Ok(Damage { file, what, before })
}

impl Damage {
    /// Puts the file back as it was.
    ///
    /// # Errors
    /// The system refuses.
    pub fn undo(&self) -> Result<()> {
        write(&self.file, &self.before)
    }
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    let written = std::fs::write(file, bytes).and_then(|()| std::fs::File::open(file)?.sync_all());
    written.with_context(|| format!("write {}", file.display()))
}

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?;
    for entry in entries {
        let entry = entry?;
        let (path, facts) = (entry.path(), entry.metadata()?);
        let spared = SPARED.iter().any(|name| entry.file_name() == *name);
        if facts.is_dir() {
            walk(&path, files)?;
        } else if facts.len() > 8 && !spared {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn one_file_is_damaged_and_made_good_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let content: Vec<u8> = (1..=200).collect();
        std::fs::create_dir(dir.path().join("log")).expect("made");
        let (one, lock) = (dir.path().join("log/wal"), dir.path().join("lock"));
        std::fs::write(&one, &content).expect("written");
        std::fs::write(&lock, &content).expect("written");
        for seed in 0..50 {
            let mut rng = StdRng::seed_from_u64(seed);
            let damage = damage(dir.path(), &mut rng).expect("damaged");
            assert_eq!(damage.file, one, "seed {seed}");
            assert_ne!(std::fs::read(&one).expect("there"), content, "seed {seed}");
            damage.undo().expect("undone");
            assert_eq!(std::fs::read(&one).expect("there"), content);
        }
        assert_eq!(std::fs::read(&lock).expect("there"), content);
    }
}
