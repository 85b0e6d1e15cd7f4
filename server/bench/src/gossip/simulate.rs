//! One pool in virtual time: first quiet, for traffic and false downs, then with deaths.

use serde_json::{Value, json};

use super::rounded;
use super::world::World;

/// How much of a pool is simulated.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub quiet_ms: u64,
    pub deaths: usize,
}

impl Plan {
    /// Virtual time that a size affords.
    pub fn of(members: usize, quick: bool) -> Self {
        let (quiet_ms, deaths) = match members {
            0..=10 => (3_600_000, 40),
            11..=100 => (3_600_000, 20),
            101..=1_000 => (60_000, 8),
            // Thousands of members take much more time and memory than hundreds.
            _ => (10_000, 3),
        };
        match quick {
            true => Self {
                quiet_ms: quiet_ms / 10,
                deaths: deaths / 2,
            },
            false => Self { quiet_ms, deaths },
        }
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Cell {
    members: usize,
    loss: f64,
    first_p50_s: f64,
    all_p50_s: f64,
    all_max_s: f64,
    false_downs: usize,
    member_hours: f64,
    bytes_per_member_s: f64,
    packets_per_member_s: f64,
    probes_failed_per_member_s: f64,
}

/// Nobody has said that a member is down before this time is over: then it is given up.
const GIVE_UP_MS: u64 = 120_000;
/// Until what a start has stirred up is still.
const SETTLE_MS: u64 = 5_000;

pub fn run(members: usize, loss: f64, seed: u64, plan: &Plan) -> Cell {
    let mut world = World::new(members, loss, seed);
    world.run(SETTLE_MS);
    let (bytes, packets) = (world.bytes, world.packets);
    let failed = |world: &World| -> u64 {
        let all = world.engines.iter().flatten();
        all.map(|engine| engine.counters().probes_failed).sum()
    };
    let failed_before = failed(&world);
    world.run(plan.quiet_ms);
    let member_s = members as f64 * plan.quiet_ms as f64 / 1_000.0;
    let mut cell = Cell {
        members,
        loss,
        first_p50_s: 0.0,
        all_p50_s: 0.0,
        all_max_s: 0.0,
        false_downs: world.downs.len(),
        member_hours: (members as f64) * world.now as f64 / 3_600_000.0,
        bytes_per_member_s: (world.bytes - bytes) as f64 / member_s,
        packets_per_member_s: (world.packets - packets) as f64 / member_s,
        probes_failed_per_member_s: (failed(&world) - failed_before) as f64 / member_s,
    };
    let mut firsts = Vec::new();
    let mut alls = Vec::new();
    for _ in 0..plan.deaths {
        let (first, all, wrong) = death(&mut world);
        firsts.push(first);
        alls.push(all);
        cell.false_downs += wrong;
    }
    cell.first_p50_s = median(&mut firsts);
    cell.all_p50_s = median(&mut alls);
    cell.all_max_s = alls.iter().copied().fold(0.0, f64::max);
    cell
}

/// Seconds until the first and until all knew, and how many others were held for dead meanwhile.
fn death(world: &mut World) -> (f64, f64, usize) {
    let dead = world.random_member();
    world.downs.clear();
    world.kill(dead);
    let begin = world.now;
    let mut knows = vec![false; world.engines.len()];
    let (mut known, mut seen, mut wrong) = (0, 0, 0);
    let mut first = None;
    while known < world.living() && world.now - begin < GIVE_UP_MS {
        world.step(begin + GIVE_UP_MS);
        for (at, observer, member) in &world.downs[seen..] {
            if *member != dead {
                wrong += 1;
            } else if !std::mem::replace(&mut knows[*observer], true) {
                known += 1;
                first.get_or_insert(*at - begin);
            }
        }
        seen = world.downs.len();
    }
    let all = (world.now - begin) as f64 / 1_000.0;
    world.revive(dead);
    world.run(SETTLE_MS);
    let first = first.unwrap_or(GIVE_UP_MS) as f64 / 1_000.0;
    (first, all, wrong)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}

impl Cell {
    fn false_downs_per_member_hour(&self) -> f64 {
        self.false_downs as f64 / self.member_hours
    }

    pub fn line(&self) -> String {
        format!(
            "{:7}  {:3.0} %  {:7.2} s  {:5.2} s  {:5.2} s  {:3} in {:6.1} h  {:6.0}  {:9.1}  {:.3}/s",
            self.members,
            self.loss * 100.0,
            self.first_p50_s,
            self.all_p50_s,
            self.all_max_s,
            self.false_downs,
            self.member_hours,
            self.bytes_per_member_s,
            self.packets_per_member_s,
            self.probes_failed_per_member_s,
        )
    }

    pub fn json(&self) -> Value {
        json!({
            "members": self.members,
            "loss": self.loss,
            "all_p50_s": rounded(self.all_p50_s),
            "all_max_s": rounded(self.all_max_s),
            "false_downs_per_member_hour": self.false_downs_per_member_hour(),
            "bytes_per_member_s": self.bytes_per_member_s.round(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_figures() {
        let plan = Plan {
            quiet_ms: 10_000,
            deaths: 2,
        };
        let cell = || run(20, 0.1, 7, &plan).line();
        assert_eq!(cell(), cell());
    }

    #[test]
    fn a_death_is_known_to_all_and_nobody_else_is_held_for_dead() {
        let plan = Plan {
            quiet_ms: 10_000,
            deaths: 3,
        };
        let cell = run(30, 0.0, 3, &plan);
        assert!(cell.all_max_s < 10.0, "{}", cell.line());
        assert!(cell.first_p50_s > 0.5, "{}", cell.line());
        assert_eq!(cell.false_downs, 0);
    }
}
