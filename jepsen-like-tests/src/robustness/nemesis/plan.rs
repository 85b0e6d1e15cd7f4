use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::{Kind, Shape};
use crate::robustness::workload::rng;

/// Who is meant. The leader is looked up when the time has come; when nobody leads, the number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Pick {
    pub leader: bool,
    pub number: usize,
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    Partition {
        shape: Shape,
        victim: Pick,
    },
    /// kill -9, started again at the end of the step.
    Kill {
        victims: Vec<Pick>,
    },
    Pause {
        victims: Vec<Pick>,
    },
    /// kill -9 with loss of what was not fsynced; started again at the end of the step. `paused` misses the last writes before
    /// it, and wakes when the others are back: what they had acknowledged without a disk is nowhere then.
    Power {
        victims: Vec<Pick>,
        paused: Option<Pick>,
    },
    /// The data directory is emptied after a kill -9; started again at the end of the step, and waited for until it has a vote.
    Wipe {
        victim: Pick,
    },
    /// One more manager, by a join token. `by_hand`: promoted by the operator, else by itself.
    Join {
        by_hand: bool,
    },
    /// A manager is removed, and its directory emptied.
    Leave {
        victim: Pick,
    },
    /// The lead is handed over.
    Lead {
        to: Pick,
    },
    /// One file of a stopped manager is damaged; made good again at the end of the step if the manager refused it.
    Corrupt {
        victim: Pick,
    },
}

/// Faults of one lane follow each other; those of different lanes overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    Network,
    Process,
    /// Who belongs to the group, and with which disk. Its steps wait for the group, so they begin late when it is busy.
    Members,
}

impl Lane {
    pub const ALL: [Self; 3] = [Self::Network, Self::Process, Self::Members];
}

/// A fault and its time, in milliseconds from the start of the faults.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    pub lane: Lane,
    pub at_ms: u64,
    pub lasts_ms: u64,
    pub fault: Fault,
}

const CALM_MS: std::ops::Range<u64> = 1_500..7_000;
/// Hosts that wait for a manager when managers come and go.
const SPARE_HOSTS: usize = 2;

/// How many hosts a group of `managers` needs under these kinds of faults.
pub fn hosts(kinds: &[Kind], managers: usize) -> usize {
    match kinds.contains(&Kind::Membership) {
        true => managers + SPARE_HOSTS,
        false => managers,
    }
}

/// All faults of a run of `time_ms`, in order of time. The same arguments give the same plan.
pub fn plan(seed: u64, kinds: &[Kind], managers: usize, time_ms: u64) -> Vec<Step> {
    let network: Vec<Kind> = of(kinds, &[Kind::Partition, Kind::Leader]);
    let process: Vec<Kind> = of(
        kinds,
        &[
            Kind::Kill,
            Kind::Pause,
            Kind::Leader,
            Kind::RestartAll,
            Kind::Corrupt,
            Kind::Power,
            Kind::Blackout,
        ],
    );
    let members: Vec<Kind> = of(kinds, &[Kind::Wipe, Kind::Membership]);
    let group = Group {
        least: managers,
        now: managers,
        hosts: hosts(kinds, managers),
    };
    let lanes = [(&network, 10_001), (&process, 10_002), (&members, 10_003)];
    let mut steps = Vec::new();
    for (which, (kinds, random)) in Lane::ALL.into_iter().zip(lanes) {
        steps.extend(lane(which, kinds, rng(seed, random), group, time_ms));
    }
    steps.sort_by_key(|step| step.at_ms);
    steps
}

