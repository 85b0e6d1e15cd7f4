//! Asks a node something over its session, which is with the leader: any other manager relays.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use krakend_domain::NodeId;
use krakend_proto::node::{Answer, Question, question::Question as Asks};
use krakend_raft::RelayError;
use prost::Message;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use uuid::Uuid;

use super::questions::Asked;
use crate::app::{App, Context_};

/// What is left for the way between two managers.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// A node gave no answer. Whether it did something is known for those only that say so.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AskNodeError {
    #[error(
        "the node has no session with the leader, so nothing was asked: `nodes show` says since when it is silent"
    )]
    NoSession,
    #[error("the node has as many questions to answer as it takes: try again in some seconds")]
    Busy,
    #[error("the session with the node ended before its answer: it may or may not have done it")]
    Ended,
    #[error(
        "the node did not answer within {0} s: it may or may not have done it. One of an older version never does: upgrade it"
    )]
    Late(u64),
    #[error("{0}: the node was not asked, or its answer is lost")]
    Leader(String),
}

#[derive(Serialize, Deserialize)]
struct Relayed {
    node_id: Uuid,
    question: Vec<u8>,
    within_ms: u64,
}

type RelayedAnswer = Result<Vec<u8>, AskNodeError>;

/// The node's answer, whichever manager this is.
pub async fn ask_node(
    app: &App,
    node_id: NodeId,
    question: Asks,
    within: Duration,
) -> Result<Answer, AskNodeError> {
    if app.group.leadership().borrow().is_me {
        return ask_here(app, node_id, question, within).await;
    }
    let leader = |text: String| AskNodeError::Leader(text);
    let question = Question {
        id: 0,
        question: Some(question),
    };
    let relayed = Relayed {
        node_id: node_id.0,
        question: question.encode_to_vec(),
        within_ms: within.as_millis() as u64,
    };
    let body = postcard::to_stdvec(&relayed).map_err(|error| leader(error.to_string()))?;
    let answer = app.group.relay(body, within + ON_THE_WAY).await;
    let answer = answer.map_err(|error| match error {
        RelayError::NoLeader => leader(error.to_string()),
        RelayError::Unanswered(reason) => leader(reason),
    })?;
    let answer: RelayedAnswer =
        postcard::from_bytes(&answer).map_err(|error| leader(error.to_string()))?;
    Answer::decode(answer?.as_slice()).map_err(|error| leader(error.to_string()))
}

/// Answers what other managers relay to this one while it leads.
pub fn answer_relayed(app: &App) {
    let app: Weak<Context_> = Arc::downgrade(app);
    app.upgrade().inspect(|strong| {
        let app = app.clone();
        let handler = move |body: Vec<u8>| {
            let app = app.clone();
            let answering = async move {
                let answer = answer(app, &body).await;
                postcard::to_stdvec(&answer).unwrap_or_default()
            };
            Box::pin(answering) as futures::future::BoxFuture<'static, Vec<u8>>
        };
        strong.group.set_relay(Box::new(handler));
    });
}

async fn answer(app: Weak<Context_>, body: &[u8]) -> RelayedAnswer {
    let unreadable =
        |what: &str| AskNodeError::Leader(format!("the question is unreadable: {what}"));
    let app = app
        .upgrade()
        .ok_or_else(|| AskNodeError::Leader("the leader stops".into()))?;
    let relayed: Relayed =
        postcard::from_bytes(body).map_err(|error| unreadable(&error.to_string()))?;
    let question = Question::decode(relayed.question.as_slice())
        .map_err(|error| unreadable(&error.to_string()))?;
    let question = question
        .question
        .ok_or_else(|| unreadable("it is of a newer version"))?;
    let within = Duration::from_millis(relayed.within_ms.min(120_000));
    let answer = ask_here(&app, NodeId(relayed.node_id), question, within).await?;
    Ok(answer.encode_to_vec())
}

async fn ask_here(
    app: &App,
    node_id: NodeId,
    question: Asks,
    within: Duration,
) -> Result<Answer, AskNodeError> {
    let questions = app.sessions.questions(node_id);
    let questions = questions.ok_or(AskNodeError::NoSession)?;
    let (answer, answered) = oneshot::channel();
    let asked = Asked { question, answer };
    questions.try_send(asked).map_err(|_| AskNodeError::Busy)?;
    match tokio::time::timeout(within, answered).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(AskNodeError::Ended),
        Err(_) => Err(AskNodeError::Late(within.as_secs())),
    }
}
