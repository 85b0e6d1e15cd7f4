//! One run from the first start to the report.

mod ending;
pub(super) mod forming;
mod processes;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio_util::sync::CancellationToken;

use super::checker::{self, Finding};
use super::fleet::{self, Fleet};
use super::history::{Clock, Recorder};
use super::host::{Lab, LabError, Machine};
use super::nemesis::{Hands, Kind, Nemesis, hosts, plan};
use super::packets::{Member, Packets};
use super::report::Outcome;
use super::workload::{self, Client, Clients, Reader, Server, Workload};
use super::{RunOptions, report};
use ending::{AtEnd, at_end, recover};
use forming::{FORM_WITHIN, form, prepare};
use processes::{crashes, refusals};

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// This machine does not allow it.
    Skipped(String),
    /// The group never became ready.
    NotFormed(String),
    Done(Box<Outcome>),
}

/// Runs, checks, and writes history and report into the run's directory.
///
/// # Errors
/// The run could not be carried out; what the managers did wrong is in the outcome instead.
pub async fn run(options: &RunOptions) -> Result<Ended> {
    let managers = hosts(&options.nemeses, options.managers);
    let lab = match Lab::new(managers + fleet::hosts(&options.workloads)) {
        Ok(lab) => lab,
        Err(LabError::NotPermitted(reason)) => return Ok(Ended::Skipped(reason)),
        Err(LabError::Broken(error)) => return Err(error.context("make hosts")),
    };
    let packets = attacker(&lab, options, managers);
    let prepared = prepare(&lab, options)?;
    let formed = form(prepared.machines).await;
    let (machines, token) = match formed {
        Ok(formed) => formed,
        Err(error) => return Ok(Ended::NotFormed(format!("{error:#}"))),
    };
    let clock = Clock::start();
    let recorder = Recorder::new(clock);
    let servers = machines.iter().map(|machine| Server {
        http: machine.http,
        starts: machine.starts(),
        member: Arc::new(AtomicBool::new(machine.deployed)),
    });
    let clients = Clients::new(recorder.clone(), servers.collect(), &token, options.keys);
    let network = lab.network();
    let secret = prepared.secret.clone();
    let hands = Hands::new(machines, network.clone(), clients.clone(), prepared.secret);
    let reader = clients.next();
    let ready = async {
        workload::make_fleets(&reader, FORM_WITHIN).await?;
        workload::barrier_write(&reader, FORM_WITHIN).await
    };
    let from = match ready.await {
        Ok(index) => index,
        Err(error) => return Ok(Ended::NotFormed(format!("{error:#}"))),
    };
    let fleet = match fleet::hosts(&options.workloads) {
        0 => None,
        _ => {
            let group = (&clients, secret.as_path());
            Some(Fleet::start((&lab, network), options, group, managers).await?)
        }
    };
    let others = (fleet.as_ref(), packets.as_ref());
    let outcome = under_faults(options, &clients, (&hands, others), (&reader, from)).await?;
    hands.kill(&hands.deployed().await).await?;
    Ok(Ended::Done(Box::new(outcome)))
}

/// Who sends packets, where that is asked for and allowed.
fn attacker(lab: &Lab, options: &RunOptions, managers: usize) -> Option<Packets> {
    if !options.nemeses.contains(&Kind::Packets) {
        return None;
    }
    let hosts = managers + fleet::hosts(&options.workloads);
    let hosts = (0..hosts).map(|host| lab.address(host)).collect();
    let packets = Packets::new(lab.outside(), hosts);
    packets
        .inspect_err(|error| eprintln!("no false packets in this run: {error:#}"))
        .ok()
}

/// The kinds that this machine allows: power losses need disks of our own.
async fn possible(options: &RunOptions, hands: &Hands, packets: bool) -> Vec<Kind> {
    let has_disk = hands.machines.lock().await.iter().all(Machine::has_disk);
    let kinds = options.nemeses.iter().copied();
    kinds
        .filter(|kind| *kind != Kind::Power || has_disk)
        .filter(|kind| *kind != Kind::Packets || packets)
        .collect()
}

