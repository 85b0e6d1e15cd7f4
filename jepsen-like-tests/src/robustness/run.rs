use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio_util::sync::CancellationToken;

use super::checker::{self, Finding, Link, Listed, Stream};
use super::history::{Clock, Recorder};
use super::host::{Lab, LabError, Machine};
use super::nemesis::{Hands, Kind, Nemesis, plan};
use super::report::Outcome;
use super::workload::{self, Client, Clients, Reader, Server, Workload};
use super::{RunOptions, report};
use crate::http::Ask;
use crate::managers::write_secret;
use crate::wait;

/// On a busy machine a group of debug builds takes its time.
const FORM_WITHIN: Duration = Duration::from_secs(120);
/// After the last fault is healed the group must serve within this time.
const RECOVER_WITHIN: Duration = Duration::from_secs(60);
const READERS_WITHIN: Duration = Duration::from_secs(60);

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// This machine does not allow it.
    Skipped(String),
    /// The group never became ready.
    NotFormed(String),
    Done(Box<Outcome>),
}

/// What is known after the faults.
#[derive(Debug, Default)]
struct AtEnd {
    chains: Vec<Vec<Link>>,
    tokens: Vec<Vec<Listed>>,
    streams: Vec<Stream>,
    /// Index after which the readers began, and the one that they must reach.
    watched: (u64, u64),
}

/// Runs, checks, and writes history and report into the run's directory.
///
/// # Errors
/// The run could not be carried out; what the managers did wrong is in the outcome instead.
pub async fn run(options: &RunOptions) -> Result<Ended> {
    let lab = match Lab::new(options.managers) {
        Ok(lab) => lab,
        Err(LabError::NotPermitted(reason)) => return Ok(Ended::Skipped(reason)),
        Err(LabError::Broken(error)) => return Err(error.context("make hosts")),
    };
    let machines = prepare(&lab, options)?;
    let formed = form(machines).await;
    let (machines, token) = match formed {
        Ok(formed) => formed,
        Err(error) => return Ok(Ended::NotFormed(format!("{error:#}"))),
    };
    let clock = Clock::start();
    let recorder = Recorder::new(clock);
    let servers = machines.iter().map(|machine| Server {
        http: machine.http,
        starts: machine.starts(),
    });
    let clients = Clients::new(recorder.clone(), servers.collect(), &token);
    let hands = Hands::new(machines, lab.network(), clients.clone());
    let outcome = under_faults(options, &clients, &hands).await?;
    hands
        .kill(&(0..options.managers).collect::<Vec<_>>())
        .await?;
    Ok(Ended::Done(Box::new(outcome)))
}

/// Directories, settings and secret of every manager, and its disk where it has one of its own.
fn prepare(lab: &Lab, options: &RunOptions) -> Result<Vec<Machine>> {
    let dir = &options.dir;
    std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
    if std::fs::read_dir(dir)?.next().is_some() {
        bail!("{} is not empty: name a new directory", dir.display());
    }
    // Programs in a namespace start in another place.
    let dir = std::fs::canonicalize(dir)?;
    let secret = dir.join("group-secret");
    write_secret(&secret)?;
    let mut machines = (0..options.managers)
        .map(|host| {
            Machine::new(
                lab,
                host,
                &dir,
                &options.program,
                options.planted.as_deref(),
            )
        })
        .collect::<Result<Vec<_>>>()?;
    let peers: Vec<_> = machines.iter().map(Machine::manager_address).collect();
    for machine in &machines {
        machine.configure(&peers, &secret)?;
    }
    for machine in &mut machines {
        if options.nemeses.contains(&Kind::Power)
            && let Err(error) = machine.mount_disk()
        {
            eprintln!("no power loss in this run: {error:#}");
            break;
        }
    }
    Ok(machines)
}

/// Starts the managers and waits until each is ready; the admin's token.
async fn form(mut machines: Vec<Machine>) -> Result<(Vec<Machine>, String)> {
    for machine in &mut machines {
        machine.start()?;
    }
    for machine in &machines {
        ready(machine, FORM_WITHIN).await?;
    }
    let file = machines[0].admin_token();
    // Written by the control loop, a moment after the group has formed.
    let token = wait::until("the admin's token is written", FORM_WITHIN, async || {
        let read = std::fs::read_to_string(&file);
        let text = read.with_context(|| format!("read {}", file.display()))?;
        Ok(wait::Seen::Yes(text))
    })
    .await?;
    Ok((machines, token.trim().to_owned()))
}

