use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Shape;
use super::hands::Hands;
use super::plan::{Fault, Lane, Step};
use crate::robustness::history::Clock;
use crate::robustness::host::Cut;
use crate::robustness::workload::rng;

/// A manager whose disk or vote is to be taken away waits so long for a group that can spare it; then nothing is done.
const MEMBERS_WAIT: Duration = Duration::from_secs(60);
/// Shorter where others wait behind it.
const CORRUPT_WAITS: Duration = Duration::from_secs(12);
/// How long the others write without the one that sleeps.
const MISSES: Duration = Duration::from_millis(1_500);
/// Voters that must be left.
const FEWEST: usize = 3;

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

    /// Carries out the steps, each lane by itself, and returns when the last has ended or `stop` is cancelled. Does not heal.
    /// A step that waits for the group delays those behind it in its lane; none begins later than `time` after the first.
    ///
    /// # Errors
    /// The system refuses something.
    pub async fn run(
        &self,
        steps: Vec<Step>,
        time: Duration,
        stop: &CancellationToken,
    ) -> Result<()> {
        let start = tokio::time::Instant::now();
        let mut lanes = JoinSet::new();
        for lane in Lane::ALL {
            let steps: Vec<_> = steps
                .iter()
                .filter(|step| step.lane == lane)
                .cloned()
                .collect();
            let (nemesis, stop) = (self.clone(), stop.clone());
            lanes.spawn(async move {
                for step in steps {
                    if start.elapsed() > time {
                        break;
                    }
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
                let cuts = self.cuts(*shape, victim).await;
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
            Fault::Power { victims, paused } => {
                let paused = self.hands.resolve(paused.as_slice()).await;
                let mut numbers = self.hands.resolve(victims).await;
                numbers.retain(|number| !paused.contains(number));
                let what = match paused.first() {
                    Some(number) => format!("Power past sleeping {}, of", number + 1),
                    None => "Power".into(),
                };
                let band = self.begin(step.lane, &what, &numbers);
                if !paused.is_empty() {
                    self.hands.pause(&paused, true).await?;
                    let _ = tokio::time::timeout(MISSES, stop.cancelled()).await;
                }
                // What the platter got by chance follows from the plan alone.
                let mut rng = rng(step.at_ms, step.lasts_ms as usize);
                self.hands.lose_power(&numbers, &mut rng).await?;
                wait().await;
                self.hands.start(&numbers).await?;
                self.hands.pause(&paused, false).await?;
                self.end(band);
            }
            Fault::Corrupt { victim } => {
                let Some(_alone) = self.hands.may_take_one(CORRUPT_WAITS).await else {
                    return Ok(());
                };
                let victim = self.hands.resolve(std::slice::from_ref(victim)).await;
                let victim = victim.first().copied().unwrap_or(0);
                let band = self.begin(step.lane, "Corrupt", &[victim]);
                let mut rng = rng(step.at_ms, step.lasts_ms as usize);
                let damage = self.hands.damage(victim, &mut rng).await?;
                wait().await;
                self.hands.repair(victim, damage.as_ref()).await?;
                self.end(band);
            }
            Fault::Wipe { victim } => {
                let Some(_alone) = self.hands.may_take_one(MEMBERS_WAIT).await else {
                    return Ok(());
                };
                let victim = self.hands.resolve(std::slice::from_ref(victim)).await[0];
                let band = self.begin(step.lane, "Wipe", &[victim]);
                self.hands.wipe(victim).await?;
                wait().await;
                self.hands.start(&[victim]).await?;
                self.hands.is_whole(MEMBERS_WAIT).await;
                self.end(band);
            }
            Fault::Join { by_hand } => {
                let _alone = self.hands.delicate.lock().await;
                let Some(number) = self.hands.spare().await else {
                    return Ok(());
                };
                let band = self.begin(step.lane, "Join", &[number]);
                self.hands.join(number, *by_hand, &self.clock).await?;
                self.end(band);
            }
            Fault::Leave { victim } => {
                let Some(_alone) = self.hands.may_take_one(MEMBERS_WAIT).await else {
                    return Ok(());
                };
                if self.hands.deployed().await.len() <= FEWEST {
                    return Ok(());
                }
                let victim = self.hands.resolve(std::slice::from_ref(victim)).await[0];
                let band = self.begin(step.lane, "Leave", &[victim]);
                self.hands.leave(victim).await?;
                self.end(band);
            }
            Fault::Lead { to } => {
                let to = self.hands.resolve(std::slice::from_ref(to)).await[0];
                let band = self.begin(step.lane, "Lead", &[to]);
                self.hands.lead(to).await;
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

    /// Among those that are to run. A host whose manager is not a member yet reaches everybody.
    async fn cuts(&self, shape: Shape, victim: usize) -> BTreeSet<Cut> {
        let members = self.hands.deployed().await;
        let place = members.iter().position(|number| *number == victim);
        let cuts = shape.cuts(place.unwrap_or(0), members.len());
        cuts.into_iter()
            .map(|(from, to)| (members[from], members[to]))
            .collect()
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
