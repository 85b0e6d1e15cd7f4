use tokio::sync::{mpsc, oneshot};

use super::{
    LogPosition, LogRecord, LogSummary, VoteRecord,
    opened::{Done, Reply},
    owner::Owner,
};

/// What is done on the log thread.
pub(super) enum Command {
    Append {
        records: Vec<LogRecord>,
        done: Done,
    },
    SaveVote {
        vote: VoteRecord,
        done: Reply<()>,
    },
    TruncateAfter {
        keep: Option<LogPosition>,
        done: Reply<()>,
    },
    Purge {
        upto: LogPosition,
        done: Reply<()>,
    },
    Read {
        from: u64,
        to: u64,
        max_bytes: usize,
        reply: Reply<Vec<LogRecord>>,
    },
    Summary {
        reply: oneshot::Sender<LogSummary>,
    },
    Stop {
        done: oneshot::Sender<()>,
    },
}

/// Works on the log until the queue ends: what takes long, what was asked for while somebody else had the log.
pub(super) fn run(owner: &Owner, mut queue: mpsc::Receiver<Command>) {
    let mut stop = None;
    if let Some(log) = owner.lock().as_mut() {
        log.start_sync();
    }
    while stop.is_none() {
        let Some(command) = queue.blocking_recv() else {
            break;
        };
        let mut guard = owner.lock();
        let Some(log) = guard.as_mut() else { break };
        let mut next = Some(command);
        while let Some(command) = next {
            let is_append = matches!(command, Command::Append { .. });
            stop = log.handle(command);
            if is_append {
                log.find_file();
                owner.appended_queued();
            }
            next = match stop {
                None => queue.try_recv().ok(),
                Some(_) => None,
            };
        }
        log.go_on(owner);
        drop(guard);
        owner.go_on();
    }
    queue.close();
    // Ended here and not where the last handle is dropped: that may be the engine's own thread.
    if let Some(mut log) = owner.lock().take() {
        if let Some(committed) = owner.take_committed() {
            log.save_committed(committed);
        }
        log.finish();
    }
    if let Some(done) = stop {
        let _ = done.send(());
    }
}
