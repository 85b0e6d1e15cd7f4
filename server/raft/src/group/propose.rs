use std::time::Duration;

use krakend_domain::{Applied, ClockVerdict, Command, LogEntry};
use openraft::errors::ClientWriteError;

use super::{Inner, clock, inner::RETRY};
use crate::{
    codec,
    error::ProposeError,
    network::{AskError, MAX_COMMAND_BYTES, ProposeReply, ProposeRequest},
    rt::{self, Instant},
    types::{Answer, Payload, TypeConfig},
};

/// A command that is committed and applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    pub index: u64,
    pub term: u64,
    pub applied: Applied,
}

/// What came of one attempt.
enum Attempt {
    Done(Result<Proposed, ProposeError>),
    /// Nothing was written; somebody else may lead.
    NotLeader,
    /// Nothing was written, and this is why; somebody else will lead.
    Held(ProposeError),
}

impl Inner {
    pub(super) async fn propose(
        &self,
        command: Command,
        deadline: Instant,
    ) -> Result<Proposed, ProposeError> {
        // A retry finds out what came of the first attempt.
        let repeatable = matches!(command, Command::Idempotent { .. });
        let mut leadership = self.leadership.subscribe();
        let mut failure = ProposeError::NoLeader;
        loop {
            let attempt = if self.is_leader() {
                self.propose_here(command.clone(), deadline).await
            } else {
                // In a box of its own, because it is large and the leader has no use for it.
                Box::pin(self.propose_there(&command, deadline, repeatable)).await
            };
            match attempt {
                Attempt::Done(Err(error)) if error.is_indeterminate() && repeatable => {
                    failure = error;
                }
                // Whatever an earlier attempt may have done is not undone by a later one that did nothing.
                Attempt::Done(Err(ProposeError::Stopped)) if failure.is_indeterminate() => {
                    return Err(failure);
                }
                Attempt::Done(result) => return result,
                Attempt::Held(error) if !failure.is_indeterminate() => failure = error,
                Attempt::Held(_) | Attempt::NotLeader => {}
            }
            if Instant::now() + RETRY >= deadline {
                return Err(failure);
            }
            // Held until there is a leader: sooner when one is elected.
            let _ = rt::timeout(RETRY, leadership.changed()).await;
        }
    }

    /// For another manager that believes this one leads. Never forwards again.
    pub(crate) async fn handle_propose(&self, request: ProposeRequest) -> ProposeReply {
        let deadline = Instant::now() + Duration::from_millis(request.within_ms);
        match self.propose_here(request.command, deadline).await {
            Attempt::NotLeader => ProposeReply::NotLeader,
            Attempt::Held(ProposeError::ClockOff { off }) => ProposeReply::ClockOff { off },
            Attempt::Held(_) => ProposeReply::NotLeader,
            Attempt::Done(Ok(done)) => ProposeReply::Applied {
                index: done.index,
                term: done.term,
                applied: done.applied,
            },
            Attempt::Done(Err(error)) => match error {
                ProposeError::Rejected { rejected, index } => {
                    ProposeReply::Rejected { index, rejected }
                }
                ProposeError::NoLeader => ProposeReply::NotLeader,
                ProposeError::Indeterminate { reason } => ProposeReply::Indeterminate { reason },
                ProposeError::TooLarge { bytes, limit } => ProposeReply::TooLarge { bytes, limit },
                ProposeError::ReadOnly { reason } => ProposeReply::ReadOnly { reason },
                ProposeError::Stopped => ProposeReply::Stopped,
                ProposeError::ClockOff { off } => ProposeReply::ClockOff { off },
                ProposeError::FeatureLevel { needs, is } => {
                    ProposeReply::FeatureLevel { needs, is }
                }
                ProposeError::NotSupported { level, who } => {
                    ProposeReply::NotSupported { level, who }
                }
                ProposeError::SecretNotHeld { secret, who } => {
                    ProposeReply::SecretNotHeld { secret, who }
                }
            },
        }
    }

