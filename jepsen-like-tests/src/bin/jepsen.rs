//! `jepsen`: what `cargo xtask jepsen` runs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Parser;
use jepsen_like_tests::options::sibling_bin_dir;
use jepsen_like_tests::robustness::checker::Finding;
use jepsen_like_tests::robustness::nemesis::Kind;
use jepsen_like_tests::robustness::planted::{self, Found, Hunt};
use jepsen_like_tests::robustness::workload::Workload;
use jepsen_like_tests::robustness::{Crowded, Ended, RunOptions, crowd, run};
use tokio::signal::unix::{SignalKind, signal};

/// As automake has it: not a failure, and not a pass.
const SKIPPED: u8 = 77;

/// Treats a group of real managers badly and checks what its clients saw.
#[derive(Debug, Parser)]
#[command(name = "jepsen", version)]
struct Arguments {
    /// How long faults go on: 90s, 10m, 2h
    #[arg(long, default_value = "3m", value_parser = duration)]
    time: Duration,
    /// Where all randomness comes from [default: a new one, printed]
    #[arg(long)]
    seed: Option<u64>,
    /// What clients do [default: register,idempotent,watch]; `seats`, `lifecycle` and `lease` bring nodes along
    #[arg(long, value_enum, value_delimiter = ',')]
    workload: Vec<Workload>,
    /// What is done to the managers, or `none` [default: all]
    #[arg(long, value_delimiter = ',')]
    nemesis: Vec<String>,
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    managers: u8,
    /// Registers that clients write: each is a fleet
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=32))]
    keys: u8,
    /// Print the line of JSON alone
    #[arg(long)]
    json: bool,
    /// New or empty directory for data, logs, history and report, kept afterwards [default: a temporary one, kept when something failed]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The manager's program [default: beside this one]
    #[arg(long)]
    program: Option<PathBuf>,
    /// The bug to switch on in a program that was built with the feature planted-bugs
    #[arg(long)]
    planted_bug: Option<String>,
    /// Hunt one planted bug after the other, or those that are named, and print which check found it after how long
    #[arg(
        long,
        value_name = "BUG,..",
        num_args = 0..,
        require_equals = true,
        value_delimiter = ',',
        value_parser = clap::builder::PossibleValuesParser::new(planted::BUGS),
        conflicts_with_all = ["planted_bug", "time", "workload", "nemesis"]
    )]
    planted: Option<Vec<String>>,
    /// Instead: a hundred nodes, all restarted at once, half of them cut off and healed, one link that flaps
    #[arg(long, conflicts_with_all = ["planted", "planted_bug", "time", "workload", "nemesis"])]
    crowd: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    // With its causes and without a backtrace: most that goes wrong here is the machine's, not ours.
    work().await.unwrap_or_else(|error| {
        eprintln!("jepsen: {error:#}");
        ExitCode::FAILURE
    })
}

