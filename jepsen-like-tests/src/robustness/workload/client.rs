use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::http::{Answer, Ask};
use crate::robustness::history::{Outcome, Recorder};

/// How long a client waits for an answer before it calls the outcome unknown.
pub const PATIENCE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_secs(2);

/// One manager as clients see it.
#[derive(Clone, Debug)]
pub struct Server {
    pub http: SocketAddr,
    /// Counts its starts.
    pub starts: Arc<AtomicU32>,
    /// Whether it belongs to the group, as far as clients were told.
    pub member: Arc<AtomicBool>,
}

/// What all clients share.
#[derive(Clone, Debug)]
pub struct Clients {
    pub recorder: Recorder,
    pub servers: Arc<Vec<Server>>,
    /// How many registers there are: a fleet is one.
    pub keys: usize,
    token: Arc<str>,
    values: Arc<AtomicU64>,
    made: Arc<AtomicUsize>,
}

/// One client: at most one operation at a time.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: usize,
    pub shared: Clients,
}

/// What came of one request.
#[derive(Debug)]
pub enum Reply {
    Answer(Answer),
    /// Nothing was sent.
    NotSent(String),
    /// It was sent, and nobody knows what came of it.
    Lost(String),
}

impl Clients {
    /// Clients with the admin's token.
    pub fn new(recorder: Recorder, servers: Vec<Server>, token: &str, keys: usize) -> Self {
        Self {
            recorder,
            servers: Arc::new(servers),
            keys,
            token: token.into(),
            values: Arc::new(AtomicU64::new(1)),
            made: Arc::default(),
        }
    }

    /// One more client.
    pub fn next(&self) -> Client {
        Client {
            id: self.made.fetch_add(1, Ordering::SeqCst),
            shared: self.clone(),
        }
    }

    /// A number that no other call gives.
    pub fn value(&self) -> u64 {
        self.values.fetch_add(1, Ordering::SeqCst)
    }

    /// One of the keys, the lower ones more often: some are fought over, some are quiet.
    pub fn key(&self, rng: &mut StdRng) -> usize {
        let mut draw = || rng.random_range(0..self.keys);
        draw().min(draw())
    }

    /// Numbers of the managers that clients speak to.
    pub fn members(&self) -> Vec<usize> {
        let is_member = |number: &usize| self.servers[*number].member.load(Ordering::SeqCst);
        (0..self.servers.len()).filter(is_member).collect()
    }

    /// One of the managers.
    pub fn manager(&self, rng: &mut StdRng) -> usize {
        self.members().choose(rng).copied().unwrap_or(0)
    }

    /// Tells clients whether a manager belongs to the group.
    pub fn set_member(&self, manager: usize, member: bool) {
        self.servers[manager].member.store(member, Ordering::SeqCst);
    }

    /// Starts of a manager so far.
    pub fn starts(&self, manager: usize) -> u32 {
        self.servers[manager].starts.load(Ordering::SeqCst)
    }

    /// Adds the token.
    pub fn authorised(&self, ask: Ask) -> Ask {
        ask.header("authorization", format!("Bearer {}", self.token))
    }

    /// Sends one request to one manager and tells apart what can be told apart.
    pub async fn send(&self, manager: usize, ask: Ask, patience: Duration) -> Reply {
        let server = self.servers[manager].http;
        let ask = self.authorised(ask);
        let stream =
            match tokio::time::timeout(CONNECT.min(patience), TcpStream::connect(server)).await {
                Ok(Ok(stream)) => stream,
                Ok(Err(error)) => return Reply::NotSent(error.to_string()),
                Err(_) => return Reply::NotSent("no connection in time".into()),
            };
        match tokio::time::timeout(patience, ask.exchange_on(stream, server)).await {
            Ok(Ok(answer)) => Reply::Answer(answer),
            Ok(Err(error)) => Reply::Lost(format!("{error:#}")),
            Err(_) => Reply::Lost(format!("no answer within {patience:?}")),
        }
    }
}

impl Reply {
    /// The outcome when it is none of those that the caller expects.
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::NotSent(reason) => Outcome::Failed(reason.clone()),
            Self::Lost(reason) => Outcome::Indeterminate(reason.clone()),
            Self::Answer(answer) => {
                let text = format!("{} {}", answer.status.as_u16(), answer.excerpt());
                match answer.status.as_u16() {
                    503 => Outcome::Failed(text),
                    500 | 502 | 504 => Outcome::Indeterminate(text),
                    _ => Outcome::Unexpected(text),
                }
            }
        }
    }

    /// A good answer's JSON.
    pub fn json(&self) -> Option<Value> {
        match self {
            Self::Answer(answer) if answer.status.is_success() => answer.json().ok(),
            _ => None,
        }
    }

    /// The status of an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Answer(answer) => Some(answer.status.as_u16()),
            _ => None,
        }
    }

    /// A header of an answer.
    pub fn header(&self, name: &str) -> Option<&str> {
        match self {
            Self::Answer(answer) => answer.headers.get(name)?.to_str().ok(),
            _ => None,
        }
    }
}
