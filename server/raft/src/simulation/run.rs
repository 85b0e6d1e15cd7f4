use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use super::{
    Trace,
    machine::{Machine, address},
    nemesis,
    workload::{Client, read},
    world::{OUTSIDE, World, world},
};
use crate::store::state_hash;

/// Longer than a group that is whole needs to serve again.
const SERVES_WITHIN: Duration = Duration::from_secs(40);
const FAULTS_FOR: Duration = Duration::from_millis(3_500);
const CLIENTS: u64 = 3;

/// What came of a seed.
pub(super) struct Outcome {
    pub trace: Trace,
    pub took: Duration,
    pub result: Result<(), String>,
}

/// Lives through one seed.
pub(super) fn run(seed: u64) -> Outcome {
    let dir = scratch();
    let path = dir.path().to_owned();
    let (trace, took, result) = World::run(seed, async move { live(path, seed).await });
    Outcome {
        trace,
        took,
        result,
    }
}

/// In memory where there is such a place: what lies there needs no real disk to be safe.
fn scratch() -> tempfile::TempDir {
    let memory = PathBuf::from("/dev/shm");
    let made = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    made.expect("a directory")
}

async fn live(dir: PathBuf, seed: u64) {
    let world = world();
    let voters: u64 = if seed % 4 == 3 { 5 } else { 3 };
    let joiners: u64 = if seed % 3 == 1 { 1 } else { 0 };
    let peers: Vec<String> = (1..=voters).map(address).collect();
    let machines = (1..=voters + joiners).map(|place| {
        let dir = dir.join(place.to_string());
        let expect = if place <= voters { voters as usize } else { 1 };
        Machine::new(place, dir, peers.clone(), expect)
    });
    let machines: Arc<Vec<Machine>> = Arc::new(machines.collect());
    for machine in machines.iter().take(voters as usize) {
        machine.start();
        let pause = world.random(|random| random.millis(0..400));
        world.sleep(pause).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    for client in 0..CLIENTS {
        let client = Client {
            machines: machines.clone(),
            stop: stop.clone(),
            first: (client + 1) * 1_000_000,
        };
        world.spawn(OUTSIDE, client.run());
    }
    // Some groups are disturbed while they form.
    let calm = world.random(|random| random.millis(300..1_500));
    world.sleep(calm).await;
    let until = world.elapsed() + FAULTS_FOR;
    let join_after = world.random(|random| random.millis(0..2_000));
    let joining = async {
        world.sleep(join_after).await;
        machines.iter().for_each(Machine::start);
    };
    // The last fault of a lane may end after the time; what comes then counts on there being no more.
    futures::join!(
        nemesis::on_network(machines.clone(), until),
        nemesis::on_machines(machines.clone(), until),
        joining,
    );
    nemesis::repair(&world, &machines);
    if !serve(&world, &machines).await {
        return;
    }
    stop.store(true, Ordering::Relaxed);
    settle(&world, &machines, world.elapsed() + SERVES_WITHIN).await;
}

/// Waits until every manager answers a read; false when that takes too long.
async fn serve(world: &World, machines: &[Machine]) -> bool {
    let begun = world.elapsed();
    for machine in machines {
        while read(world, machine).await.is_none() {
            if world.elapsed() > begun + SERVES_WITHIN {
                let place = machine.place();
                world.fail(format!(
                    "recovery: machine {place} does not serve {SERVES_WITHIN:?} after the last fault"
                ));
                return false;
            }
            world.sleep(Duration::from_millis(100)).await;
        }
    }
    true
}

/// A power loss takes the end of a log and leaves the state that was applied beyond it, on one machine after the other.
pub(super) fn run_with_lost_entries(seed: u64) -> Outcome {
    let dir = scratch();
    let path = dir.path().to_owned();
    let (trace, took, result) = World::run(seed, async move {
        let world = world();
        let peers: Vec<String> = (1..=3).map(address).collect();
        let machines: Vec<Machine> = (1..=3)
            .map(|place| Machine::new(place, path.join(place.to_string()), peers.clone(), 3))
            .collect();
        let machines = Arc::new(machines);
        machines.iter().for_each(Machine::start);
        let stop = Arc::new(AtomicBool::new(false));
        let client = Client {
            machines: machines.clone(),
            stop: stop.clone(),
            first: 1_000_000,
        };
        world.spawn(OUTSIDE, client.run());
        for lost in [1, 5, 12] {
            world.sleep(Duration::from_secs(3)).await;
            // A leader counts its own log as well, so this can only happen to a follower.
            let follower = machines.iter().find(|it| !it.leads());
            // What it has acknowledged is lost too, which nobody may remember of it: openraft takes that for a bug.
            let leader = machines.iter().find(|it| it.leads());
            if let Some(follower) = follower {
                follower.lose_entries(lost);
                leader.inspect(|it| it.crash(false));
                leader.inspect(|it| it.start());
                follower.start();
            }
            if !serve(&world, &machines).await {
                return;
            }
        }
        stop.store(true, Ordering::Relaxed);
        settle(&world, &machines, world.elapsed() + SERVES_WITHIN).await;
    });
    Outcome {
        trace,
        took,
        result,
    }
}

/// A leader lets a newcomer in that alone hears of it, and dies; the others go on without that entry.
pub(super) fn run_with_lost_join(seed: u64) -> Outcome {
    let dir = scratch();
    let path = dir.path().to_owned();
    let (trace, took, result) = World::run(seed, async move {
        let world = world();
        let peers: Vec<String> = (1..=3).map(address).collect();
        let mut machines: Vec<Machine> = (1..=3)
            .map(|place| Machine::new(place, path.join(place.to_string()), peers.clone(), 3))
            .collect();
        machines.iter().for_each(Machine::start);
        if !serve(&world, &machines).await {
            return;
        }
        let Some(leader) = machines.iter().find(|it| it.leads()).cloned() else {
            return world.fail("a calm group has no leader".into());
        };
        let first = leader.place();
        let others = (1..=3).filter(|place| *place != first);
        let cut = others.flat_map(|place| [(first, place), (place, first)]);
        world.net().set_cut(cut.collect());
        let newcomer = Machine::new(4, path.join("4"), vec![address(first)], 1);
        newcomer.start();
        while !newcomer.group().is_some_and(|(_, group)| {
            let members = group.status().members;
            members.iter().any(|it| it.id == newcomer.id())
        }) {
            if !leader.leads() {
                return world.fail("the newcomer is not let in by this leader".into());
            }
            world.sleep(Duration::from_millis(1)).await;
        }
        leader.crash(false);
        // Long enough for the others to elect one of theirs.
        world.sleep(Duration::from_secs(4)).await;
        nemesis::repair(&world, &machines);
        machines.push(newcomer);
        if serve(&world, &machines).await {
            settle(&world, &machines, world.elapsed() + SERVES_WITHIN).await;
        }
    });
    Outcome {
        trace,
        took,
        result,
    }
}

/// Waits until all managers have applied the same, and compares.
async fn settle(world: &World, machines: &[Machine], until: Duration) {
    loop {
        world.sleep(Duration::from_millis(200)).await;
        let views: Vec<_> = machines
            .iter()
            .filter_map(|it| it.group().map(|(_, group)| group.stale()))
            .collect();
        let first = views[0].applied_index;
        if views.len() == machines.len() && views.iter().all(|it| it.applied_index == first) {
            let hashes: Vec<_> = views.iter().map(|it| state_hash(&it.state)).collect();
            if hashes.iter().any(|it| *it != hashes[0]) {
                return world.fail(format!("states differ at entry {first}"));
            }
            return world.checks().compare(&views[0].state);
        }
        if world.elapsed() > until {
            let applied: Vec<_> = views.iter().map(|it| it.applied_index).collect();
            return world.fail(format!("recovery: the managers have applied {applied:?}"));
        }
    }
}

impl Outcome {
    /// For whoever has to look into it.
    pub(super) fn tell(&self, seed: u64) -> String {
        let newest: Vec<&String> = self.trace.told().collect();
        let shown = newest.len().saturating_sub(40);
        let lines: Vec<&str> = newest[shown..].iter().map(|it| it.as_str()).collect();
        let reason = self
            .result
            .as_ref()
            .err()
            .map_or("nothing", |it| it.as_str());
        format!(
            "{}\nseed {seed} fails after {:?}: {reason}\nagain, with all events: cargo xtask sim --seed {seed}",
            lines.join("\n"),
            self.took
        )
    }
}
