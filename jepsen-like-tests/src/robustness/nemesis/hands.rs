use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::plan::Pick;
use super::repair::Damaged;
use crate::http::Ask;
use crate::robustness::history::Clock;
use crate::robustness::host::{Cut, EndedByItself, Machine, Network};
use crate::robustness::workload::Clients;

const LOOK: Duration = Duration::from_millis(700);
/// As a supervisor would wait before it starts a program again.
const RESTART_AFTER: Duration = Duration::from_secs(1);

/// Everything that can be done to the managers. Clones share it.
#[derive(Clone, Debug)]
pub struct Hands {
    pub machines: Arc<Mutex<Vec<Machine>>>,
    pub network: Network,
    clients: Clients,
    ended: Arc<Mutex<Vec<EndedByItself>>>,
    pub(super) damaged: Arc<Mutex<Vec<Damaged>>>,
}

impl Hands {
    /// Hands on these machines.
    pub fn new(machines: Vec<Machine>, network: Network, clients: Clients) -> Self {
        Self {
            machines: Arc::new(Mutex::new(machines)),
            network,
            clients,
            ended: Arc::default(),
            damaged: Arc::default(),
        }
    }

    /// Numbers of those that are meant, as things stand now.
    pub async fn resolve(&self, picks: &[Pick]) -> Vec<usize> {
        let leader = if picks.iter().any(|pick| pick.leader) {
            self.leader().await
        } else {
            None
        };
        let mut numbers: Vec<_> = picks
            .iter()
            .map(|pick| leader.filter(|_| pick.leader).unwrap_or(pick.number))
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Who leads by the word of the managers: the one of the highest term.
    async fn leader(&self) -> Option<usize> {
        let servers = self.clients.servers.len();
        let mut asked = tokio::task::JoinSet::new();
        for manager in 0..servers {
            let clients = self.clients.clone();
            asked.spawn(async move {
                let ask = Ask::get("/v1/status?consistency=stale");
                clients.send(manager, ask, LOOK).await.json()
            });
        }
        let answers: Vec<Option<Value>> = asked.join_all().await;
        let best = answers
            .into_iter()
            .flatten()
            .filter(|status| status["leader_name"].is_string())
            .max_by_key(|status| status["term"].as_u64())?;
        let name = best["leader_name"].as_str()?;
        let number: usize = name.strip_prefix("manager-")?.parse().ok()?;
        (1..=servers).contains(&number).then(|| number - 1)
    }

    /// Cuts, and lets everything else through.
    ///
    /// # Errors
    /// The kernel refuses.
    pub async fn cut(&self, cuts: BTreeSet<Cut>) -> Result<()> {
        let network = self.network.clone();
        tokio::task::spawn_blocking(move || network.set(&cuts)).await?
    }

    /// kill -9.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn kill(&self, numbers: &[usize]) -> Result<()> {
        let mut machines = self.machines.lock().await;
        for number in numbers {
            machines[*number].kill().await?;
        }
        Ok(())
    }

    /// Power loss of all of them at the same moment: first nothing reaches a disk any more, then nobody runs.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn lose_power(&self, numbers: &[usize], rng: &mut StdRng) -> Result<()> {
        let mut machines = self.machines.lock().await;
        for number in numbers {
            machines[*number].cut_power()?;
        }
        for number in numbers {
            machines[*number].lose_power(rng).await?;
        }
        Ok(())
    }

    /// Starts those that do not run.
    ///
    /// # Errors
    /// The program cannot be started.
    pub async fn start(&self, numbers: &[usize]) -> Result<()> {
        let mut machines = self.machines.lock().await;
        for number in numbers {
            machines[*number].start()?;
        }
        Ok(())
    }

    /// SIGSTOP or SIGCONT.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn pause(&self, numbers: &[usize], stop: bool) -> Result<()> {
        let mut machines = self.machines.lock().await;
        for number in numbers {
            machines[*number].pause(stop)?;
        }
        Ok(())
    }

    /// Everything connected, everybody running.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn heal(&self) -> Result<()> {
        self.cut(BTreeSet::new()).await?;
        let all: Vec<usize> = (0..self.clients.servers.len()).collect();
        self.pause(&all, false).await?;
        self.start(&all).await
    }

    /// Starts again what ended by itself, as a supervisor does, and takes note of it.
    pub async fn supervise(self, clock: Clock, stop: CancellationToken) {
        while !stop.is_cancelled() {
            let mut machines = self.machines.lock().await;
            let mut found = Vec::new();
            for (number, machine) in machines.iter_mut().enumerate() {
                if machine.damaged {
                    // It may refuse, or mend itself and want to be started once more; whoever damaged it looks at the end.
                    if machine.may_restart_damaged() {
                        found.push(number);
                    }
                    continue;
                }
                if let Some(how) = machine.take_end() {
                    found.push(number);
                    self.ended.lock().await.push(EndedByItself {
                        machine: machine.name.clone(),
                        how,
                        at_ns: clock.now_ns(),
                    });
                }
            }
            drop(machines);
            let _ = tokio::time::timeout(RESTART_AFTER, stop.cancelled()).await;
            if !found.is_empty()
                && let Err(error) = self.start(&found).await
            {
                eprintln!("starting again what had ended by itself: {error:#}");
            }
        }
    }

    /// Those that ended by themselves so far.
    pub async fn ended(&self) -> Vec<EndedByItself> {
        self.ended.lock().await.clone()
    }
}
