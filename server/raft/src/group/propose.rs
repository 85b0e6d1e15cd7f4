use std::time::{Duration, Instant};

use krakend_domain::{Applied, Command, LogEntry};
use openraft::errors::{ClientWriteError, ForwardToLeader, RaftError};

use super::{Inner, inner::RETRY};
use crate::{
    codec,
    error::ProposeError,
    network::{AskError, MAX_COMMAND_BYTES, ProposeReply, ProposeRequest},
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
}

impl Inner {
    pub(super) async fn propose(
        &self,
        command: Command,
        deadline: Instant,
    ) -> Result<Proposed, ProposeError> {
        loop {
            let attempt = if self.is_leader() {
                self.propose_here(command.clone(), deadline).await
            } else {
                self.propose_there(&command, deadline).await
            };
            match attempt {
                Attempt::Done(result) => return result,
                Attempt::NotLeader if Instant::now() + RETRY >= deadline => {
                    return Err(ProposeError::NoLeader);
                }
                Attempt::NotLeader => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// For another manager that believes this one leads. Never forwards again.
    pub(crate) async fn handle_propose(&self, request: ProposeRequest) -> ProposeReply {
        let deadline = Instant::now() + Duration::from_millis(request.within_ms);
        match self.propose_here(request.command, deadline).await {
            Attempt::NotLeader => ProposeReply::NotLeader,
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
            },
        }
    }

    async fn propose_here(&self, command: Command, deadline: Instant) -> Attempt {
        if !self.is_leader() {
            return Attempt::NotLeader;
        }
        if let Some(refusal) = self.refuse_when_low(&command) {
            return Attempt::Done(Err(refusal));
        }
        let payload = match self.stamp(command) {
            Ok(payload) => payload,
            Err(error) => return Attempt::Done(Err(error)),
        };
        let write = self.raft.client_write(payload);
        match tokio::time::timeout_at(deadline.into(), write).await {
            Err(_) => indeterminate("no answer before the deadline".into()),
            Ok(Ok(done)) => Attempt::Done(match done.data {
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
            Ok(Err(error)) => refused(error),
        }
    }

    /// The leader's clock, and the one encoding that log, wire and apply share.
    fn stamp(&self, command: Command) -> Result<Payload, ProposeError> {
        let entry = LogEntry {
            time_ms: (self.clock)(),
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

    async fn propose_there(&self, command: &Command, deadline: Instant) -> Attempt {
        let Some((leader, member)) = self.other_leader() else {
            return Attempt::NotLeader;
        };
        let within = deadline.saturating_duration_since(Instant::now());
        let request = ProposeRequest {
            command: command.clone(),
            within_ms: within.as_millis() as u64,
        };
        let answer = self
            .peers
            .ask(
                &member.node.raft_address,
                Some((leader, member.store_id)),
                &request,
                within,
                |mut client, request| async move { client.propose(request).await },
            )
            .await;
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
    })
}

fn refused(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> Attempt {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(ForwardToLeader { .. })) => {
            Attempt::NotLeader
        }
        // It was appended before the leadership was lost; the next leader may have it.
        RaftError::APIError(error) => indeterminate(error.to_string()),
        RaftError::Fatal(openraft::errors::Fatal::Stopped) => {
            indeterminate("this manager stopped meanwhile".into())
        }
        RaftError::Fatal(error) => indeterminate(error.to_string()),
    }
}

fn indeterminate(reason: String) -> Attempt {
    Attempt::Done(Err(ProposeError::Indeterminate { reason }))
}
