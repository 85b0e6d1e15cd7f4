//! `statistics`: an hour of a large fleet applied to a state, as the log would, and its windows repeated for a month. What it
//! takes, and how long questions take.
//! There is no network and no disk: this is the state machine alone.

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Result, ensure};
use krakend_domain::{
    BackendSample, ClusterState, Command, Digest, EndpointSample, FleetName, GatewayKind, LogEntry,
    MINUTE_MS, NodeId, NodeRegistration, Order, RecordKey, Role, Sample, SampleStream, Sketch,
    StatisticsQuery, Tier, TokenRecord, plan_step, query_statistics,
};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use uuid::Uuid;

use crate::args::StatisticsArguments;

const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;
/// Requests to each endpoint of each node in a minute.
const REQUESTS: u64 = 20;
/// Different samples that are made; nodes and minutes take turns.
const VARIANTS: usize = 32;
const RUNS: usize = 15;

/// What was measured.
#[derive(Debug, Serialize)]
pub struct StatisticsReport {
    pub nodes: u32,
    pub endpoints: u32,
    pub debug_build: bool,
    /// What the state's windows take after so many days.
    pub bytes_by_day: BTreeMap<u32, u64>,
    pub bytes_by_tier: BTreeMap<String, (u64, u64)>,
    pub windows: u64,
    pub evicted: u64,
    /// Applying one sample of a node, in microseconds.
    pub apply_us: Figures,
    /// Applying one tick, in milliseconds.
    pub tick_ms: Figures,
    /// Answering, in milliseconds.
    pub query_ms: BTreeMap<String, Figures>,
}

/// Of several runs.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Figures {
    pub median: f64,
    pub max: f64,
}

impl Figures {
    fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        Self {
            median: values.get(values.len() / 2).copied().unwrap_or(0.0),
            max: values.last().copied().unwrap_or(0.0),
        }
    }
}

struct World {
    state: ClusterState,
    index: u64,
    now: u64,
    seq: u64,
    apply_us: Vec<f64>,
    tick_ms: Vec<f64>,
}

/// Measures and prints what came of it.
///
/// # Errors
/// The state refuses what it must take.
pub fn run(arguments: &StatisticsArguments) -> Result<()> {
    let mut random = StdRng::seed_from_u64(1);
    let mut world = World::begun(arguments.nodes)?;
    let minutes: Vec<Sample> = variants(arguments, REQUESTS, &mut random);
    let first = world.now;
    for minute in 0..60 {
        world.all_nodes(arguments.nodes, &minutes)?;
        world.pass(MINUTE_MS)?;
        if minute % 10 == 9 {
            eprintln!("minute {minute}: {} MiB", world.state.series_bytes() >> 20);
        }
    }
    // Into its hour, too, as the next minutes' ticks would.
    world.pass(3 * MINUTE_MS)?;
    let mut bytes_by_day = BTreeMap::new();
    for day in [1, 2, 7, 14, 30] {
        if day < arguments.days {
            let state = repeated(&world.state, first, u64::from(day) * 24)?;
            bytes_by_day.insert(day, state.series_bytes());
        }
    }
    let days = arguments.days;
    world.state = repeated(&world.state, first, u64::from(days) * 24)?;
    bytes_by_day.insert(days, world.state.series_bytes());
    let report = StatisticsReport {
        nodes: arguments.nodes,
        endpoints: arguments.endpoints,
        debug_build: cfg!(debug_assertions),
        bytes_by_day,
        bytes_by_tier: by_tier(&world.state),
        windows: world.state.series_count() as u64,
        evicted: world.state.series_meta().evicted,
        apply_us: Figures::of(std::mem::take(&mut world.apply_us)),
        tick_ms: Figures::of(std::mem::take(&mut world.tick_ms)),
        query_ms: queries(&world, arguments),
    };
    match arguments.json {
        true => println!("{}", serde_json::to_string(&report)?),
        false => println!("{}", serde_json::to_string_pretty(&report)?),
    }
    Ok(())
}

