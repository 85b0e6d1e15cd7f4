//! A disk that loses power: a file system in this process's memory, mounted below a manager's directory, that forgets what was
//! not fsynced.

mod fuse;
mod image;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use fuser::{BackgroundSession, Config, MountOption};
use rand::Rng;

use fuse::Adapter;
use image::Image;

/// A mounted disk; unmounted when dropped.
#[derive(Debug)]
pub struct Disk {
    image: Arc<Mutex<Image>>,
    _session: BackgroundSession,
}

impl Disk {
    /// Mounts an empty disk. `mark` is shown in the list of mounts.
    ///
    /// # Errors
    /// This machine does not allow it.
    pub fn mount(at: &Path, mark: &str) -> Result<Self> {
        std::fs::create_dir_all(at).with_context(|| format!("make {}", at.display()))?;
        let image = Arc::new(Mutex::new(Image::default()));
        let mut config = Config::default();
        config.mount_options = vec![
            MountOption::FSName(mark.to_owned()),
            MountOption::Subtype("krakend-jepsen".into()),
        ];
        let session = fuser::spawn_mount(Adapter::new(image.clone()), at, &config)
            .with_context(|| format!("mount a disk at {}", at.display()))?;
        Ok(Self {
            image,
            _session: session,
        })
    }

    /// From now on no fsync succeeds.
    pub fn cut_power(&self) {
        let mut image = self.image.lock().unwrap_or_else(PoisonError::into_inner);
        image.cut_power();
    }

    /// What was not fsynced is gone, and the power is back. No program may have files open.
    pub fn lose_power(&self, rng: &mut impl Rng) {
        let mut image = self.image.lock().unwrap_or_else(PoisonError::into_inner);
        image.lose_power(rng);
    }
}
