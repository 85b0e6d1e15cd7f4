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
    world.spawn(OUTSIDE, nemesis::on_network(machines.clone(), until));
    world.spawn(OUTSIDE, nemesis::on_machines(machines.clone(), until));
    let join_after = world.random(|random| random.millis(0..2_000));
    world.sleep(join_after).await;
    machines.iter().for_each(Machine::start);
    world.sleep_until(until).await;
    nemesis::repair(&world, &machines);
    let repaired = world.elapsed();
    for machine in machines.iter() {
        while read(&world, machine).await.is_none() {
            if world.elapsed() > repaired + SERVES_WITHIN {
                let place = machine.place();
                return world.fail(format!(
                    "recovery: machine {place} does not serve {SERVES_WITHIN:?} after the last fault"
                ));
            }
            world.sleep(Duration::from_millis(100)).await;
        }
    }
    stop.store(true, Ordering::Relaxed);
    settle(&world, &machines, world.elapsed() + SERVES_WITHIN).await;
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
        let reason = self.result.as_ref().err().map_or("nothing", |it| it.as_str());
        format!(
            "{}\nseed {seed} fails after {:?}: {reason}\nagain, with all events: cargo xtask sim --seed {seed}",
            lines.join("\n"),
            self.took
        )
    }
}
