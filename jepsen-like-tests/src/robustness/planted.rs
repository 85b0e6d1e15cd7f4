//! Whether the tester finds bugs that are known to be there.

use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::{Value, json};

use super::nemesis::Kind;
use super::workload::Workload;
use super::{Ended, RunOptions, run};

/// The bugs that programs built with `planted-bugs` can be told to have. The first is none: the same program without a bug
/// must pass, or what is found means nothing.
pub const BUGS: [&str; 10] = [
    "none",
    "read-without-read-index",
    "apply-twice",
    "idempotency-forgotten",
    "precondition-ignored",
    "vote-not-persisted",
    "ack-before-fsync",
    "seats-miscounted",
    "down-forgotten",
    "licensed-too-long",
];

/// A bug must be found within this time of faults.
pub const WITHIN: Duration = Duration::from_secs(300);
const EACH: Duration = Duration::from_secs(50);

/// What came of one bug.
#[derive(Clone, Debug)]
pub struct Found {
    pub bug: &'static str,
    /// Wall-clock time until the failing checks were known.
    pub after: Duration,
    /// The checks that failed; empty when nothing was found.
    pub checks: Vec<&'static str>,
    /// The command of the run that found it.
    pub seed: u64,
}

impl Found {
    /// Found where there is a bug, and nothing found where there is none.
    pub fn ok(&self) -> bool {
        self.checks.is_empty() == (self.bug == "none")
    }

    /// One row of the table.
    pub fn row(&self) -> String {
        let checks = if self.checks.is_empty() {
            "nothing".into()
        } else {
            self.checks.join(", ")
        };
        format!(
            "{:<24} {:>5} s  {checks} (seed {})",
            self.bug,
            self.after.as_secs(),
            self.seed
        )
    }

    /// For programs.
    pub fn json(&self) -> Value {
        json!({"bug": self.bug, "ok": self.ok(), "after_s": self.after.as_secs(), "checks": self.checks, "seed": self.seed})
    }
}

/// How the hunt ended.
#[derive(Debug)]
pub enum Hunt {
    Skipped(String),
    Done(Vec<Found>),
}

/// Hunts every bug in runs of less than a minute, seed after seed, until it is found or the time is over.
///
/// `only` of them where any are named; the program without a bug is run first in any case.
///
/// # Errors
/// A run could not be carried out.
pub async fn hunt(
    options: &RunOptions,
    only: &[String],
    say: &mut dyn FnMut(&str),
) -> Result<Hunt> {
    let wanted = |bug: &&str| *bug == "none" || only.is_empty() || only.iter().any(|it| it == bug);
    let mut options = options.clone();
    if !only.is_empty() {
        // What finds them must find nothing without them.
        let shown = only.iter().filter_map(|bug| workloads(bug)).flatten();
        let mut shown: Vec<_> = shown.collect();
        shown.dedup();
        if !shown.is_empty() {
            options.workloads = shown;
        }
    }
    let mut table: Vec<Found> = Vec::new();
    for bug in BUGS.into_iter().filter(wanted) {
        // A check that fails without any bug says nothing about one.
        let noise = table.first().map(|none| none.checks.clone());
        let noise = noise.unwrap_or_default();
        let Some(found) = one(&options, bug, &noise).await? else {
            return Ok(Hunt::Skipped("hosts are not permitted here".into()));
        };
        say(&found.row());
        table.push(found);
    }
    Ok(Hunt::Done(table))
}

/// What shows a bug, and nothing that only takes time.
fn nemeses(bug: &str) -> Vec<Kind> {
    match bug {
        "vote-not-persisted" => vec![Kind::Kill, Kind::Leader, Kind::RestartAll, Kind::Partition],
        "ack-before-fsync" => vec![Kind::Power],
        "licensed-too-long" => vec![Kind::Blackout, Kind::Leader],
        _ => vec![Kind::Partition, Kind::Kill, Kind::Pause, Kind::Leader],
    }
}

/// Workloads that show a bug, where those that were asked for do not.
fn workloads(bug: &str) -> Option<Vec<Workload>> {
    match bug {
        "seats-miscounted" => Some(vec![Workload::Seats]),
        "down-forgotten" => Some(vec![Workload::Lifecycle]),
        "licensed-too-long" => Some(vec![Workload::Lease]),
        _ => None,
    }
}

async fn one(options: &RunOptions, bug: &'static str, noise: &[&str]) -> Result<Option<Found>> {
    let start = Instant::now();
    let mut seed = options.seed;
    loop {
        let mut options = options.clone();
        options.seed = seed;
        options.time = EACH;
        options.dir = options.dir.join(format!("{bug}-{seed}"));
        options.planted = (bug != "none").then(|| bug.to_owned());
        options.nemeses = nemeses(bug);
        options.workloads = workloads(bug).unwrap_or(options.workloads);
        let mut checks = match run(&options).await {
            Ok(Ended::Done(outcome)) => outcome.failed(),
            Ok(Ended::Skipped(_)) => return Ok(None),
            Ok(Ended::NotFormed(reason)) => {
                eprintln!("{bug}: {reason}");
                vec!["forming"]
            }
            Err(error) => return Err(error),
        };
        checks.retain(|check| !noise.contains(check));
        let over = bug == "none" || start.elapsed() + EACH > WITHIN;
        if !checks.is_empty() || over {
            return Ok(Some(Found {
                bug,
                after: start.elapsed(),
                checks,
                seed,
            }));
        }
        seed += 1;
    }
}