/// The kinds that this machine allows: power losses need disks of our own.
async fn possible(options: &RunOptions, hands: &Hands) -> Vec<Kind> {
    let has_disk = hands.machines.lock().await.iter().all(Machine::has_disk);
    let kinds = options.nemeses.iter().copied();
    kinds
        .filter(|kind| *kind != Kind::Power || has_disk)
        .collect()
}

async fn ready(machine: &Machine, limit: Duration) -> Result<()> {
    let what = format!("{} is ready", machine.name);
    let server = machine.http;
    wait::until(&what, limit, async || {
        let answer = Ask::get("/readyz")
            .send(server, Duration::from_secs(2))
            .await?;
        Ok(if answer.status.is_success() {
            wait::Seen::Yes(())
        } else {
            wait::Seen::No(answer.excerpt())
        })
    })
    .await
    .with_context(|| format!("see {}", machine.log().display()))
}

async fn under_faults(options: &RunOptions, clients: &Clients, hands: &Hands) -> Result<Outcome> {
    let recorder = &clients.recorder;
    let clock = recorder.clock;
    let (clients_stop, all_stop) = (CancellationToken::new(), CancellationToken::new());
    let _ends_all = all_stop.clone().drop_guard();
    let reader_client = clients.next();
    let from = workload::barrier_write(&reader_client, FORM_WITHIN).await?;
    let readers = start_readers(options, clients, from, &all_stop);
    let supervised = tokio::spawn(hands.clone().supervise(clock, all_stop.clone()));
    let began = clock.now_ns();
    let tasks = workload::start(&options.workloads, clients, options.seed, &clients_stop);
    let time_ms = u64::try_from(options.time.as_millis())?;
    let nemeses = possible(options, hands).await;
    let steps = plan(options.seed, &nemeses, options.managers, time_ms);
    let nemesis = Nemesis::new(hands.clone(), clock);
    let progress = options.progress.then(|| {
        tokio::spawn(report::progress(
            options.time,
            recorder.clone(),
            nemesis.clone(),
        ))
    });
    let faults = async {
        nemesis.run(steps, &all_stop).await?;
        let left = options
            .time
            .saturating_sub(Duration::from_nanos(clock.now_ns() - began));
        tokio::time::sleep(left).await;
        anyhow::Ok(())
    };
    faults.await.context("carry out the faults")?;
    hands.heal().await?;
    let ended = clock.now_ns();
    if let Some(progress) = progress {
        progress.abort();
    }
    let recovered = recover(&reader_client, clients_stop, tasks).await;
    let (at_end, last) = at_end(&reader_client, &readers, from).await;
    all_stop.cancel();
    supervised.await?;
    let mut findings = vec![recovered, last, crashes(options, hands).await];
    if nemeses.contains(&Kind::Corrupt) {
        findings.push(refusals(hands).await);
    }
    findings.extend(check(options, recorder, &at_end));
    let operations = recorder.operations();
    let outcome = Outcome {
        command: options.command(),
        findings,
        counts: recorder.counts(),
        longest_unavailable_ms: checker::longest_unavailable_ms(&operations, began, ended),
        ended_by_themselves: hands.ended().await,
        bands: nemesis.bands(),
        skipped: options
            .nemeses
            .iter()
            .copied()
            .filter(|kind| !nemeses.contains(kind))
            .collect(),
        damaged: hands.damaged().await,
        dir: options.dir.clone(),
    };
    outcome.write(&operations, &at_end.streams)?;
    Ok(outcome)
}

fn start_readers(
    options: &RunOptions,
    clients: &Clients,
    from: u64,
    stop: &CancellationToken,
) -> Vec<Reader> {
    if !options.workloads.contains(&Workload::Watch) {
        return Vec::new();
    }
    (0..options.managers)
        .map(|number| {
            let rng = workload::rng(options.seed, 20_000 + number);
            Reader::start(number, clients.clone(), from, rng, stop.clone())
        })
        .collect()
}