/// The same hour again and again, ending with the one that was simulated: every window is one that the state made itself,
/// at another time. Windows that would have run out are left out.
fn repeated(state: &ClusterState, first: u64, hours: u64) -> Result<ClusterState> {
    let mut records = Vec::new();
    for (key, value) in state.records() {
        let RecordKey::Series(key) = RecordKey::from_bytes(&key)? else {
            records.push((key, value));
            continue;
        };
        let kept_ms = key.tier.keep_ms().unwrap_or(0);
        for hour in 0..hours {
            let back_ms = hour * HOUR_MS;
            // The hour that the ticks have begun is the same one again.
            let other = key.tier != Tier::FleetTotal && key.start_ms >= first + HOUR_MS;
            if hour > 0 && (other || back_ms >= kept_ms) {
                continue;
            }
            let mut moved = key.clone();
            moved.start_ms = key.start_ms.saturating_sub(back_ms);
            records.push((RecordKey::Series(moved).to_bytes(), value.clone()));
        }
    }
    Ok(ClusterState::from_records(records)?)
}

fn by_tier(state: &ClusterState) -> BTreeMap<String, (u64, u64)> {
    let tiers = [
        Tier::NodeDetail,
        Tier::NodeMinute,
        Tier::FleetMinute,
        Tier::NodeHour,
        Tier::FleetHour,
        Tier::FleetTotal,
    ];
    let sum = |tier| {
        let windows = state.windows_from(tier, 0);
        windows.fold((0, 0), |(count, bytes), (_, it)| {
            (count + 1, bytes + it.len())
        })
    };
    tiers.map(|tier| (format!("{tier:?}"), sum(tier))).into()
}

fn queries(world: &World, arguments: &StatisticsArguments) -> BTreeMap<String, Figures> {
    let node = Some(id(u128::from(arguments.nodes / 2 + 1)));
    let asked = [
        ("fleet, 1 hour", HOUR_MS, None, None, None),
        ("fleet, 24 hours", DAY_MS, None, None, None),
        ("fleet, 24 hours, top 10", DAY_MS, None, None, Some(10)),
        ("one endpoint, 24 hours", DAY_MS, None, Some(7), None),
        ("one node, 1 hour", HOUR_MS, node, None, None),
        ("one node, 24 hours", DAY_MS, node, None, None),
        ("fleet, 30 days", 30 * DAY_MS, None, None, None),
    ];
    let mut out = BTreeMap::new();
    for (name, range, node, endpoint, top) in asked {
        let mut times = Vec::new();
        for _ in 0..RUNS {
            let Ok((from_ms, to_ms, step_ms)) =
                plan_step((world.now - range, world.now), None, world.now)
            else {
                continue;
            };
            let query = StatisticsQuery {
                fleet: FleetName::default_fleet(),
                node,
                endpoint: endpoint.map(name_of),
                method: None,
                backend: None,
                from_ms,
                to_ms,
                step_ms,
                top,
                order: Order::Requests,
            };
            let began = Instant::now();
            let answer = query_statistics(&world.state, &query);
            times.push(began.elapsed().as_secs_f64() * 1e3);
            std::hint::black_box(answer);
        }
        out.insert(name.to_owned(), Figures::of(times));
    }
    out
}

