//! What is asked of one node over its session, and who waits for the answers.

use std::collections::HashMap;

use krakend_proto::node::{Answer, Question, question::Question as Asks};
use tokio::sync::{mpsc, oneshot};

/// Questions to one node that wait to be sent, and as many that wait for their answer.
const WAITING: usize = 8;

/// A question, and where its answer goes.
pub struct Asked {
    pub question: Asks,
    pub answer: oneshot::Sender<Answer>,
}

/// The session's end of it. Whoever still waits when it is dropped hears that nothing will come.
pub struct Questions {
    asked: mpsc::Receiver<Asked>,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    last_id: u64,
}

impl Questions {
    pub fn new() -> (mpsc::Sender<Asked>, Self) {
        let (sender, asked) = mpsc::channel(WAITING);
        let questions = Self {
            asked,
            waiting: HashMap::new(),
            last_id: 0,
        };
        (sender, questions)
    }

    /// The next question to be sent. Cancel safe.
    pub async fn next(&mut self) -> Question {
        loop {
            let Some(asked) = self.asked.recv().await else {
                // The entry of a newer session has taken the place of this one's.
                return std::future::pending().await;
            };
            self.waiting.retain(|_, answer| !answer.is_closed());
            if self.waiting.len() >= WAITING {
                continue;
            }
            self.last_id += 1;
            self.waiting.insert(self.last_id, asked.answer);
            return Question {
                id: self.last_id,
                question: Some(asked.question),
            };
        }
    }

    pub fn answered(&mut self, answer: Answer) {
        if let Some(waiting) = self.waiting.remove(&answer.id) {
            // Who asked may have gone.
            let _ = waiting.send(answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use krakend_proto::node::ReadLog;

    use super::*;

    fn ask(sender: &mpsc::Sender<Asked>) -> oneshot::Receiver<Answer> {
        let (answer, answered) = oneshot::channel();
        let question = Asks::ReadLog(ReadLog { lines: 1 });
        assert!(sender.try_send(Asked { question, answer }).is_ok(), "room");
        answered
    }

    #[tokio::test]
    async fn answers_find_who_asked_and_nobody_waits_beyond_the_limit() {
        let (sender, mut questions) = Questions::new();
        let (one, two) = (ask(&sender), ask(&sender));
        let (first, second) = (questions.next().await, questions.next().await);
        let answer = |id, problem: &str| Answer {
            id,
            problem: problem.into(),
            ..Answer::default()
        };
        questions.answered(answer(second.id, "two"));
        questions.answered(answer(first.id, "one"));
        questions.answered(answer(99, "nobody asked"));
        assert_eq!(two.await.expect("answered").problem, "two");
        assert_eq!(one.await.expect("answered").problem, "one");
        let mut kept = Vec::new();
        for _ in 0..WAITING {
            kept.push(ask(&sender));
            questions.next().await;
        }
        let beyond = ask(&sender);
        drop(kept.pop());
        let within = ask(&sender);
        // The one that gave up has made room for exactly one.
        questions.next().await;
        drop(questions);
        assert!(beyond.await.is_err(), "its session has ended");
        assert!(within.await.is_err());
    }
}
