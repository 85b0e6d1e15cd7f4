//! Requests that make a dashboard worth looking at: several endpoints, some slow, some that fail.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::wait::{Seen, until};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::group::LIMIT;
use crate::pool::Pool;

/// So many answers make lines in the charts and rows in the tables.
pub const TILL_SEEN: u64 = 4_000;
/// Pause of each client between two requests.
const PAUSE: Duration = Duration::from_millis(8);
/// Paths and how often each is asked in a round.
const ROUND: [(&str, u64); 7] = [
    ("/users/7", 6),
    ("/orders/3", 5),
    ("/home/5", 4),
    ("/documents/terms", 3),
    // The backend has no such document: 404 becomes the gateway's 500.
    ("/users/nobody", 1),
    // Takes longer than the endpoint's time-out.
    ("/slow", 1),
    ("/nowhere", 1),
];

/// Clients of every node of a pool.
pub struct Demand {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicU64>,
    clients: Vec<JoinHandle<()>>,
}

/// Six endpoints in front of two backends.
pub fn document([orders, users]: [&str; 2], timeout: &str) -> String {
    let one = |endpoint: &str, backends: &[(&str, &str)]| {
        let backends: Vec<_> = backends
            .iter()
            .map(|(host, path)| json!({"url_pattern": path, "host": [host]}))
            .collect();
        json!({"endpoint": endpoint, "backend": backends})
    };
    let mut slow = one("/slow", &[(users, "/slow")]);
    slow["timeout"] = json!("200ms");
    let document = json!({
        "version": 3,
        "name": "Sample",
        "timeout": timeout,
        "endpoints": [
            one("/users/{id}", &[(users, "/users/{id}")]),
            one("/orders/{id}", &[(orders, "/orders/{id}")]),
            one("/home/{id}", &[(users, "/users/{id}"), (orders, "/orders/{id}")]),
            one("/documents/{name}", &[(orders, "/documents/{name}")]),
            slow,
        ],
    });
    serde_json::to_string_pretty(&document).unwrap_or_default()
}

impl Demand {
    pub fn start(pool: &Pool, nodes: usize) -> Self {
        let (stop, answers) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut clients = Vec::new();
        for at in 0..nodes {
            for turn in 0..2 {
                let (stop, answers) = (stop.clone(), answers.clone());
                clients.push(tokio::spawn(ask(pool.public(at), turn, stop, answers)));
            }
        }
        Self {
            stop,
            answers,
            clients,
        }
    }

    /// Waits for so many answers, whatever they say, and for a minute to have passed in between.
    pub async fn has_run(&self, count: u64) -> Result<()> {
        let began = std::time::Instant::now();
        until("there were answers", 4 * LIMIT, || async {
            let (now, ran) = (self.answers.load(Ordering::Relaxed), began.elapsed());
            Ok(match now >= count && ran > Duration::from_secs(75) {
                true => Seen::Yes(()),
                false => Seen::No(format!("{now} answers after {ran:?}")),
            })
        })
        .await
    }

    pub async fn end(self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.await?;
        }
        ensure!(self.answers.load(Ordering::Relaxed) > 0, "nobody answered");
        Ok(())
    }
}

async fn ask(node: SocketAddr, turn: u64, stop: Arc<AtomicBool>, answers: Arc<AtomicU64>) {
    let round: Vec<&str> = ROUND
        .iter()
        .flat_map(|(path, times)| (0..*times).map(move |_| *path))
        .collect();
    for at in turn.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let place = usize::try_from(at * 5).unwrap_or_default() % round.len();
        let path = round[place];
        // A rate that never moves shows nothing.
        let tide = if (at / 600) % 2 == 0 { 1 } else { 3 };
        if Ask::get(path).send(node, LIMIT).await.is_ok() {
            answers.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(PAUSE * tide).await;
    }
}
