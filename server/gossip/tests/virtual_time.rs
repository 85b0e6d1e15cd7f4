//! The engine in virtual time. Seeds are fixed and printed.

mod common;

use common::{Sim, addr_of, id_of};
use krakend_gossip::{Hint, LeaderHint, MemberState};

fn hint(term: u64, generation: u64) -> Hint {
    Hint {
        leader: Some(LeaderHint {
            id: id_of(0),
            term,
            node_addr: "manager-a:7000".into(),
        }),
        managers: vec!["manager-a:7000".into(), "manager-b:7000".into()],
        generation: (1, generation),
    }
}

#[test]
fn fifty_members_find_each_other_through_one_seed() {
    for seed in 1..=3 {
        let mut sim = Sim::joined(50, seed);
        println!("all see all after {} ms", sim.now);
        assert!(sim.now <= 20_000, "{}", sim.describe());
        sim.run(30_000);
        assert!(sim.all_see_all(), "{}", sim.describe());
    }
}

#[test]
fn a_death_is_known_to_all_of_thirty_within_four_seconds() {
    for seed in 1..=8 {
        let mut sim = Sim::joined(30, seed);
        sim.run(10_000);
        sim.kill(7);
        let took = sim.run_until(30_000, |sim| sim.all_see(7, MemberState::Down));
        println!("known to all after {took:?} ms");
        assert!(took.is_some_and(|ms| ms <= 4_000), "{}", sim.describe());
    }
}

#[test]
fn two_halves_that_held_each_other_for_dead_merge_again() {
    for seed in 1..=3 {
        let mut sim = Sim::joined(10, seed);
        let (left, right): (Vec<usize>, Vec<usize>) = (0..10).partition(|index| index % 2 == 0);
        sim.split(&left, &right);
        let apart = sim.run_until(30_000, |sim| {
            let sees = |a: usize, b: usize| sim.view(a, b) == Some(MemberState::Down);
            left.iter()
                .all(|l| right.iter().all(|r| sees(*l, *r) && sees(*r, *l)))
        });
        assert!(apart.is_some(), "{}", sim.describe());
        sim.run(600_000);
        sim.cut.clear();
        let healed = sim.now;
        let took = sim.run_until(60_000, Sim::all_see_all);
        println!("merged after {took:?} ms");
        assert!(took.is_some_and(|ms| ms <= 20_000), "{}", sim.describe());
        // The other half holds us for down: nobody of our half believes it.
        let flaps = sim.events.iter().flatten();
        let flaps = flaps.filter(|(at, e)| *at > healed && e.state == MemberState::Down);
        assert_eq!(flaps.count(), 0);
    }
}

#[test]
fn a_member_cut_off_alone_comes_back() {
    let mut sim = Sim::joined(6, 4);
    sim.split(&[5], &[0, 1, 2, 3, 4]);
    sim.run(60_000);
    assert!(sim.all_see(5, MemberState::Down) && sim.view(5, 0) == Some(MemberState::Down));
    sim.cut.clear();
    let took = sim.run_until(60_000, Sim::all_see_all);
    println!("back after {took:?} ms");
    assert!(took.is_some_and(|ms| ms <= 15_000), "{}", sim.describe());
}

#[test]
fn five_percent_loss_for_ten_minutes_makes_nobody_down() {
    let mut sim = Sim::joined(20, 5);
    sim.loss = 0.05;
    sim.run(600_000);
    let down = |(_, event): &&(u64, krakend_gossip::MemberEvent)| event.state == MemberState::Down;
    let false_downs = sim.events.iter().flatten().filter(down).count();
    let per_second = sim.bytes as f64 / 20.0 / (sim.now as f64 / 1_000.0);
    println!("{false_downs} false downs, {per_second:.0} bytes per member-second");
    assert_eq!(false_downs, 0);
}

#[test]
fn packets_that_arrive_twice_are_counted_and_change_nothing() {
    let mut sim = Sim::new(5, 6);
    sim.copies = 2;
    for index in 1..5 {
        sim.join(index, 0);
    }
    assert!(sim.run_until(20_000, Sim::all_see_all).is_some());
    sim.run(5_000);
    for (_, engine) in sim.running() {
        let counters = engine.counters();
        assert!(
            counters.replayed * 2 >= counters.packets_in - 20,
            "{counters:?}"
        );
        assert_eq!(counters.malformed + counters.bad_mac, 0, "{counters:?}");
    }
}

#[test]
fn a_paused_member_does_not_accuse_the_others_when_it_wakes() {
    let mut sim = Sim::joined(8, 7);
    sim.run(5_000);
    sim.frozen.insert(3);
    sim.run(30_000);
    assert!(sim.all_see(3, MemberState::Down), "{}", sim.describe());
    let woke = sim.now;
    sim.frozen.clear();
    let took = sim.run_until(30_000, Sim::all_see_all);
    println!("back after {took:?} ms");
    assert!(took.is_some(), "{}", sim.describe());
    let accused = sim.events.iter().flatten().filter(|(at, event)| {
        *at >= woke && event.id != id_of(3) && event.state == MemberState::Down
    });
    assert_eq!(accused.count(), 0);
}