fn of(kinds: &[Kind], lane: &[Kind]) -> Vec<Kind> {
    let mut kinds: Vec<_> = kinds
        .iter()
        .copied()
        .filter(|kind| lane.contains(kind))
        .collect();
    // A plan must not depend on the order in which kinds were named.
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// How many managers there are, as far as the plan knows.
#[derive(Clone, Copy)]
struct Group {
    least: usize,
    now: usize,
    hosts: usize,
}

fn lane(lane: Lane, kinds: &[Kind], mut rng: StdRng, mut group: Group, time_ms: u64) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut at_ms = rng.random_range(CALM_MS);
    while let Some(kind) = kinds.choose(&mut rng) {
        let fault = fault(lane, *kind, &mut group, &mut rng);
        let lasts_ms = lasts(&fault, *kind, &mut rng).min(time_ms / 3);
        if at_ms + lasts_ms > time_ms {
            break;
        }
        steps.push(Step {
            lane,
            at_ms,
            lasts_ms,
            fault,
        });
        at_ms += lasts_ms + rng.random_range(CALM_MS);
    }
    steps
}

fn fault(lane: Lane, kind: Kind, group: &mut Group, rng: &mut StdRng) -> Fault {
    let managers = group.hosts;
    let mut pick = |leader| Pick {
        leader,
        number: rng.random_range(0..managers),
    };
    match (lane, kind) {
        (Lane::Network, kind) => {
            let victim = pick(kind == Kind::Leader);
            let shape = Shape::ALL.choose(rng).copied().unwrap_or(Shape::Alone);
            Fault::Partition { shape, victim }
        }
        (Lane::Members, Kind::Wipe) => {
            let leader = rng.random_bool(0.3);
            let number = rng.random_range(0..managers);
            Fault::Wipe {
                victim: Pick { leader, number },
            }
        }
        (Lane::Members, _) => change(group, rng),
        (Lane::Process, Kind::Leader) => Fault::Kill {
            victims: vec![pick(true)],
        },
        (Lane::Process, Kind::RestartAll | Kind::Blackout) => Fault::Kill {
            victims: everybody(managers),
        },
        (Lane::Process, Kind::Corrupt) => Fault::Corrupt {
            victim: pick(false),
        },
        (Lane::Process, Kind::Power) if rng.random_bool(0.7) => {
            let mut victims = everybody(managers);
            let paused = rng
                .random_bool(0.5)
                .then(|| victims.remove(rng.random_range(0..managers)));
            Fault::Power { victims, paused }
        }
        (Lane::Process, kind) => {
            let mut victims = everybody(managers);
            let count = if rng.random_bool(0.8) {
                1
            } else {
                rng.random_range(1..=managers)
            };
            while victims.len() > count {
                victims.remove(rng.random_range(0..victims.len()));
            }
            match kind {
                Kind::Pause => Fault::Pause { victims },
                Kind::Power => Fault::Power {
                    victims,
                    paused: None,
                },
                _ => Fault::Kill { victims },
            }
        }
    }
}

/// The group never becomes smaller than it was formed.
fn change(group: &mut Group, rng: &mut StdRng) -> Fault {
    let pick = Pick {
        leader: rng.random_bool(0.3),
        number: rng.random_range(0..group.hosts),
    };
    if rng.random_bool(0.3) {
        let leader = false;
        return Fault::Lead {
            to: Pick { leader, ..pick },
        };
    }
    let grows = group.now == group.least || (group.now < group.hosts && rng.random_bool(0.5));
    if grows {
        group.now += 1;
        let by_hand = rng.random_bool(0.3);
        return Fault::Join { by_hand };
    }
    group.now -= 1;
    Fault::Leave { victim: pick }
}

fn everybody(managers: usize) -> Vec<Pick> {
    (0..managers)
        .map(|number| Pick {
            leader: false,
            number,
        })
        .collect()
}

