use std::collections::BTreeSet;
use std::path::PathBuf;
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
    pub(super) clients: Clients,
    pub(super) ended: Arc<Mutex<Vec<EndedByItself>>>,
    /// Held by whoever takes a disk or a vote away: one at a time, or data may be lost legitimately.
    pub(super) delicate: Arc<Mutex<()>>,
    /// The group's secret.
    pub(super) secret: PathBuf,
    pub(super) damaged: Arc<Mutex<Vec<Damaged>>>,
}

impl Hands {
    /// Hands on these machines.
    pub fn new(
        machines: Vec<Machine>,
        network: Network,
        clients: Clients,
        secret: PathBuf,
    ) -> Self {
        Self {
            machines: Arc::new(Mutex::new(machines)),
            network,
            clients,
            ended: Arc::default(),
            delicate: Arc::default(),
            secret,
            damaged: Arc::default(),
        }
    }

    /// Numbers of the managers that are to run.
    pub async fn deployed(&self) -> Vec<usize> {
        let machines = self.machines.lock().await;
        let all = machines.iter().enumerate();
        all.filter(|(_, machine)| machine.deployed)
            .map(|(number, _)| number)
            .collect()
    }

    /// Numbers of those that are meant, as things stand now. Where hosts are without a manager, another one is meant.
    pub async fn resolve(&self, picks: &[Pick]) -> Vec<usize> {
        let deployed = self.deployed().await;
        let leader = if picks.iter().any(|pick| pick.leader) {
            self.leader().await
        } else {
            None
        };
        let mut numbers: Vec<_> = picks
            .iter()
            .map(|pick| {
                let number = deployed[pick.number % deployed.len()];
                leader.filter(|_| pick.leader).unwrap_or(number)
            })
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Who leads by the word of the managers: the one of the highest term.
    pub(super) async fn leader(&self) -> Option<usize> {
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
                if machine.unsettled {
                    continue;
                }
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
