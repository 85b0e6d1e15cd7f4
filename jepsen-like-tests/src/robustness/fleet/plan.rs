use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::{LEASE_MS, lane};

/// What is done to nodes. All of it is undone at its end.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeFault {
    /// kill -9, started again after a while or at once.
    Kill { nodes: Vec<usize>, ms: u64 },
    /// SIGTERM, started again after a while.
    Stop { nodes: Vec<usize>, ms: u64 },
    /// SIGSTOP, SIGCONT after a while.
    Pause { nodes: Vec<usize>, ms: u64 },
    /// Cut off from managers and from other nodes.
    Cut { nodes: Vec<usize>, ms: u64 },
    /// Cut and healed again and again.
    Flap {
        nodes: Vec<usize>,
        times: u64,
        ms: u64,
    },
    /// Cut off from the managers alone; `deaf`: only what managers send is lost.
    CutManagers {
        nodes: Vec<usize>,
        deaf: bool,
        ms: u64,
    },
    /// The wall clock jumps, and back at the end. `crash`: while they are cut off from the managers, and they are killed and
    /// started with the wrong clock.
    Clock {
        nodes: Vec<usize>,
        days: i64,
        crash: bool,
        ms: u64,
    },
}

/// What a plan is for.
#[derive(Clone, Copy, Debug)]
pub struct Scope {
    pub nodes: usize,
    pub time_ms: u64,
    /// Whether leases run out in that time.
    pub leases: bool,
}

/// A fault and its time from the beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStep {
    pub at_ms: u64,
    pub fault: NodeFault,
}

/// All faults of nodes in a run. The same arguments give the same plan.
pub fn plan(seed: u64, scope: Scope) -> Vec<NodeStep> {
    let mut rng = lane(seed);
    let mut steps = Vec::new();
    // The joins have begun.
    let mut at_ms = rng.random_range(2_000..6_000);
    loop {
        let fault = fault(&mut rng, scope);
        let lasts_ms = lasts_ms(&fault);
        if at_ms + lasts_ms > scope.time_ms {
            return steps;
        }
        steps.push(NodeStep { at_ms, fault });
        at_ms += lasts_ms + rng.random_range(500..6_000);
    }
}

fn lasts_ms(fault: &NodeFault) -> u64 {
    match fault {
        NodeFault::Kill { ms, .. }
        | NodeFault::Stop { ms, .. }
        | NodeFault::Pause { ms, .. }
        | NodeFault::Cut { ms, .. }
        | NodeFault::CutManagers { ms, .. }
        | NodeFault::Clock { ms, .. } => *ms,
        NodeFault::Flap { times, ms, .. } => times * ms * 2,
    }
}

fn fault(rng: &mut StdRng, scope: Scope) -> NodeFault {
    let nodes = scope.nodes;
    // One, half, or all of them.
    let count = [1, 1, 2, nodes / 2, nodes][rng.random_range(0..5)];
    let mut some: Vec<_> = (0..nodes).collect();
    some.shuffle(rng);
    some.truncate(count);
    some.sort_unstable();
    // Shorter than silence is noticed, longer than that, and longer than grace.
    let ms = [
        rng.random_range(0..2_000),
        rng.random_range(2_000..9_000),
        rng.random_range(9_000..25_000),
    ][rng.random_range(0..3)];
    let kinds = if scope.leases { 9 } else { 6 };
    match rng.random_range(0..kinds) {
        0 | 1 => NodeFault::Kill { nodes: some, ms },
        2 => NodeFault::Stop { nodes: some, ms },
        3 => NodeFault::Pause { nodes: some, ms },
        4 => NodeFault::Cut { nodes: some, ms },
        5 => NodeFault::Flap {
            nodes: some,
            times: rng.random_range(2..6),
            ms: rng.random_range(300..5_000),
        },
        6 => NodeFault::CutManagers {
            nodes: some,
            deaf: rng.random_bool(0.3),
            ms: rng.random_range(LEASE_MS / 2..LEASE_MS * 2),
        },
        _ => NodeFault::Clock {
            nodes: some,
            days: [-30, -1, 1, 365][rng.random_range(0..4)],
            crash: rng.random_bool(0.5),
            ms: rng.random_range(LEASE_MS / 2..LEASE_MS * 2),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_follows_from_its_seed_and_ends_in_time() {
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let scope = Scope {
                nodes: 9,
                time_ms: 60_000,
                leases: true,
            };
            let steps = plan(seed, scope);
            assert_eq!(steps, plan(seed, scope));
            for step in &steps {
                assert!(step.at_ms + lasts_ms(&step.fault) <= 60_000, "seed {seed}");
                kinds.insert(
                    format!("{:?}", step.fault)
                        .split(" ")
                        .next()
                        .map(str::to_owned),
                );
            }
        }
        assert_eq!(kinds.len(), 7, "every kind comes: {kinds:?}");
    }
}
