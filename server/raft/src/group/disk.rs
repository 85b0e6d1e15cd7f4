//! A disk that is nearly full, or does not answer.
//!
//! Below the reserve a leader takes no ordinary commands any more, until there is room again, and none either when the
//! voters that have room are no majority; what keeps the group alive is written all the same. When the disk is nearly
//! full a reserve file gives its room to that. A disk that does not answer an fsync makes its manager hand over and stop.

use std::{
    fmt, io,
    path::Path,
    sync::{Arc, Weak},
    time::Duration,
};

use krakend_domain::Command;
use krakend_storage::{DiskSpace, ReserveFile};

use super::{AlarmKind, Inner, status::note_fault};
use crate::{error::ProposeError, rt};

const MIB: u64 = 1024 * 1024;
/// The reserve where the settings name none: so much, or so large a part of the disk where that is less.
const RESERVE_BYTES: u64 = 512 * MIB;
const RESERVE_PART: u64 = 20;
/// Room for many votes, a purge and a small snapshot.
const RESERVE_FILE_BYTES: u64 = 16 * MIB;
const STALL_AFTER: Duration = Duration::from_secs(10);

/// Asks how much room there is.
pub type DiskProbe = Arc<dyn Fn(&Path) -> io::Result<DiskSpace> + Send + Sync>;

/// What is done about a full or stalled disk.
#[derive(Clone)]
pub struct DiskSettings {
    /// Below so many available bytes ordinary writes are refused. `None`: 512 MiB, or 5 % of the disk if that is less.
    pub reserve_bytes: Option<u64>,
    /// An fsync that takes longer makes the manager hand over and stop.
    pub stall_after: Duration,
    /// How often both are looked at.
    pub look_every: Duration,
    pub probe: DiskProbe,
}

impl fmt::Debug for DiskSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskSettings")
            .field("reserve_bytes", &self.reserve_bytes)
            .field("stall_after", &self.stall_after)
            .finish_non_exhaustive()
    }
}

impl Default for DiskSettings {
    fn default() -> Self {
        Self {
            reserve_bytes: None,
            stall_after: STALL_AFTER,
            look_every: Duration::from_secs(1),
            probe: Arc::new(DiskSpace::of),
        }
    }
}

/// Looks for as long as the group is open.
pub(super) async fn run(inner: Weak<Inner>, settings: DiskSettings) {
    let mut waited = Duration::ZERO;
    loop {
        rt::sleep(settings.look_every).await;
        let Some(inner) = inner.upgrade() else { return };
        waited = longer(waited, inner.log.stalled_for(), settings.look_every);
        if waited >= settings.stall_after {
            return inner.give_up_disk(waited).await;
        }
        if !inner.looks_for_room(&settings).await {
            return inner.give_up_disk(settings.stall_after).await;
        }
    }
}

/// How long an fsync is waited for, counted in looks: the time in which this process itself stood still (a stopped
/// process, a suspended machine) says nothing about the disk.
fn longer(waited: Duration, stalled: Duration, look_every: Duration) -> Duration {
    if stalled < look_every {
        return stalled;
    }
    waited + look_every
}

impl Inner {
    /// A probe hangs with the disk, and must not take the watch over fsyncs with it. False when it hangs for too long.
    async fn looks_for_room(&self, settings: &DiskSettings) -> bool {
        let mut looked = std::pin::pin!(self.look_for_room(settings));
        let mut waited = Duration::ZERO;
        while rt::timeout(settings.look_every, &mut looked).await.is_err() {
            waited += settings.look_every;
            if waited >= settings.stall_after {
                return false;
            }
        }
        true
    }