#[test]
fn a_restarted_member_is_alive_again_even_if_its_clock_was_set_back() {
    for bump in [2_000_000, 500] {
        let mut sim = Sim::joined(5, 8);
        sim.kill(4);
        let down = sim.run_until(20_000, |sim| sim.all_see(4, MemberState::Down));
        assert!(down.is_some(), "{}", sim.describe());
        sim.start(4, bump);
        sim.join(4, 1);
        let took = sim.run_until(20_000, Sim::all_see_all);
        println!("back with bump {bump} after {took:?} ms");
        assert!(took.is_some(), "bump {bump}: {}", sim.describe());
    }
}

#[test]
fn a_member_that_leaves_is_left_everywhere_and_can_return() {
    let mut sim = Sim::joined(12, 9);
    sim.act(11, |engine, now| engine.begin_leave(now));
    let left = sim.run_until(5_000, |sim| {
        sim.engines[11]
            .as_ref()
            .is_some_and(|engine| engine.has_left())
    });
    assert!(left.is_some());
    sim.kill(11);
    let took = sim.run_until(5_000, |sim| sim.all_see(11, MemberState::Left));
    println!("left everywhere after {took:?} ms");
    assert!(took.is_some(), "{}", sim.describe());
    let downs = sim
        .events
        .iter()
        .flatten()
        .filter(|(_, e)| e.state == MemberState::Down);
    assert_eq!(downs.count(), 0);
    sim.start(11, 9_000_000);
    sim.join(11, 5);
    assert!(
        sim.run_until(20_000, Sim::all_see_all).is_some(),
        "{}",
        sim.describe()
    );
}

#[test]
fn a_mistaken_leave_notice_is_refuted_by_the_living() {
    let mut sim = Sim::joined(6, 10);
    sim.act(0, |engine, now| engine.leave_notice(now, id_of(4)));
    assert_eq!(sim.view(0, 4), Some(MemberState::Left));
    let took = sim.run_until(20_000, Sim::all_see_all);
    println!("refuted after {took:?} ms");
    assert!(took.is_some(), "{}", sim.describe());
}

#[test]
fn two_processes_with_one_id_do_not_flood_the_network() {
    let mut sim = Sim::joined(5, 11);
    sim.engines.push(None);
    sim.events.push(Vec::new());
    sim.start_as(5, id_of(4), 1_000_500);
    sim.join(5, 0);
    let before = sim.packets;
    sim.run(30_000);
    let per_member_second = (sim.packets - before) as f64 / 6.0 / 30.0;
    println!("{per_member_second:.1} packets per member-second");
    assert!(per_member_second < 60.0);
}

#[test]
fn a_hint_reaches_everybody_also_who_comes_later() {
    let mut sim = Sim::joined(15, 12);
    sim.kill(14);
    sim.act(0, |engine, now| engine.set_hint(now, hint(3, 7)));
    let knows = |sim: &Sim| sim.running().all(|(_, engine)| engine.hint() == hint(3, 7));
    let took = sim.run_until(20_000, knows);
    println!("known to all after {took:?} ms");
    assert!(took.is_some());
    sim.start(14, 5_000_000);
    sim.join(14, 9);
    assert!(sim.run_until(2_000, knows).is_some());
    sim.act(1, |engine, now| engine.set_hint(now, hint(2, 9)));
    let newer = |sim: &Sim| sim.running().all(|(_, engine)| engine.hint() == hint(3, 9));
    assert!(sim.run_until(20_000, newer).is_some());
}

#[test]
fn a_seed_that_starts_late_is_found() {
    let mut sim = Sim::new(4, 13);
    sim.kill(0);
    for index in 1..4 {
        sim.join(index, 0);
    }
    sim.run(60_000);
    sim.start(0, 2_000_000);
    let took = sim.run_until(20_000, Sim::all_see_all);
    println!("found after {took:?} ms");
    assert!(took.is_some(), "{}", sim.describe());
}

#[test]
fn two_pools_that_never_met_merge_when_one_names_a_seed_of_the_other() {
    let mut sim = Sim::new(6, 14);
    for (index, seed) in [(1, 0), (2, 0), (4, 3), (5, 3)] {
        sim.join(index, seed);
    }
    sim.run(10_000);
    sim.act(5, |engine, now| engine.join(now, &[addr_of(1)]));
    assert!(
        sim.run_until(20_000, Sim::all_see_all).is_some(),
        "{}",
        sim.describe()
    );
}