/// Started at once in half of the cases: a leader that comes back before anybody noticed is a fault of its own.
fn lasts(fault: &Fault, kind: Kind, rng: &mut StdRng) -> u64 {
    match fault {
        Fault::Partition { .. } => rng.random_range(2_000..15_000),
        Fault::Power { .. } => rng.random_range(0..3_000),
        Fault::Corrupt { .. } => rng.random_range(3_000..8_000),
        Fault::Wipe { .. } => rng.random_range(0..6_000),
        Fault::Join { .. } | Fault::Leave { .. } | Fault::Lead { .. } => 0,
        Fault::Kill { .. } if kind == Kind::Blackout => rng.random_range(12_000..22_000),
        Fault::Kill { .. } if kind == Kind::RestartAll || rng.random_bool(0.5) => 0,
        Fault::Kill { .. } => rng.random_range(500..10_000),
        Fault::Pause { .. } if rng.random_bool(0.1) => rng.random_range(20_000..60_000),
        Fault::Pause { .. } => rng.random_range(500..12_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Kind; 10] = [
        Kind::Partition,
        Kind::Kill,
        Kind::Pause,
        Kind::Leader,
        Kind::RestartAll,
        Kind::Power,
        Kind::Corrupt,
        Kind::Wipe,
        Kind::Membership,
        Kind::Blackout,
    ];

    #[test]
    fn a_seed_gives_one_plan_whatever_the_order_of_kinds() {
        let mut backwards = ALL;
        backwards.reverse();
        assert_eq!(plan(7, &ALL, 3, 180_000), plan(7, &backwards, 3, 180_000));
        assert_ne!(plan(7, &ALL, 3, 180_000), plan(8, &ALL, 3, 180_000));
    }

    #[test]
    fn faults_of_a_lane_follow_each_other_and_end_in_time() {
        for seed in 0..200 {
            let steps = plan(seed, &ALL, 5, 120_000);
            for lane in Lane::ALL {
                let mut free_from = 0;
                for step in steps.iter().filter(|step| step.lane == lane) {
                    assert!(step.at_ms >= free_from, "seed {seed}: {step:?}");
                    free_from = step.at_ms + step.lasts_ms;
                    assert!(free_from <= 120_000, "seed {seed}: {step:?}");
                }
            }
        }
    }

    #[test]
    fn lanes_overlap_in_some_seed() {
        let overlaps = (0..20).any(|seed| {
            let steps = plan(seed, &ALL, 3, 120_000);
            steps.windows(2).any(|pair| {
                pair[0].lane != pair[1].lane && pair[1].at_ms < pair[0].at_ms + pair[0].lasts_ms
            })
        });
        assert!(overlaps);
    }

    #[test]
    fn a_group_grows_to_its_hosts_and_never_below_what_it_was() {
        let mut largest = 0;
        for seed in 0..200 {
            let mut now = 3;
            for step in plan(seed, &ALL, 3, 600_000) {
                match step.fault {
                    Fault::Join { .. } => now += 1,
                    Fault::Leave { .. } => now -= 1,
                    _ => {}
                }
                assert!((3..=5).contains(&now), "seed {seed}: {step:?}");
                largest = largest.max(now);
            }
        }
        assert_eq!((largest, hosts(&ALL, 3)), (5, 5));
    }

    #[test]
    fn only_a_membership_that_changes_needs_more_hosts() {
        let others: Vec<Kind> = ALL
            .into_iter()
            .filter(|kind| *kind != Kind::Membership)
            .collect();
        assert_eq!(hosts(&others, 3), 3);
        let all_there = |pick: &Pick| pick.number < 3;
        for step in plan(9, &others, 3, 600_000) {
            if let Fault::Kill { victims } = &step.fault {
                assert!(victims.iter().all(all_there), "{step:?}");
            }
        }
    }

    #[test]
    fn power_is_lost_by_all_and_by_all_but_one_that_sleeps() {
        let of_all = |sleeps: bool| {
            let mut steps = (0..20).flat_map(|seed| plan(seed, &[Kind::Power], 3, 120_000));
            steps.any(|step| match step.fault {
                Fault::Power { victims, paused } => {
                    paused.is_some() == sleeps && victims.len() == 3 - usize::from(sleeps)
                }
                _ => false,
            })
        };
        assert!(of_all(true) && of_all(false));
    }

    #[test]
    fn without_kinds_nothing_happens() {
        assert!(plan(1, &[], 3, 60_000).is_empty());
    }
}
