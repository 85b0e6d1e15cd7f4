//! What operators want of this node: that it takes no new traffic, that its gateway starts anew, its newest log lines; and
//! what they must hear of: a gateway's file that somebody else has changed.

mod agent;
mod drain;
mod file;

use std::sync::Arc;
use std::time::{Duration, Instant};

use krakend_proto::node::question::Question as Asked;
use krakend_proto::node::{Answer, Drain, FileState, LogLine, Question};
use tokio::sync::{Semaphore, watch};

use crate::applier::Applier;
use crate::runtime::Runtime;
use crate::store::{Store, StoreError};

pub use agent::answer_agent_checks;
use drain::DrainSwitch;

/// Questions at a time.
const MAX_QUESTIONS: usize = 4;
/// Lines of one answer, and all their text together: a message holds 4 MiB.
const MAX_LINES: usize = 2_000;
/// How often the gateway's file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// See the module.
pub struct Desk {
    runtime: Arc<dyn Runtime>,
    applier: Arc<Applier>,
    store: Arc<Store>,
    drain: DrainSwitch,
    file: watch::Sender<FileState>,
    places: Semaphore,
}

impl Desk {
    /// A node that was drained before its restart is so again, before any manager is asked.
    pub fn open(
        store: &Arc<Store>,
        runtime: Arc<dyn Runtime>,
        applier: Arc<Applier>,
    ) -> Result<Self, StoreError> {
        let drain = DrainSwitch::open(store.clone())?;
        runtime.set_draining(drain.is_draining());
        Ok(Self {
            runtime,
            applier,
            store: store.clone(),
            drain,
            file: watch::Sender::new(FileState::default()),
            places: Semaphore::new(MAX_QUESTIONS),
        })
    }

    /// Takes the word of an authenticated session, unless a newer one was taken.
    pub fn obey(&self, word: &Drain) {
        match self.drain.obey(word) {
            Ok(Some(true)) => tracing::info!(
                "an operator drains this node: its health path answers 503, what comes is served"
            ),
            Ok(Some(false)) => tracing::info!("this node takes traffic again"),
            Ok(None) => {}
            // It holds all the same, until the next start.
            Err(error) => tracing::error!("whether this node is drained is not stored: {error}"),
        }
        self.runtime.set_draining(self.drain.is_draining());
    }

    /// Whether the gateway's file is what was written.
    pub fn file_state(&self) -> watch::Receiver<FileState> {
        self.file.subscribe()
    }

    /// Looks at the gateway's file now and then, until it is dropped.
    pub async fn watch_files(&self) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut looked = file::Looked::default();
        loop {
            ticks.tick().await;
            let state = looked.look(self.runtime.as_ref(), &self.applier, &self.store);
            self.file.send_if_modified(|told| {
                let changed = *told != state;
                if changed {
                    if state.drifted {
                        tracing::warn!("{}: {}", state.reason, state.file);
                    } else {
                        tracing::info!("the gateway's file is again what this node wrote");
                    }
                    *told = state;
                }
                changed
            });
        }
    }

    /// Does what is asked, and says what came of it.
    pub async fn answer(&self, question: Question) -> Answer {
        let mut answer = Answer {
            id: question.id,
            ..Answer::default()
        };
        let Ok(_place) = self.places.try_acquire() else {
            answer.problem = format!("the node does {MAX_QUESTIONS} such things already");
            return answer;
        };
        match question.question {
            Some(Asked::Restart(_)) => {
                let began = Instant::now();
                // What it would be started from after the next reboot.
                if let Err(error) = self.applier.restore_document() {
                    tracing::error!("the stored configuration is not written anew: {error}");
                }
                match self.runtime.restart().await {
                    Ok(_) => tracing::info!("the gateway was restarted, as an operator wanted"),
                    Err(error) => answer.problem = error.to_string(),
                }
                answer.took_ms = began.elapsed().as_millis() as u64;
            }
            Some(Asked::ReadLog(asked)) => {
                let lines = krakend_log::newest((asked.lines as usize).min(MAX_LINES));
                answer.lines = lines.into_iter().map(wire_line).collect();
            }
            Some(Asked::SetLogLevel(asked)) => match krakend_log::set_level(&asked.level) {
                Ok(level) => {
                    tracing::info!("an operator set the log level to {level}");
                    answer.level = level;
                }
                Err(error) => answer.problem = error.to_string(),
            },
            None => {
                answer.problem = format!(
                    "this node's program ({}) does not know that question: upgrade it",
                    env!("CARGO_PKG_VERSION")
                );
            }
        }
        answer
    }
}

fn wire_line(line: krakend_log::Line) -> LogLine {
    LogLine {
        time_ms: line.time_ms,
        level: line.level.into(),
        source: line.source.into(),
        message: line.message,
    }
}