async fn work() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let temporary = tempfile::Builder::new()
        .prefix("krakend-jepsen-")
        .tempdir()?;
    let keep = arguments.dir.is_some();
    let mut options = options(&arguments, temporary.path())?;
    if arguments.crowd {
        options.workloads = vec![Workload::Lifecycle];
        options.nemeses = Vec::new();
        return tokio::select! {
            code = hundred(&options) => {
                if !keep && !matches!(code, Ok(ExitCode::SUCCESS)) {
                    eprintln!("files kept in {}", temporary.keep().display());
                }
                code
            }
            () = told_to_end() => bail!("ended by a signal"),
        };
    }
    if !arguments.json && arguments.planted.is_none() {
        eprintln!("{}", options.command());
    }
    if let Some(only) = &arguments.planted {
        return tokio::select! {
            code = hunt(&options, only) => code,
            () = told_to_end() => bail!("ended by a signal"),
        };
    }
    let ended = tokio::select! {
        ended = run(&options) => ended?,
        // Dropping the run ends everything that it started and removes its hosts.
        () = told_to_end() => bail!("ended by a signal"),
    };
    let outcome = match ended {
        Ended::Skipped(reason) => {
            println!("{}", serde_json::json!({"ok": false, "skipped": reason}));
            return Ok(ExitCode::from(SKIPPED));
        }
        Ended::NotFormed(reason) => {
            let kept = if keep {
                options.dir.clone()
            } else {
                temporary.keep()
            };
            println!(
                "{}",
                serde_json::json!({"ok": false, "not_formed": reason, "dir": kept})
            );
            return Ok(ExitCode::FAILURE);
        }
        Ended::Done(outcome) => outcome,
    };
    if !arguments.json {
        eprint!("\n{}", outcome.lines());
    }
    if !outcome.ok() {
        if !keep {
            let _kept = temporary.keep();
        }
        eprintln!("again:  {}", outcome.command);
        eprintln!("report: {}", outcome.page().display());
    }
    println!("{}", outcome.json());
    Ok(if outcome.ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn hundred(options: &RunOptions) -> Result<ExitCode> {
    let line = |finding: &Finding| {
        let mark = if finding.ok { "ok    " } else { "FAILED" };
        eprintln!("{mark} {:<12} {}", finding.check, finding.detail);
    };
    let findings = match crowd(options, &mut { line }).await? {
        Crowded::Skipped(reason) => {
            println!("{}", serde_json::json!({"ok": false, "skipped": reason}));
            return Ok(ExitCode::from(SKIPPED));
        }
        Crowded::Done(findings) => findings,
    };
    let ok = findings.iter().all(|finding| finding.ok);
    println!("{}", serde_json::json!({"ok": ok, "crowd": findings}));
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

async fn hunt(options: &RunOptions, only: &[String]) -> Result<ExitCode> {
    let table = match planted::hunt(options, only, &mut |row| eprintln!("\n{row}")).await? {
        Hunt::Skipped(reason) => {
            println!("{}", serde_json::json!({"ok": false, "skipped": reason}));
            return Ok(ExitCode::from(SKIPPED));
        }
        Hunt::Done(table) => table,
    };
    println!("bug                      found after, by");
    for found in &table {
        println!("{}", found.row());
    }
    let ok = table.iter().all(Found::ok);
    let rows: Vec<_> = table.iter().map(Found::json).collect();
    println!("{}", serde_json::json!({"ok": ok, "planted": rows}));
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn options(arguments: &Arguments, temporary: &std::path::Path) -> Result<RunOptions> {
    use clap::ValueEnum;
    let workloads = if arguments.workload.is_empty() {
        vec![Workload::Register, Workload::Idempotent, Workload::Watch]
    } else {
        arguments.workload.clone()
    };
    let named = arguments.nemesis.iter().filter(|name| *name != "none");
    let named: Result<Vec<Kind>, String> = named.map(|name| Kind::from_str(name, true)).collect();
    let nemeses = match arguments.nemesis.as_slice() {
        [] => Kind::usual(&workloads),
        _ => named.map_err(|reason| {
            let known: Vec<_> = Kind::value_variants()
                .iter()
                .filter_map(|kind| Some(kind.to_possible_value()?.get_name().to_owned()))
                .collect();
            anyhow::anyhow!("--nemesis: {reason}; there are none, {}", known.join(", "))
        })?,
    };
    let program = match &arguments.program {
        Some(program) => program.clone(),
        None => sibling_bin_dir()?.join("krakend-cluster-manager"),
    };
    if !program.is_file() {
        bail!(
            "no {}: build it with `cargo xtask build`",
            program.display()
        );
    }
    Ok(RunOptions {
        time: arguments.time,
        seed: arguments
            .seed
            .unwrap_or_else(|| rand::random_range(1..1_000_000)),
        workloads,
        nemeses,
        managers: usize::from(arguments.managers),
        keys: usize::from(arguments.keys),
        dir: arguments
            .dir
            .clone()
            .unwrap_or_else(|| temporary.join("run")),
        program: std::fs::canonicalize(program)?,
        planted: arguments.planted_bug.clone(),
        progress: !arguments.json,
    })
}

fn duration(text: &str) -> Result<Duration> {
    let at = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let number: u64 = number.parse().context("write 90s, 10m or 2h")?;
    let seconds = match unit {
        "s" | "" => number,
        "m" => number * 60,
        "h" => number * 3_600,
        _ => bail!("the unit {unit:?} is none of s, m, h"),
    };
    if !(1..=86_400).contains(&seconds) {
        bail!("from 1 s to 24 h");
    }
    Ok(Duration::from_secs(seconds))
}

/// Ready at Ctrl-C or SIGTERM.
async fn told_to_end() {
    let mut terminate = signal(SignalKind::terminate()).ok();
    let terminated = async {
        match &mut terminate {
            Some(terminate) => terminate.recv().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