    async fn propose_here(&self, command: Command, deadline: Instant) -> Attempt {
        if !self.is_leader() {
            return Attempt::NotLeader;
        }
        // Judged and stamped by one look at the clock.
        let now_ms = self.local.clocks().now_ms();
        if let ClockVerdict::Off { ahead_ms } = self.clock_verdict(now_ms) {
            let off = clock::text(ahead_ms);
            return Attempt::Held(ProposeError::ClockOff { off });
        }
        if let Err(error) = self.check_level(&command) {
            return Attempt::Done(Err(error));
        }
        if let Err(error) = self.check_secret(&command) {
            return Attempt::Done(Err(error));
        }
        if let Some(refusal) = self.refuse_when_low(&command) {
            return Attempt::Done(Err(refusal));
        }
        let payload = match stamp(now_ms, command) {
            Ok(payload) => payload,
            Err(error) => return Attempt::Done(Err(error)),
        };
        let write = self.proposals.write(&self.raft, payload);
        match rt::timeout_at(deadline, write).await {
            Err(_) => indeterminate("no answer before the deadline".into()),
            Ok(Ok(Ok(done))) => Attempt::Done(match done.response {
                Answer::Command(Ok(applied)) => Ok(Proposed {
                    index: done.log_id.index,
                    term: done.log_id.leader_id.term,
                    applied,
                }),
                Answer::Command(Err(rejected)) => Err(ProposeError::Rejected {
                    rejected,
                    index: done.log_id.index,
                }),
                Answer::None => Err(ProposeError::Indeterminate {
                    reason: "Raft answered for an entry of its own".into(),
                }),
            }),
            Ok(Ok(Err(error))) => refused(error),
            Ok(Err(openraft::errors::Fatal::Stopped)) => {
                indeterminate("this manager stopped meanwhile".into())
            }
            Ok(Err(error)) => indeterminate(error.to_string()),
        }
    }

    /// `repeatable`: gives a leader up as soon as another one leads.
    async fn propose_there(
        &self,
        command: &Command,
        deadline: Instant,
        repeatable: bool,
    ) -> Attempt {
        let Some((leader, member)) = self.other_leader() else {
            return Attempt::NotLeader;
        };
        let within = deadline.saturating_duration_since(Instant::now());
        let request = ProposeRequest {
            command: command.clone(),
            within_ms: within.as_millis() as u64,
        };
        let asked = self.peers.ask(
            &member.node.raft_address,
            Some((leader, member.store_id)),
            &request,
            within,
            |mut client, request| async move { client.propose(request).await },
        );
        let mut leadership = self.leadership.subscribe();
        let deposed = leadership.wait_for(|now| now.leader.is_some_and(|it| it != leader.0));
        let answer = tokio::select! {
            biased;
            answer = asked => answer,
            _ = deposed, if repeatable => return indeterminate(format!("manager {leader} no longer leads")),
        };
        match answer {
            Ok(reply) => replied(reply),
            Err(AskError::NotSent { .. }) => Attempt::NotLeader,
            Err(error @ AskError::Refused { .. }) => {
                tracing::warn!(%error, "the leader refuses a proposal");
                Attempt::NotLeader
            }
            Err(error @ AskError::Unknown { .. }) => indeterminate(error.to_string()),
        }
    }
}

/// The leader's clock, and the one encoding that log, wire and apply share.
fn stamp(now_ms: u64, command: Command) -> Result<Payload, ProposeError> {
    let entry = LogEntry {
        time_ms: now_ms,
        command,
    };
    let payload = codec::payload(&entry).map_err(|error| ProposeError::Indeterminate {
        reason: error.to_string(),
    })?;
    if payload.0.len() > MAX_COMMAND_BYTES {
        return Err(ProposeError::TooLarge {
            bytes: payload.0.len(),
            limit: MAX_COMMAND_BYTES,
        });
    }
    Ok(payload)
}

fn replied(reply: ProposeReply) -> Attempt {
    Attempt::Done(match reply {
        ProposeReply::Applied {
            index,
            term,
            applied,
        } => Ok(Proposed {
            index,
            term,
            applied,
        }),
        ProposeReply::Rejected { index, rejected } => {
            Err(ProposeError::Rejected { rejected, index })
        }
        // The leader is stopping: somebody else will lead.
        ProposeReply::NotLeader | ProposeReply::Stopped => return Attempt::NotLeader,
        ProposeReply::Indeterminate { reason } => Err(ProposeError::Indeterminate { reason }),
        ProposeReply::ReadOnly { reason } => Err(ProposeError::ReadOnly { reason }),
        ProposeReply::TooLarge { bytes, limit } => Err(ProposeError::TooLarge { bytes, limit }),
        ProposeReply::FeatureLevel { needs, is } => Err(ProposeError::FeatureLevel { needs, is }),
        ProposeReply::NotSupported { level, who } => Err(ProposeError::NotSupported { level, who }),
        ProposeReply::ClockOff { off } => return Attempt::Held(ProposeError::ClockOff { off }),
        ProposeReply::SecretNotHeld { secret, who } => {
            Err(ProposeError::SecretNotHeld { secret, who })
        }
    })
}

fn refused(error: ClientWriteError<TypeConfig>) -> Attempt {
    match error {
        ClientWriteError::ForwardToLeader(_) => Attempt::NotLeader,
        // It was appended before the leadership was lost; the next leader may have it.
        error => indeterminate(error.to_string()),
    }
}

fn indeterminate(reason: String) -> Attempt {
    Attempt::Done(Err(ProposeError::Indeterminate { reason }))
}
