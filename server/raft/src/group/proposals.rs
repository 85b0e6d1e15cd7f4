use futures::StreamExt;
use openraft::{
    errors::{ClientWriteError, Fatal},
    raft::WriteResponse,
};
use tokio::sync::oneshot;

use super::gathered::{Gathered, Ticket};
use crate::{
    rt,
    types::{Payload, Raft, TypeConfig},
};

/// More than a message between managers takes is not gathered, in bytes.
const TOGETHER_BYTES: usize = 1 << 20;

type Outcome =
    Result<Result<WriteResponse<TypeConfig>, ClientWriteError<TypeConfig>>, Fatal<TypeConfig>>;

/// Gathers what is proposed at the same time, so that Raft's core, the log and the followers see it as one. Whoever
/// comes first lets the others that are ready to run come too, and then hands over for all: nobody waits for company.
#[derive(Default)]
pub(super) struct Proposals(Gathered<Waiting>);

struct Waiting {
    payload: Payload,
    answer: oneshot::Sender<Outcome>,
}

impl Proposals {
    /// Appends and waits until it is applied. Whoever stops waiting has appended all the same.
    pub(super) async fn write(&self, raft: &Raft, payload: Payload) -> Outcome {
        let (answer, told) = oneshot::channel();
        let (ticket, is_first) = self.0.join(Waiting { payload, answer });
        if is_first {
            let turn = Turn {
                gathered: &self.0,
                raft,
            };
            rt::yield_now().await;
            let alone = turn.take_alone(ticket);
            drop(turn);
            if let Some(payload) = alone {
                return write_alone(raft, payload).await;
            }
        }
        told.await.unwrap_or(Err(Fatal::Stopped))
    }
}

/// Hands over when it is dropped, so also for a caller that goes away before its turn is over.
struct Turn<'a> {
    gathered: &'a Gathered<Waiting>,
    raft: &'a Raft,
}

impl Turn<'_> {
    /// Its own, when nobody else has come: then no task is needed to wait for all.
    fn take_alone(&self, ticket: Ticket) -> Option<Payload> {
        self.gathered.take_alone(ticket).map(|it| it.payload)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut waiting = self.gathered.take_all();
        while !waiting.is_empty() {
            let mut bytes = 0;
            let fits = waiting.iter().position(|it| {
                bytes += it.payload.0.len();
                bytes > TOGETHER_BYTES
            });
            let rest = waiting.split_off(fits.unwrap_or(waiting.len()).max(1));
            rt::spawn(hand_over(self.raft.clone(), waiting));
            waiting = rest;
        }
    }
}

async fn write_alone(raft: &Raft, payload: Payload) -> Outcome {
    let mut outcomes = raft.client_write_many([payload]).await?;
    outcomes.next().await.unwrap_or(Err(Fatal::Stopped))
}

async fn hand_over(raft: Raft, together: Vec<Waiting>) {
    let (payloads, answers): (Vec<_>, Vec<_>) = together
        .into_iter()
        .map(|it| (it.payload, it.answer))
        .unzip();
    match raft.client_write_many(payloads).await {
        Err(fatal) => {
            for answer in answers {
                let _ = answer.send(Err(fatal.clone()));
            }
        }
        // Those after an end without a word learn of it by their dropped channel.
        Ok(mut outcomes) => {
            for answer in answers {
                let Some(outcome) = outcomes.next().await else {
                    return;
                };
                let _ = answer.send(outcome);
            }
        }
    }
}