fn id(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

fn name_of(at: u32) -> String {
    format!("/v1/resource-{at:03}/{{id}}/items")
}

/// Log-normal latencies of other medians for each endpoint.
fn latency(median_ms: f64, requests: u64, random: &mut StdRng) -> Sketch {
    let mut sketch = Sketch::default();
    for _ in 0..requests {
        // The sum of twelve uniform numbers is normal enough.
        let normal = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        sketch.add(median_ms * (0.5 * normal).exp());
    }
    sketch
}

fn variants(arguments: &StatisticsArguments, requests: u64, random: &mut StdRng) -> Vec<Sample> {
    (0..VARIANTS)
        .map(|_| Sample {
            seq: 0,
            start_ms: 0,
            end_ms: 0,
            endpoints: (0..arguments.endpoints)
                .map(|at| EndpointSample {
                    endpoint: name_of(at),
                    method: "GET".into(),
                    status: vec![(200, requests - 2), (404, 1), (500, 1)],
                    latency: latency(2.0 + f64::from(at), requests, random),
                })
                .collect(),
            backends: (0..arguments.endpoints)
                .map(|at| BackendSample {
                    host: "http://backend.example.org:8000".into(),
                    url_pattern: name_of(at),
                    calls: requests,
                    errors: 1,
                    timeouts: 0,
                    latency: latency(1.5 + f64::from(at), requests, random),
                })
                .collect(),
            connections: 40,
            memory_bytes: 90 << 20,
            cpu_ms: 9_000,
            restarts: 0,
        })
        .collect()
}

impl World {
    fn begun(nodes: u32) -> Result<Self> {
        let mut world = Self {
            state: ClusterState::default(),
            index: 0,
            now: 1_800_000_000_000 / DAY_MS * DAY_MS,
            seq: 0,
            apply_us: Vec::new(),
            tick_ms: Vec::new(),
        };
        let first_token = TokenRecord {
            id: Uuid::from_u128(1),
            name: "admin".into(),
            role: Role::Admin,
            sha256: Digest([7; 32]),
            created_by: "bench".into(),
            expires_ms: None,
        };
        world.apply(Command::Bootstrap {
            group_id: Uuid::from_u128(1),
            first_token,
        })?;
        world.apply(Command::RaiseFeatureLevel {
            level: krakend_domain::FEATURE_LEVEL,
            by: "bench".into(),
        })?;
        world.apply(Command::InstallLicense(license(nodes)))?;
        for node in 1..=u128::from(nodes) {
            world.apply(Command::RegisterNode(NodeRegistration {
                node_id: id(node),
                store_id: Uuid::from_u128(node),
                fleet: FleetName::default_fleet(),
                name: format!("node-{node}"),
                gateway_address: String::new(),
                gossip_address: String::new(),
                gateway: GatewayKind::Embedded,
                gateway_version: String::new(),
                version: String::new(),
                lease_until_ms: u64::MAX,
            }))?;
        }
        Ok(world)
    }

    fn apply(&mut self, command: Command) -> Result<()> {
        self.index += 1;
        let entry = LogEntry {
            time_ms: self.now,
            command,
        };
        let outcome = self.state.apply(self.index, &entry);
        ensure!(outcome.result.is_ok(), "refused: {:?}", outcome.result);
        Ok(())
    }

    fn all_nodes(&mut self, nodes: u32, variants: &[Sample]) -> Result<()> {
        for node in 1..=nodes {
            self.seq += 1;
            let mut sample = variants[(self.seq % variants.len() as u64) as usize].clone();
            (sample.seq, sample.start_ms) = (self.seq, self.now);
            sample.end_ms = self.now + MINUTE_MS;
            let command = Command::RecordStatistics {
                node_id: id(u128::from(node)),
                stream: SampleStream(Uuid::from_u128(9)),
                samples: vec![sample],
            };
            let began = Instant::now();
            self.apply(command)?;
            self.apply_us.push(began.elapsed().as_secs_f64() * 1e6);
        }
        Ok(())
    }

    fn pass(&mut self, ms: u64) -> Result<()> {
        for _ in 0..ms / MINUTE_MS {
            self.now += MINUTE_MS;
            let began = Instant::now();
            self.apply(Command::Tick)?;
            self.tick_ms.push(began.elapsed().as_secs_f64() * 1e3);
        }
        Ok(())
    }
}

fn license(nodes: u32) -> krakend_domain::LicenseRecord {
    krakend_domain::LicenseRecord {
        claims: krakend_domain::Claims {
            subscriber: "bench".into(),
            level: "business".into(),
            max_nodes: nodes,
            features: vec![],
            not_before_ms: 0,
            expires_ms: u64::MAX,
            grace_days: Some(1),
        },
        token: "bench".into(),
        installed_by: "bench".into(),
        installed_ms: 0,
    }
}
