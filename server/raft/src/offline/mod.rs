//! What is done to a manager's data directory while no manager runs on it, and the backups that leave a group.
//!
//! A backup is taken from a frozen state ([`Frozen`]), read by [`read_backup`], and made a group of one by
//! [`restore`]. A directory whose group has lost its quorum for good is looked at by [`survey`] and made a group of
//! one by [`recover`]. Both give the group a new id and the next epoch, so that nodes obey it and members of the old
//! group are refused by name; the group secret, and so the certificate authority, stays.

mod backup;
mod error;
mod found;
mod recover;
mod restore;
mod survey;

pub use backup::{BackupContents, BackupMeta, Frozen, KindSize, read_backup, verify_backup};
pub use error::OfflineError;
pub use found::Founded;
pub use recover::recover;
pub use restore::{RestoreOrder, restore};
pub use survey::{Survey, SurveyedMember, survey};