/// Everything is healed: every manager must answer, and a write must be taken. Clients go on until then.
async fn recover(
    client: &Client,
    stop: CancellationToken,
    tasks: tokio::task::JoinSet<()>,
) -> Finding {
    let start = std::time::Instant::now();
    let again = async {
        workload::read_everywhere(client, RECOVER_WITHIN).await?;
        workload::barrier_write(client, RECOVER_WITHIN).await
    };
    let recovered = again.await;
    stop.cancel();
    tasks.join_all().await;
    match recovered {
        Ok(_) => Finding::pass("recovery", format!("{} ms", start.elapsed().as_millis())),
        Err(error) => Finding::fail("recovery", format!("{error:#}"), Vec::new()),
    }
}

/// Reads everything from everywhere.
async fn at_end(client: &Client, readers: &[Reader], from: u64) -> (AtEnd, Finding) {
    let mut found = AtEnd::default();
    let all = read_all(client, readers, from, &mut found).await;
    found.streams = readers.iter().map(Reader::so_far).collect();
    let finding = match all {
        Ok(()) => Finding::pass("final-reads", format!("{} managers", found.chains.len())),
        Err(error) => Finding::fail("final-reads", format!("{error:#}"), Vec::new()),
    };
    (found, finding)
}

async fn read_all(client: &Client, readers: &[Reader], from: u64, found: &mut AtEnd) -> Result<()> {
    let until = workload::barrier_write(client, RECOVER_WITHIN).await?;
    found.watched = (from, until);
    workload::read_everywhere(client, RECOVER_WITHIN).await?;
    for manager in 0..client.shared.servers.len() {
        found
            .chains
            .push(workload::versions(client, manager).await?);
        found.tokens.push(workload::tokens(client, manager).await?);
    }
    // Whether they arrive is for the checker to say.
    let _ = wait::until(
        "every reader has the last event",
        READERS_WITHIN,
        async || {
            let behind = readers
                .iter()
                .filter(|reader| reader.last_index() < until)
                .count();
            Ok(if behind == 0 {
                wait::Seen::Yes(())
            } else {
                wait::Seen::No(format!("{behind} do not"))
            })
        },
    )
    .await;
    Ok(())
}

fn check(options: &RunOptions, recorder: &Recorder, at_end: &AtEnd) -> Vec<Finding> {
    let operations = recorder.operations();
    let mut findings = vec![
        checker::linearizable(&operations, checker::linearizability::Budget::default()),
        checker::stale_reads(&operations),
        checker::agreement(&operations),
        checker::chain(&at_end.chains, &operations),
        checker::answers(&operations),
    ];
    if options.workloads.contains(&Workload::Idempotent) {
        findings.push(checker::idempotence(&at_end.tokens, &operations));
        findings.push(checker::replayed(&at_end.tokens, &operations));
    }
    if options.workloads.contains(&Workload::Watch) {
        let (from, until) = at_end.watched;
        findings.push(checker::watch(&at_end.streams, &operations, from, until));
    }
    findings
}

/// No manager may end unless it was killed, and none may panic, even where that was survived.
async fn crashes(options: &RunOptions, hands: &Hands) -> Finding {
    let mut complaints: Vec<String> = hands
        .ended()
        .await
        .into_iter()
        .map(|end| format!("{} ended by itself ({})", end.machine, end.how))
        .collect();
    for number in 1..=options.managers {
        let log = options.dir.join(format!("manager-{number}/log"));
        complaints.extend(panics(&log));
    }
    if complaints.is_empty() {
        return Finding::pass("no-crash", format!("{} managers", options.managers));
    }
    complaints.truncate(5);
    Finding::fail("no-crash", complaints.join("; "), Vec::new())
}

/// A manager that refuses a damaged file must say which.
async fn refusals(hands: &Hands) -> Finding {
    let damaged = hands.damaged().await;
    let silent: Vec<String> = damaged
        .iter()
        .filter(|damaged| damaged.refused.is_some() && !damaged.named)
        .map(|damaged| {
            format!(
                "{} refused to start after {} was {}, and did not name it",
                damaged.machine, damaged.file, damaged.what
            )
        })
        .collect();
    let refused = damaged.iter().filter(|damaged| damaged.refused.is_some());
    if silent.is_empty() {
        let looked_at = format!("{} refused of {} damaged", refused.count(), damaged.len());
        return Finding::pass("refusals", looked_at);
    }
    Finding::fail("refusals", silent.join("; "), Vec::new())
}

fn panics(log: &Path) -> Vec<String> {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let found = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains("panicked at"));
    found
        .map(|(at, line)| {
            let next = lines.get(at + 1).copied().unwrap_or_default();
            format!("{}: {line} {next}", log.display())
        })
        .collect()
}