#[test]
fn twenty_percent_loss_for_ten_minutes_makes_nobody_down() {
    for seed in 15..=16 {
        let mut sim = Sim::joined(20, seed);
        sim.loss = 0.2;
        sim.run(600_000);
        let all = sim.events.iter().flatten();
        let suspected = all.clone().filter(|(_, e)| e.state == MemberState::Suspect);
        let down: Vec<_> = all.filter(|(_, e)| e.state == MemberState::Down).collect();
        let bytes = sim.bytes as f64 / 20.0 / (sim.now as f64 / 1_000.0);
        println!(
            "{} suspicions, {} downs, {bytes:.0} bytes per member-second",
            suspected.count(),
            down.len()
        );
        assert!(down.is_empty(), "{down:?}");
        // What chance loses is settled among few.
        assert!(bytes < 500.0, "{bytes:.0} bytes per member-second");
    }
}

#[test]
fn twenty_percent_loss_for_an_hour_makes_nobody_down() {
    let mut sim = Sim::joined(12, 17);
    sim.loss = 0.2;
    sim.run(3_600_000);
    let all = sim.events.iter().flatten();
    let suspected = all.clone().filter(|(_, e)| e.state == MemberState::Suspect);
    let down = all.filter(|(_, e)| e.state == MemberState::Down);
    let (suspected, down) = (suspected.count(), down.count());
    let engines = sim.running().map(|(_, engine)| engine.counters());
    let failed: u64 = engines.map(|counters| counters.probes_failed).sum();
    println!("{failed} probes failed, {suspected} suspicions, {down} downs");
    assert!(failed > 100, "loss that nobody notices proves nothing");
    assert_eq!(down, 0);
}

#[test]
fn the_same_seed_gives_the_same_packets_and_events() {
    let run = |seed| {
        let mut sim = Sim::joined(10, seed);
        sim.loss = 0.1;
        sim.kill(3);
        sim.run(20_000);
        (sim.packets, sim.bytes, sim.events)
    };
    let (first, second) = (run(18), run(18));
    assert!(first == second);
    assert!(first != run(19), "another seed is another run");
}

#[test]
fn a_member_that_stalls_again_and_again_makes_nobody_else_flap() {
    let mut sim = Sim::joined(8, 20);
    sim.run(5_000);
    let begin = sim.now;
    for _ in 0..30 {
        sim.frozen.insert(3);
        sim.run(1_500);
        sim.frozen.clear();
        sim.run(1_000);
    }
    let mut all = sim.events.iter().flatten();
    let flapped = all.find(|(at, event)| {
        *at >= begin && event.id != id_of(3) && event.state == MemberState::Down
    });
    assert_eq!(flapped, None);
    assert!(sim.run_until(20_000, Sim::all_see_all).is_some());
}

#[test]
fn a_node_whose_seeds_are_all_gone_finds_the_managers_through_a_node() {
    let mut sim = Sim::joined(8, 21);
    sim.act(0, |engine, now| engine.set_hint(now, hint(5, 1)));
    sim.run(5_000);
    sim.kill(7);
    for manager in 0..3 {
        sim.kill(manager);
    }
    sim.run(20_000);
    sim.start(7, 9_000_000);
    sim.join(7, 5);
    let knows = |sim: &Sim| {
        let mut all = sim.running();
        all.any(|(index, engine)| index == 7 && engine.hint() == hint(5, 1))
    };
    assert!(sim.run_until(5_000, knows).is_some());
}

#[test]
fn two_processes_with_one_id_are_told_apart_from_one_that_moved() {
    let twins = |sim: &Sim, index: usize| {
        let engine = sim.engines[index].as_ref().expect("it runs");
        engine
            .duplicates()
            .iter()
            .map(|it| (it.id, it.addrs))
            .collect::<Vec<_>>()
    };
    // It starts again, at another address: its old process never speaks again.
    let mut sim = Sim::joined(6, 22);
    sim.kill(5);
    sim.engines.push(None);
    sim.events.push(Vec::new());
    sim.start_as(6, id_of(5), 2_000_000);
    sim.join(6, 0);
    let moved = |sim: &Sim| {
        let known = |engine: &krakend_gossip::Engine| engine.member(id_of(5)).map(|it| it.addr);
        sim.running()
            .all(|(index, engine)| index == 6 || known(engine) == Some(addr_of(6)))
    };
    assert!(sim.run_until(10_000, moved).is_some(), "{}", sim.describe());
    sim.run(30_000);
    for index in 0..5 {
        assert_eq!(twins(&sim, index), []);
    }
    // Both live.
    sim.start_as(5, id_of(5), 2_500_000);
    sim.join(5, 1);
    let told = |sim: &Sim| (0..5).all(|index| !twins(sim, index).is_empty());
    let took = sim.run_until(60_000, told);
    println!("told apart after {took:?} ms");
    assert!(took.is_some());
    let (id, mut addrs) = twins(&sim, 2)[0];
    addrs.sort();
    assert_eq!((id, addrs), (id_of(5), [addr_of(5), addr_of(6)]));
}