/// Faults, healing and checks. The last: the client that wrote first, and the log index of that.
async fn under_faults(
    options: &RunOptions,
    clients: &Clients,
    (hands, (fleet, packets)): (&Hands, (Option<&Fleet>, Option<&Packets>)),
    (reader_client, from): (&Client, u64),
) -> Result<Outcome> {
    let recorder = &clients.recorder;
    let clock = recorder.clock;
    let (clients_stop, all_stop) = (CancellationToken::new(), CancellationToken::new());
    let _ends_all = all_stop.clone().drop_guard();
    let readers = start_readers(options, clients, from, &all_stop);
    let supervised = tokio::spawn(hands.clone().supervise(clock, all_stop.clone()));
    let began = clock.now_ns();
    let tasks = workload::start(&options.workloads, clients, options.seed, &clients_stop);
    let (fleet_stop, trouble) = (CancellationToken::new(), fleet);
    let _ends_fleet = fleet_stop.clone().drop_guard();
    let trouble = trouble.map(|it| it.trouble(options.time, clock, fleet_stop.clone()));
    let time_ms = u64::try_from(options.time.as_millis())?;
    let nemeses = possible(options, hands, packets.is_some()).await;
    let packets_stop = CancellationToken::new();
    let _ends_packets = packets_stop.clone().drop_guard();
    if let Some(packets) = packets {
        tokio::spawn(packets.clone().run(options.seed, packets_stop.clone()));
    }
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
        nemesis.run(steps, options.time, &all_stop).await?;
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
    let recovered = recover(reader_client, clients_stop, tasks).await;
    let members = hands.settle().await?;
    let mut of_nodes = Vec::new();
    if let Some(fleet) = fleet {
        fleet.heal().await?;
        of_nodes.push(fleet.converge().await?);
        if fleet.seen_leases().is_some() {
            of_nodes.push(fleet.licensed_again().await);
        }
    }
    packets_stop.cancel();
    if let Some(packets) = packets {
        let members = members_of_gossip(hands, fleet).await?;
        of_nodes.push(packets.verify(&members, clients).await);
    }
    fleet_stop.cancel();
    if let Some(trouble) = trouble {
        trouble.join_all().await;
    }
    let (at_end, last) = at_end(reader_client, &readers, from, recovered.ok).await;
    all_stop.cancel();
    supervised.await?;
    let mut findings = vec![recovered, members, last, crashes(hands).await];
    if nemeses.contains(&Kind::Corrupt) {
        findings.push(refusals(hands).await);
    }
    findings.extend(check(options, recorder, &at_end));
    if let Some(fleet) = fleet {
        let told: Vec<_> = at_end.streams.first().map_or_else(Vec::new, told);
        of_nodes.push(checker::seats(&told, &fleet.shown(), fleet.limit));
        of_nodes.push(checker::stories(&told));
        if let Some(seen) = fleet.seen_leases() {
            of_nodes.push(checker::leases(&seen, fleet::LEASE_MS));
        }
        fleet.write(&options.dir)?;
    }
    findings.extend(of_nodes);
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

/// Everybody who gossips.
async fn members_of_gossip(hands: &Hands, fleet: Option<&Fleet>) -> Result<Vec<Member>> {
    let machines = hands.machines.lock().await;
    let managers = machines.iter().filter(|machine| machine.deployed);
    let mut members: Vec<_> = managers
        .map(|machine| Member::new(&machine.name, machine.http))
        .collect();
    if let Some(fleet) = fleet {
        let nodes = fleet.members().await?;
        members.extend(nodes.iter().map(|(name, api)| Member::new(name, *api)));
    }
    Ok(members)
}

fn start_readers(
    options: &RunOptions,
    clients: &Clients,
    from: u64,
    stop: &CancellationToken,
) -> Vec<Reader> {
    let nodes = fleet::hosts(&options.workloads) > 0;
    let count = match options.workloads.contains(&Workload::Watch) {
        true => options.managers,
        // What the trail says of nodes is checked, too.
        false => usize::from(nodes),
    };
    (0..count)
        .map(|number| {
            let rng = workload::rng(options.seed, 20_000 + number);
            Reader::start(number, clients.clone(), from, rng, stop.clone())
        })
        .collect()
}

/// What the trail says of nodes. Their names are the first word of each message.
fn told(stream: &checker::Stream) -> Vec<checker::Told> {
    let of_nodes = stream
        .events
        .iter()
        .filter(|it| it.kind.starts_with("node_"));
    let told = of_nodes.map(|event| checker::Told {
        index: event.index,
        position: u64::from(event.position),
        kind: event.kind.clone(),
        node: event
            .message
            .split(' ')
            .next()
            .unwrap_or_default()
            .to_owned(),
    });
    told.collect()
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
