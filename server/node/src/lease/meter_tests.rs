use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{Cause, Meter, Reading, Verdict, persist_every_ms};

const WEEK: u64 = 604_800_000;
const HOUR: u64 = 3_600_000;

fn at(boot: &str, boot_ms: u64, wall_ms: u64) -> Reading {
    Reading {
        boot_id: boot.into(),
        boot_ms,
        wall_ms,
    }
}

#[test]
fn what_is_charged_from_one_reading_to_the_next() {
    let day = 24 * HOUR;
    let table = [
        // what, from, to, charged, by the wall clock's word alone
        (
            "an hour",
            at("a", 0, day),
            at("a", HOUR, day + HOUR),
            HOUR,
            0,
        ),
        (
            "an hour of sleep",
            at("a", 5, day),
            at("a", 5 + HOUR, day + HOUR),
            HOUR,
            0,
        ),
        (
            "the clock set back",
            at("a", 0, day),
            at("a", HOUR, 0),
            HOUR,
            0,
        ),
        (
            "the clock set forward",
            at("a", 0, day),
            at("a", HOUR, 99 * day),
            HOUR,
            0,
        ),
        (
            "a boot",
            at("a", day, day),
            at("b", 9, day + HOUR),
            HOUR,
            HOUR - 9,
        ),
        (
            "a boot with the clock set back",
            at("a", 0, day),
            at("b", 7, 0),
            7,
            0,
        ),
        (
            "a boot long ago, clock set back",
            at("a", 0, day),
            at("b", HOUR, 0),
            HOUR,
            0,
        ),
        (
            "a boot with the clock set forward",
            at("a", 0, day),
            at("b", 0, 9 * day),
            8 * day,
            8 * day,
        ),
        (
            "another boot clock, same boot",
            at("a", day, day),
            at("a", 9, day + HOUR),
            HOUR,
            HOUR,
        ),
    ];
    for (what, from, to, charged, by_wall) in table {
        let mut meter = Meter::begin(0, from);
        meter.charge(to);
        assert_eq!(
            (meter.charged_ms, meter.by_wall_ms),
            (charged, by_wall),
            "{what}"
        );
    }
}

#[test]
fn a_start_costs_a_minute_and_less_for_a_short_lease() {
    let mut meter = Meter::begin(0, at("a", 0, 0));
    meter.start(at("a", 1_000, 1_000), persist_every_ms(WEEK));
    assert_eq!(meter.charged_ms, 61_000);
    assert_eq!(persist_every_ms(20_000), 200);
    assert_eq!(persist_every_ms(0), 50);
}

#[test]
fn a_clock_set_forward_is_told_from_time_that_passed() {
    let (day, boot) = (24 * HOUR, HOUR);
    let run = |wall_at_boot: u64| {
        let mut meter = Meter::begin(0, at("a", 0, day));
        meter.charge(at("b", boot, wall_at_boot));
        meter
    };
    // It was off for thirty days.
    let meter = run(31 * day);
    assert_eq!(Cause::of(&meter, WEEK), Cause::WallClock);
    let now = at("b", boot, 31 * day);
    assert_eq!(Verdict::of(&meter, WEEK, &now, 31 * day), Verdict::Right);
    // It was off for an hour, and came up thirty days ahead.
    let wrong = Verdict::SetForward { ahead_ms: 30 * day };
    assert_eq!(Verdict::of(&meter, WEEK, &now, day), wrong);
    // The clock was put right before a manager answered.
    let mut meter = run(31 * day);
    let now = at("b", boot + HOUR, day + HOUR);
    meter.charge(now.clone());
    assert_eq!(Verdict::of(&meter, WEEK, &now, day + HOUR), wrong);
    // It ran to its end.
    let mut meter = Meter::begin(0, at("a", 0, 0));
    meter.charge(at("a", WEEK, 0));
    assert_eq!(Cause::of(&meter, WEEK), Cause::Time);
}

/// A machine with a true time that no clock of its has to show.
struct World {
    rng: StdRng,
    true_ms: u64,
    boots: u32,
    booted_ms: u64,
    /// The wall clock is wrong by this much.
    wrong_ms: i64,
    /// The lowest that the error ever was, against the error at the last reading: what a power cut can hide.
    off_and_back_ms: u64,
}