    async fn look_for_room(&self, settings: &DiskSettings) {
        let dir = self.local.data_dir().to_owned();
        let (probe, reserve) = (settings.probe.clone(), settings.reserve_bytes);
        let looked = rt::spawn_blocking(move || {
            let space = probe(&dir)?;
            let reserve = reserve.unwrap_or(RESERVE_BYTES.min(space.total / RESERVE_PART));
            keep_reserve(&dir, space, reserve);
            io::Result::Ok((space, reserve))
        });
        let (space, reserve) = match looked.await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return tracing::warn!(%error, "the disk does not say how full it is"),
            Err(_) => return,
        };
        // Some room above the mark, so that the alarm does not come and go with each write.
        let mark = match self.alarms.is_raised(AlarmKind::DiskLow) {
            true => reserve + reserve / 10,
            false => reserve,
        };
        let is_low = space.available < mark;
        self.local.room.set_own_low(is_low);
        if is_low {
            self.alarms.raise(
                AlarmKind::DiskLow,
                format!(
                    "{} MiB are available where {} lies, and {} MiB are the reserve: make room; until then this manager takes no ordinary writes while it leads",
                    space.available / MIB,
                    self.local.data_dir().display(),
                    reserve / MIB
                ),
            );
        } else {
            self.alarms.clear(AlarmKind::DiskLow);
        }
    }

    /// Hands over where that is possible, and has the process end: it cannot say what is on its disk.
    async fn give_up_disk(self: Arc<Self>, stalled: Duration) {
        let reason = format!(
            "the disk under {} has not answered an fsync for {stalled:?}",
            self.local.data_dir().display()
        );
        tracing::error!("{reason}: this manager hands over and stops");
        self.alarms.raise(AlarmKind::DiskStalled, reason.clone());
        if self.is_leader()
            && let Some(successor) = self.successor()
            && let Err(error) = self.transfer(successor).await
        {
            tracing::warn!(%error, "the leadership was not handed over; the others elect when this manager stops");
        }
        note_fault(&self, reason);
    }

    /// Refuses what can wait while the disk is nearly full.
    pub(super) fn refuse_when_low(&self, command: &Command) -> Option<ProposeError> {
        if keeps_group_alive(command) {
            return None;
        }
        let alarms = self.alarms.list();
        let own = alarms
            .into_iter()
            .find(|it| it.kind == AlarmKind::DiskLow)
            .map(|it| it.message);
        let reason = own.or_else(|| self.majority_is_low())?;
        Some(ProposeError::ReadOnly { reason })
    }

    /// The leader's own disk has room, and those of so many others do not that no quorum is left.
    fn majority_is_low(&self) -> Option<String> {
        let room = &self.local.room;
        if !room.is_any_low() {
            return None;
        }
        let lacking = room.lacking(&self.voters(), self.local.id())?;
        let members = self.status().members;
        let names = lacking.iter().map(|id| {
            let member = members.iter().find(|it| it.id == id.0);
            member.map_or_else(|| id.to_string(), |it| it.node.name.clone())
        });
        let names = names.collect::<Vec<_>>().join(", ");
        Some(format!(
            "the disks of these managers are nearly full: {names}; the others are no majority, so make room on them"
        ))
    }
}

/// Small, and needed by what goes on by itself.
fn keeps_group_alive(command: &Command) -> bool {
    matches!(
        command.plain(),
        Command::Tick
            | Command::CheckState
            | Command::RegisterManager(_)
            | Command::ChangeManager { .. }
            | Command::LeaderElected { .. }
            | Command::SetNodeState { .. }
            | Command::RenewLease { .. }
            | Command::RevokeToken { .. }
    )
}

/// Taken while there is plenty of room, given up before there is none.
fn keep_reserve(dir: &Path, space: DiskSpace, reserve: u64) {
    let bytes = RESERVE_FILE_BYTES.min(reserve / 4);
    let file = ReserveFile::new(dir, bytes);
    let taken = file.is_taken();
    let done = if taken && space.available < bytes {
        tracing::warn!("the disk is full: the reserve file is given up for what must be written");
        file.give_up()
    } else if !taken && bytes > 0 && space.available >= reserve + 2 * bytes {
        file.take()
    } else {
        Ok(())
    };
    if let Err(error) = done {
        tracing::warn!(%error, "the reserve file is not as it should be");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_stood_still_does_not_blame_its_disk() {
        let second = Duration::from_secs(1);
        // Stopped for eleven seconds in the middle of an fsync, which ends right after.
        let waited = longer(Duration::ZERO, 11 * second, second);
        assert_eq!(waited, second);
        assert_eq!(longer(waited, Duration::ZERO, second), Duration::ZERO);
        // A disk that does not answer is counted look by look.
        let ten = (1..=10).fold(Duration::ZERO, |waited, n| {
            longer(waited, n * second, second)
        });
        assert_eq!(ten, 10 * second);
    }
}
