//! Bugs on purpose: what the fault tester must find, so that its silence means something. `KRAKEND_PLANTED_BUG` names the one
//! to have. Compiled with the feature `planted-bugs` only.

use std::sync::LazyLock;

use krakend_domain::{ClusterState, Command, LogEntry, NodeState, Publication};

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    /// A linearizable read is answered from what this manager has.
    ReadWithoutReadIndex,
    /// Every eighth entry is applied once more.
    ApplyTwice,
    /// Idempotency keys are not looked at.
    IdempotencyForgotten,
    /// A publication replaces whatever is the newest version.
    PreconditionIgnored,
    /// A vote is given without a word on disk.
    VoteNotPersisted,
    /// An entry counts as written before it is on disk.
    AckBeforeFsync,
    /// A licence is believed to be for two nodes more.
    SeatsMiscounted,
    /// Nobody is ever down.
    DownForgotten,
}

/// Whether this manager has that bug.
pub(crate) fn has(bug: Bug) -> bool {
    #[cfg(test)]
    if crate::simulation::is_running() {
        return PLANTED.get() == Some(bug);
    }
    *CHOSEN == Some(bug)
}

#[cfg(test)]
thread_local! {
    /// The bug of this thread's simulation.
    pub(crate) static PLANTED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

static CHOSEN: LazyLock<Option<Bug>> = LazyLock::new(|| {
    let name = std::env::var("KRAKEND_PLANTED_BUG").ok()?;
    let bug = match name.as_str() {
        "read-without-read-index" => Bug::ReadWithoutReadIndex,
        "apply-twice" => Bug::ApplyTwice,
        "idempotency-forgotten" => Bug::IdempotencyForgotten,
        "precondition-ignored" => Bug::PreconditionIgnored,
        "vote-not-persisted" => Bug::VoteNotPersisted,
        "ack-before-fsync" => Bug::AckBeforeFsync,
        "seats-miscounted" => Bug::SeatsMiscounted,
        "down-forgotten" => Bug::DownForgotten,
        _ => {
            tracing::error!("KRAKEND_PLANTED_BUG={name} is no bug that is known here");
            return None;
        }
    };
    tracing::error!("this manager has the planted bug {name}: it is for tests only");
    Some(bug)
});

/// The entry as a manager with the chosen bug understands it.
pub(crate) fn understood(state: &ClusterState, mut entry: LogEntry) -> LogEntry {
    if has(Bug::IdempotencyForgotten)
        && let Command::Idempotent { command, .. } = entry.command
    {
        entry.command = *command;
    }
    if has(Bug::PreconditionIgnored)
        && let Some(publication) = publication(&mut entry.command)
    {
        let newest = state.newest_version(&publication.fleet);
        publication.parent = newest.map(|version| version.digest);
    }
    if has(Bug::SeatsMiscounted)
        && let Some(Command::InstallLicense(record)) = Some(inner(&mut entry.command))
    {
        record.claims.max_nodes += 2;
    }
    let down = matches!(
        entry.command,
        Command::SetNodeState {
            to: NodeState::Down,
            ..
        }
    );
    if has(Bug::DownForgotten) && down {
        entry.command = Command::Tick;
    }
    entry
}

fn inner(command: &mut Command) -> &mut Command {
    match command {
        Command::Idempotent { command, .. } | Command::Audited { command, .. } => inner(command),
        command => command,
    }
}

fn publication(command: &mut Command) -> Option<&mut Publication> {
    match command {
        Command::Publish(publication) | Command::PublishStaged { publication, .. } => {
            Some(publication)
        }
        Command::Idempotent { command, .. } | Command::Audited { command, .. } => {
            publication(command)
        }
        _ => None,
    }
}
