//! Faults as the seed says: one lane for the network, one for machines, so that they overlap.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    machine::Machine,
    network::Place,
    world::{World, world},
};

/// Breaks something now and then until the time is over, and mends what it broke last.
pub(super) async fn on_network(machines: Arc<Vec<Machine>>, until: Duration) {
    let world = world();
    while world.elapsed() < until {
        pause(&world, 30..900).await;
        let places: Vec<Place> = machines.iter().map(Machine::place).collect();
        let leader = machines.iter().find(|it| it.leads()).map(Machine::place);
        let kind = world.random(|random| random.below(0..8));
        let cut = match kind {
            0 => isolated(&places, leader.unwrap_or(places[0])),
            1 => isolated(&places, world.random(|random| *random.one_of(&places))),
            2 => halves(&world, &places),
            3 => one_way(&world, &places),
            4 => bridge(&world, &places),
            5 | 6 => {
                let slow = some_ways(&world, &places);
                world.net().set_slow(slow);
                BTreeSet::new()
            }
            _ => {
                for (one, other) in some_ways(&world, &places) {
                    world.net().reset(one, other);
                }
                BTreeSet::new()
            }
        };
        world.note("network", &[kind, cut.len() as u64]);
        world.net().set_cut(cut);
        pause(&world, 60..2_200).await;
        heal(&world);
    }
}

fn heal(world: &World) {
    world.net().set_cut(BTreeSet::new());
    world.net().set_slow(BTreeSet::new());
}

async fn pause(world: &World, millis: std::ops::Range<u64>) {
    let pause = world.random(|random| random.millis(millis));
    world.sleep(pause).await;
}

fn isolated(places: &[Place], one: Place) -> BTreeSet<(Place, Place)> {
    let others = places.iter().filter(|it| **it != one);
    others.flat_map(|it| [(one, *it), (*it, one)]).collect()
}

fn halves(world: &World, places: &[Place]) -> BTreeSet<(Place, Place)> {
    let mut mixed = places.to_vec();
    world.random(|random| random.shuffle(&mut mixed));
    let (left, right) = mixed.split_at(mixed.len() / 2);
    let pairs = left
        .iter()
        .flat_map(|one| right.iter().map(move |other| (*one, *other)));
    pairs
        .flat_map(|(one, other)| [(one, other), (other, one)])
        .collect()
}

fn one_way(world: &World, places: &[Place]) -> BTreeSet<(Place, Place)> {
    let to = world.random(|random| *random.one_of(places));
    let from = places.iter().filter(|it| **it != to);
    from.map(|from| (*from, to)).collect()
}

/// Two halves that only one machine reaches both of.
fn bridge(world: &World, places: &[Place]) -> BTreeSet<(Place, Place)> {
    let between = world.random(|random| *random.one_of(places));
    let rest: Vec<Place> = places.iter().copied().filter(|it| *it != between).collect();
    halves(world, &rest)
}

fn some_ways(world: &World, places: &[Place]) -> BTreeSet<(Place, Place)> {
    let mut ways = BTreeSet::new();
    for from in places {
        for to in places {
            if from != to && world.random(|random| random.percent(40)) {
                ways.insert((*from, *to));
            }
        }
    }
    ways
}

/// Breaks machines now and then until the time is over.
pub(super) async fn on_machines(machines: Arc<Vec<Machine>>, until: Duration) {
    let world = world();
    while world.elapsed() < until {
        pause(&world, 20..900).await;
        let leader = machines.iter().find(|it| it.leads());
        let any = world.random(|random| random.one_of(&machines).clone());
        let kind = world.random(|random| random.below(0..12));
        world.note("machine", &[kind, any.place()]);
        match kind {
            0..=2 => restart(&world, &[any]).await,
            3 | 4 => restart(&world, &[leader.unwrap_or(&any).clone()]).await,
            5 | 6 => {
                let mut many = machines.to_vec();
                world.random(|random| random.shuffle(&mut many));
                let count = world.random(|random| random.below(2..machines.len() as u64 + 1));
                restart(&world, &many[..count as usize]).await;
            }
            7 => stand_still(&world, leader.unwrap_or(&any)).await,
            8 => stand_still(&world, &any).await,
            9 => slow_disks(&world, &machines).await,
            10 => wrong_clock(&world, leader.unwrap_or(&any)).await,
            _ => hand_over(&world, leader.unwrap_or(&any), &any),
        }
    }
}

/// Down for a moment or for longer, by a kill or by a power loss, sometimes with slow disks before.
async fn restart(world: &World, machines: &[Machine]) {
    if world.random(|random| random.percent(40)) {
        machines.iter().for_each(|it| it.set_slow_disk(true));
        pause(world, 50..500).await;
    }
    let power = world.random(|random| random.percent(60));
    machines.iter().for_each(|it| it.crash(power));
    machines.iter().for_each(|it| it.set_slow_disk(false));
    if world.random(|random| random.percent(50)) {
        pause(world, 1..60).await;
    } else {
        pause(world, 200..2_500).await;
    }
    for machine in machines {
        machine.start();
        pause(world, 0..30).await;
    }
}

async fn stand_still(world: &World, machine: &Machine) {
    let Some(host) = machine.host() else { return };
    world.pause(host, true);
    pause(world, 200..2_500).await;
    world.pause(host, false);
}

async fn slow_disks(world: &World, machines: &[Machine]) {
    for machine in machines {
        let slow = world.random(|random| random.percent(60));
        machine.set_slow_disk(slow);
    }
    pause(world, 200..1_500).await;
    machines.iter().for_each(|it| it.set_slow_disk(false));
}

async fn wrong_clock(world: &World, machine: &Machine) {
    let off_ms = world.random(|random| random.below(0..7_200_000) as i64);
    let sign = world.random(|random| if random.percent(50) { 1 } else { -1 });
    machine.set_clock(sign * off_ms);
    pause(world, 300..2_000).await;
    machine.set_clock(0);
}

fn hand_over(world: &World, leader: &Machine, to: &Machine) {
    let Some((host, group)) = leader.group() else {
        return;
    };
    let to = to.id();
    world.spawn(
        host,
        async move { drop(group.transfer_leadership(to).await) },
    );
}

/// Ends all faults.
pub(super) fn repair(world: &World, machines: &[Machine]) {
    heal(world);
    for machine in machines {
        machine.set_clock(0);
        machine.set_slow_disk(false);
        if let Some(host) = machine.host() {
            world.pause(host, false);
        }
        machine.start();
    }
}
