use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::hands::Hands;
use super::plan::{Fault, Lane, Step};
use crate::robustness::history::Clock;
use crate::robustness::workload::rng;

/// A fault as it happened, for the report.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Band {
    pub lane: Lane,
    pub what: String,
    pub from_ns: u64,
    pub to_ns: u64,
}

/// Carries out a plan.
#[derive(Clone, Debug)]
pub struct Nemesis {
    hands: Hands,
    clock: Clock,
    bands: Arc<Mutex<Vec<Band>>>,
}

impl Nemesis {
    /// One for a run.
    pub fn new(hands: Hands, clock: Clock) -> Self {
        Self {
            hands,
            clock,
            bands: Arc::default(),
        }
    }

    /// Carries out all steps, each lane by itself, and returns when the last has ended or `stop` is cancelled. Does not heal.
    ///
    /// # Errors
    /// The system refuses something.
    pub async fn run(&self, steps: Vec<Step>, stop: &CancellationToken) -> Result<()> {
        let start = tokio::time::Instant::now();
        let mut lanes = JoinSet::new();
        for lane in [Lane::Network, Lane::Process] {
            let steps: Vec<_> = steps
                .iter()
                .filter(|step| step.lane == lane)
                .cloned()
                .collect();
            let (nemesis, stop) = (self.clone(), stop.clone());
            lanes.spawn(async move {
                for step in steps {
                    let at = start + Duration::from_millis(step.at_ms);
                    tokio::select! {
                        () = tokio::time::sleep_until(at) => nemesis.step(&step, &stop).await?,
                        () = stop.cancelled() => break,
                    }
                }
                anyhow::Ok(())
            });
        }
        while let Some(ended) = lanes.join_next().await {
            ended??;
        }
        Ok(())
    }

    /// Faults so far. One that lasts still ends now.
    pub fn bands(&self) -> Vec<Band> {
        let now = self.clock.now_ns();
        let mut bands = self.lock().clone();
        for band in &mut bands {
            band.to_ns = band.to_ns.min(now);
        }
        bands
    }

    async fn step(&self, step: &Step, stop: &CancellationToken) -> Result<()> {
        let lasts = Duration::from_millis(step.lasts_ms);
        let wait = async || {
            let _ = tokio::time::timeout(lasts, stop.cancelled()).await;
        };
        match &step.fault {
            Fault::Partition { shape, victim } => {
                let victims = self.hands.resolve(std::slice::from_ref(victim)).await;
                let victim = victims.first().copied().unwrap_or(0);
                let cuts = shape.cuts(victim, self.managers().await);
                let band = self.begin(step.lane, &format!("{shape:?}"), &[victim]);
                self.hands.cut(cuts).await?;
                wait().await;
                self.hands.cut(BTreeSet::new()).await?;
                self.end(band);
            }
            Fault::Kill { victims } => {
                let numbers = self.hands.resolve(victims).await;
                let band = self.begin(step.lane, "Kill", &numbers);
                self.hands.kill(&numbers).await?;
                wait().await;
                self.hands.start(&numbers).await?;
                self.end(band);
            }
            Fault::Power { victims } => {
                let numbers = self.hands.resolve(victims).await;
                let band = self.begin(step.lane, "Power", &numbers);
                // What the platter got by chance follows from the plan alone.
                let mut rng = rng(step.at_ms, step.lasts_ms as usize);
                self.hands.lose_power(&numbers, &mut rng).await?;
                wait().await;
                self.hands.start(&numbers).await?;
                self.end(band);
            }
            Fault::Corrupt { victim } => {
                let victim = self.hands.resolve(std::slice::from_ref(victim)).await;
                let victim = victim.first().copied().unwrap_or(0);
                let band = self.begin(step.lane, "Corrupt", &[victim]);
                let mut rng = rng(step.at_ms, step.lasts_ms as usize);
                let damage = self.hands.damage(victim, &mut rng).await?;
                wait().await;
                self.hands.repair(victim, damage.as_ref()).await?;
                self.end(band);
            }
            Fault::Pause { victims } => {
                let numbers = self.hands.resolve(victims).await;
                let band = self.begin(step.lane, "Pause", &numbers);
                self.hands.pause(&numbers, true).await?;
                wait().await;
                self.hands.pause(&numbers, false).await?;
                self.end(band);
            }
        }
        Ok(())
    }

    async fn managers(&self) -> usize {
        self.hands.machines.lock().await.len()
    }

    fn begin(&self, lane: Lane, what: &str, numbers: &[usize]) -> usize {
        let names: Vec<_> = numbers
            .iter()
            .map(|number| format!("{}", number + 1))
            .collect();
        let mut bands = self.lock();
        bands.push(Band {
            lane,
            what: format!("{what} {}", names.join(",")),
            from_ns: self.clock.now_ns(),
            to_ns: u64::MAX,
        });
        bands.len() - 1
    }

    fn end(&self, band: usize) {
        let now = self.clock.now_ns();
        self.lock()[band].to_ns = now;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Band>> {
        self.bands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
