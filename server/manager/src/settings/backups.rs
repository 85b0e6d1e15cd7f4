use std::path::PathBuf;

use super::{Partial, SettingsError};
use crate::duration::parse_duration;

/// Backups that may be kept at most.
const MAX_BACKUPS: usize = 10_000;

/// Where the leader writes backups, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSettings {
    pub dir: PathBuf,
    pub every_ms: u64,
    /// So many stay, the newest.
    pub keep: usize,
}

/// `None` where no directory is set.
pub(super) fn resolve(partial: &Partial) -> Result<Option<BackupSettings>, SettingsError> {
    let wrong = |key, value: String, reason: &str| SettingsError::Value {
        key,
        value,
        reason: reason.into(),
    };
    let Some(dir) = &partial.backup_dir else {
        let lonely = [
            ("backup_every", partial.backup_every.clone()),
            (
                "backup_keep",
                partial.backup_keep.map(|keep| keep.to_string()),
            ),
        ];
        return match lonely.into_iter().find_map(|(key, it)| Some((key, it?))) {
            Some((key, value)) => Err(wrong(key, value, "set `backup_dir` as well")),
            None => Ok(None),
        };
    };
    let every = partial.backup_every.as_deref().unwrap_or("1h");
    let every_s =
        parse_duration(every).map_err(|reason| wrong("backup_every", every.into(), &reason))?;
    if every_s == 0 {
        return Err(wrong("backup_every", every.into(), "use at least 1s"));
    }
    let keep = partial.backup_keep.unwrap_or(24);
    if !(1..=MAX_BACKUPS).contains(&keep) {
        let reason = format!("use 1 to {MAX_BACKUPS}");
        return Err(wrong("backup_keep", keep.to_string(), &reason));
    }
    Ok(Some(BackupSettings {
        dir: dir.clone(),
        every_ms: every_s.saturating_mul(1000),
        keep,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partial(text: &str) -> Partial {
        serde_yaml_ng::from_str(text).expect("settings")
    }

    #[test]
    fn backups_need_a_directory_and_a_sensible_time() {
        let settings = resolve(&partial("backup_dir: /b\nbackup_every: 15m"));
        let backups = settings.expect("settings").expect("backups");
        assert_eq!((backups.every_ms, backups.keep), (900_000, 24));
        assert_eq!(resolve(&partial("name: x")).expect("settings"), None);
        for (text, key) in [
            ("backup_every: 1h", "backup_dir"),
            ("backup_dir: /b\nbackup_every: 1", "backup_every"),
            ("backup_dir: /b\nbackup_every: 0s", "backup_every"),
            ("backup_dir: /b\nbackup_keep: 0", "backup_keep"),
        ] {
            let error = resolve(&partial(text)).expect_err(text);
            assert!(error.to_string().contains(key), "{error}");
        }
    }
}
