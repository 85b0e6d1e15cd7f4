//! Whether the file that the gateway runs from is what this node wrote.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use krakend_proto::node::FileState;
use sha2::{Digest, Sha256};

use crate::applier::Applier;
use crate::runtime::Runtime;
use crate::store::Store;

/// The last look, so that an unchanged file is not read again.
#[derive(Default)]
pub struct Looked {
    last: Option<(PathBuf, [u8; 32], Stamp, FileState)>,
}

/// What changes with a file's content.
type Stamp = Option<(SystemTime, u64)>;

impl Looked {
    /// The file of the gateway's process; for the engine inside this program the stored document, from which it starts.
    pub fn look(&mut self, runtime: &dyn Runtime, applier: &Applier, store: &Store) -> FileState {
        let stored = || {
            let good = applier.applied()?;
            let path = store.path(&format!("versions/{}.json", good.digest));
            Some((path, good.body_sha256.0))
        };
        match runtime.rendered_file().or_else(stored) {
            Some((path, expected)) => self.compare(path, expected),
            None => FileState::default(),
        }
    }

    fn compare(&mut self, path: PathBuf, expected: [u8; 32]) -> FileState {
        let stamp = stamp(&path);
        if let Some((known, digest, then, state)) = &self.last
            && (known, digest, then) == (&path, &expected, &stamp)
        {
            return state.clone();
        }
        let state = compare(&path, expected);
        self.last = Some((path, expected, stamp, state.clone()));
        state
    }
}

fn stamp(path: &Path) -> Stamp {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn compare(path: &Path, expected: [u8; 32]) -> FileState {
    let (found, reason) = match std::fs::read(path) {
        Ok(bytes) => {
            let found: [u8; 32] = Sha256::digest(&bytes).into();
            if found == expected {
                return FileState::default();
            }
            let reason = "the gateway's file was changed by hand, or by another program";
            (found.to_vec(), reason.to_owned())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            (Vec::new(), "the gateway's file was removed".to_owned())
        }
        Err(error) => (
            Vec::new(),
            format!("the gateway's file cannot be read ({error})"),
        ),
    };
    FileState {
        drifted: true,
        file: path.display().to_string(),
        expected: expected.to_vec().into(),
        found: found.into(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_a_removed_and_a_restored_file_are_told_apart() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("gateway-1.json");
        let expected: [u8; 32] = Sha256::digest(b"{}").into();
        let mut looked = Looked::default();
        std::fs::write(&path, b"{}").expect("written");
        assert!(!looked.compare(path.clone(), expected).drifted);
        std::fs::write(&path, b"{ }").expect("written");
        let state = looked.compare(path.clone(), expected);
        assert!(
            state.drifted && state.reason.contains("by hand"),
            "{state:?}"
        );
        assert_eq!(state.found.len(), 32);
        std::fs::remove_file(&path).expect("removed");
        let state = looked.compare(path.clone(), expected);
        assert!(
            state.drifted && state.reason.contains("removed"),
            "{state:?}"
        );
        std::fs::write(&path, b"{}").expect("written");
        assert!(!looked.compare(path, expected).drifted);
    }
}