impl World {
    fn reading(&self) -> Reading {
        let wall = self.true_ms as i64 + self.wrong_ms;
        at(
            &self.boots.to_string(),
            self.true_ms - self.booted_ms,
            wall.max(0) as u64,
        )
    }

    /// Off for a while; the clock comes up as the battery has it. What the clock hides of it is noted.
    fn reboot(&mut self, set_back: bool) {
        let off_ms = self.rng.random_range(0..3 * 24 * HOUR);
        let before = self.wrong_ms;
        self.true_ms += off_ms;
        if set_back {
            self.wrong_ms -= self.rng.random_range(0..20 * 24 * HOUR as i64);
        } else {
            self.wrong_ms += self.rng.random_range(0..HOUR as i64);
        }
        let hidden = (before - self.wrong_ms).clamp(0, off_ms as i64);
        self.off_and_back_ms += hidden as u64;
        self.boots += 1;
        self.booted_ms = self.true_ms;
    }
}

/// No sequence of reboots, crashes, sleeps and jumps of the clock gives a node more than its lease: what is charged is
/// never less than the time that passed, but for machines that were off *and* whose clock was set back meanwhile.
#[test]
fn no_sequence_of_reboots_jumps_and_sleeps_extends_a_lease() {
    for seed in 0..3_000_u64 {
        let mut world = World {
            rng: StdRng::seed_from_u64(seed),
            true_ms: 400 * 24 * HOUR,
            boots: 0,
            booted_ms: 399 * 24 * HOUR,
            wrong_ms: 0,
            off_and_back_ms: 0,
        };
        let begun_ms = world.true_ms;
        let every_ms = persist_every_ms(WEEK);
        let mut meter = Meter::begin(0, world.reading());
        let mut on_disk = meter.clone();
        for step in 0..60 {
            match world.rng.random_range(0..6) {
                // Runs, and writes each minute.
                0 | 1 => {
                    let run_ms = world.rng.random_range(0..6 * HOUR);
                    world.true_ms += run_ms;
                    meter.charge(world.reading());
                    on_disk = meter.clone();
                    world.true_ms += world.rng.random_range(0..every_ms);
                }
                // Sleeps; the boot clock goes on.
                2 => world.true_ms += world.rng.random_range(0..24 * HOUR),
                // The clock is set, either way, and soon noticed by a reading.
                3 => {
                    world.wrong_ms += world.rng.random_range(-200..200) * HOUR as i64;
                    meter.charge(world.reading());
                    on_disk = meter.clone();
                }
                // Crashes, and starts again.
                4 => {
                    meter = on_disk.clone();
                    meter.start(world.reading(), every_ms);
                    on_disk = meter.clone();
                }
                // Loses power, also with the clock set back.
                _ => {
                    meter.charge(world.reading());
                    on_disk = meter.clone();
                    world.true_ms += world.rng.random_range(0..every_ms);
                    let set_back = world.rng.random_bool(0.3);
                    world.reboot(set_back);
                    meter = on_disk.clone();
                    meter.start(world.reading(), every_ms);
                    on_disk = meter.clone();
                }
            }
            meter.charge(world.reading());
            let passed_ms = world.true_ms - begun_ms;
            let least_ms = passed_ms.saturating_sub(world.off_and_back_ms);
            assert!(
                meter.charged_ms >= least_ms,
                "seed {seed}, step {step}: {} charged, {passed_ms} passed, {} hidden",
                meter.charged_ms,
                world.off_and_back_ms
            );
        }
    }
}

/// Without boots, whatever the wall clock does, exactly the time that passed is charged, and a minute for each start.
#[test]
fn while_the_machine_runs_nothing_but_time_and_starts_is_charged() {
    for seed in 0..1_000_u64 {
        let mut rng = StdRng::seed_from_u64(seed);
        let (mut boot_ms, mut starts) = (HOUR, 0);
        let mut meter = Meter::begin(0, at("a", boot_ms, 7 * HOUR));
        for _ in 0..50 {
            boot_ms += rng.random_range(0..HOUR);
            let now = at("a", boot_ms, rng.random_range(0..1_000 * HOUR));
            if rng.random_bool(0.2) {
                starts += 1;
                meter.start(now, 60_000);
            } else {
                meter.charge(now);
            }
        }
        assert_eq!(
            meter.charged_ms,
            boot_ms - HOUR + starts * 60_000,
            "seed {seed}"
        );
        assert_eq!(meter.by_wall_ms, 0, "seed {seed}");
    }
}
