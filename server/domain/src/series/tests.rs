mod answers;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::{
    BackendSample, ClusterState, Command, Digest, EndpointSample, GatewayKind, LogEntry,
    NodeRegistration, RecordKey, Role, Sample, SampleStream, Sketch, TokenRecord,
};

/// A full hour.
const START: Millis = 1_800_000_000_000 / HOUR_MS * HOUR_MS;

struct Group {
    state: ClusterState,
    index: u64,
    now: Millis,
    seq: u64,
}

impl Group {
    fn begun() -> Self {
        let mut group = Self {
            state: ClusterState::default(),
            index: 0,
            now: START,
            seq: 0,
        };
        group.apply(Command::Bootstrap {
            group_id: Uuid::from_u128(1),
            first_token: TokenRecord {
                id: Uuid::from_u128(2),
                name: "admin".into(),
                role: Role::Admin,
                sha256: Digest([7; 32]),
                created_by: "bootstrap".into(),
                expires_ms: None,
            },
        });
        for node in 1..=2 {
            group.apply(Command::RegisterNode(NodeRegistration {
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
            }));
        }
        group
    }

    fn at_level_5() -> Self {
        let mut group = Self::begun();
        group.raise();
        group
    }

    fn raise(&mut self) {
        self.apply(Command::RaiseFeatureLevel {
            level: 5,
            by: "admin".into(),
        });
    }

    fn apply(&mut self, command: Command) -> crate::Outcome {
        self.index += 1;
        let entry = LogEntry {
            time_ms: self.now,
            command,
        };
        let outcome = self.state.apply(self.index, &entry);
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
        outcome
    }

    /// A node's sample that began at `start_ms`.
    fn record(&mut self, node: u128, start_ms: Millis, endpoints: Vec<EndpointSample>) {
        self.seq += 1;
        let sample = Sample {
            seq: self.seq,
            start_ms,
            end_ms: start_ms + 10_000,
            endpoints,
            backends: vec![BackendSample {
                host: "http://b".into(),
                url_pattern: "/x".into(),
                calls: 3,
                errors: 1,
                timeouts: 1,
                latency: latency(&[4.0]),
            }],
            connections: 5,
            memory_bytes: 1 << 20,
            cpu_ms: 1_000,
            restarts: 0,
        };
        self.apply(Command::RecordStatistics {
            node_id: id(node),
            stream: SampleStream(Uuid::from_u128(9)),
            samples: vec![sample],
        });
    }

    /// A tick each minute, as an idle group has them.
    fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        while self.now < until {
            self.now = (self.now + MINUTE_MS).min(until);
            self.apply(Command::Tick);
        }
    }

    fn ask(&self, range_ms: u64) -> StatisticsAnswer {
        query_statistics(&self.state, &self.asked(range_ms))
    }

    fn asked(&self, range_ms: u64) -> StatisticsQuery {
        let to = self.now + MINUTE_MS;
        let from = to.saturating_sub(range_ms + MINUTE_MS);
        let (from_ms, to_ms, step_ms) = plan_step((from, to), None, self.now).expect("a range");
        StatisticsQuery {
            fleet: FleetName::default_fleet(),
            node: None,
            endpoint: None,
            method: None,
            backend: None,
            from_ms,
            to_ms,
            step_ms,
            top: None,
            order: Order::Requests,
        }
    }

    /// What the state takes must follow from what it holds, or managers would drop different windows.
    fn check_bytes(&self) {
        let read = ClusterState::from_records(self.state.records()).expect("readable");
        assert_eq!(read.series_bytes(), self.state.series_bytes());
        assert_eq!(read.series_meta(), self.state.series_meta());
        assert!(read.records().eq(self.state.records()));
    }
}

fn id(number: u128) -> NodeId {
    NodeId(Uuid::from_u128(number))
}

fn latency(values: &[f64]) -> Sketch {
    let mut sketch = Sketch::default();
    for value in values {
        sketch.add(*value);
    }
    sketch
}

fn endpoint(name: &str, status: &[(u16, u64)], values: &[f64]) -> EndpointSample {
    EndpointSample {
        endpoint: name.into(),
        method: "GET".into(),
        status: status.to_vec(),
        latency: latency(values),
    }
}

fn one(name: &str, requests: u64) -> Vec<EndpointSample> {
    vec![endpoint(name, &[(200, requests)], &[5.0])]
}

#[test]
fn a_month_keeps_every_request_though_the_windows_change() {
    let mut group = Group::at_level_5();
    for (sent, day) in (0..28).enumerate() {
        group.record(1, group.now, one("/a", 10));
        group.record(2, group.now, one("/b", 1));
        assert_eq!(
            group.ask(30 * 24 * HOUR_MS).total.requests(),
            11 * (sent as u64 + 1),
            "day {day}"
        );
        group.pass(24 * HOUR_MS);
    }
    let answer = group.ask(30 * 24 * HOUR_MS);
    let nodes: Vec<_> = answer.nodes.iter().map(|it| it.merged.requests()).collect();
    assert_eq!(nodes, [280, 28]);
    assert_eq!(answer.steps.len(), 28, "one hour of each day");
    assert!(
        group
            .state
            .windows_from(Tier::NodeDetail, 0)
            .next()
            .is_none()
    );
    let oldest = group.state.windows_from(Tier::FleetMinute, 0).next();
    assert!(oldest.is_none_or(|(key, _)| key.start_ms + 24 * HOUR_MS >= group.now));
    group.check_bytes();
    group.pass(31 * 24 * HOUR_MS);
    assert_eq!(group.ask(30 * 24 * HOUR_MS).total.requests(), 0);
    let left: Vec<_> = group.state.windows_from(Tier::FleetTotal, 0).collect();
    assert_eq!(left.len(), 1, "counters for Prometheus never go back");
    assert_eq!(group.state.series_count(), 1);
}

#[test]
fn a_sample_that_comes_hours_late_is_in_its_minute_and_in_its_hour_once() {
    let mut group = Group::at_level_5();
    group.record(1, START, one("/a", 1));
    group.pass(5 * HOUR_MS);
    group.record(1, START + 10_000, one("/a", 10));
    group.pass(HOUR_MS);
    assert_eq!(group.ask(7 * HOUR_MS).total.requests(), 11);
    assert_eq!(group.ask(7 * HOUR_MS).endpoints[0].merged.requests(), 11);
    let mut hours = group.asked(48 * HOUR_MS);
    hours.step_ms = HOUR_MS;
    assert_eq!(query_statistics(&group.state, &hours).total.requests(), 11);
    let total = SeriesKey::of_fleet(Tier::FleetTotal, 0, &FleetName::default_fleet());
    let total = group.state.series(&total).expect("a total");
    let mut all = Merged::default();
    all.add(&total.find(Kind::Total, "", "").expect("there"));
    assert_eq!(all.requests(), 11);
}

#[test]
fn a_node_with_a_clock_far_ahead_fills_no_window_that_never_runs_out() {
    let mut group = Group::at_level_5();
    group.record(1, START + 400 * 24 * HOUR_MS, one("/a", 1));
    assert_eq!(group.ask(HOUR_MS).total.requests(), 1);
    group.pass(32 * 24 * HOUR_MS);
    assert_eq!(group.state.series_count(), 1, "the fleet's total alone");
}

#[test]
fn what_was_stored_at_level_4_is_answered_before_and_after_the_level_is_raised() {
    let mut group = Group::begun();
    for minute in 0..100 {
        group.record(1, group.now, one("/a", 1));
        group.record(2, group.now, one("/a", 2));
        assert_eq!(group.ask(3 * HOUR_MS).total.requests(), 3 * (minute + 1));
        group.pass(MINUTE_MS);
    }
    assert_eq!(group.state.series_count(), 0);
    group.raise();
    // The windows are taken over in steps, and every answer between them is whole.
    let fleet = FleetName::default_fleet();
    let mut left = group.state.windows(&fleet, 0, u64::MAX).count();
    assert_eq!(left, 200);
    while left > 0 {
        group.apply(Command::Tick);
        let now = group.state.windows(&fleet, 0, u64::MAX).count();
        assert!(now < left && left - now <= 32, "{left} {now}");
        left = now;
        let answer = group.ask(3 * HOUR_MS);
        assert_eq!(answer.total.requests(), 300);
        assert_eq!(answer.endpoints[0].merged.requests(), 300);
        assert_eq!(answer.nodes[1].merged.requests(), 200);
        group.check_bytes();
    }
    let mut hours = group.asked(3 * HOUR_MS);
    hours.step_ms = HOUR_MS;
    assert_eq!(query_statistics(&group.state, &hours).total.requests(), 300);
}

#[test]
fn above_the_limit_the_oldest_windows_go_and_the_total_stays() {
    let mut group = Group::at_level_5();
    let many = |requests| -> Vec<_> {
        let names = (0..200).map(|at| format!("/endpoint/{at}"));
        names
            .map(|name| endpoint(&name, &[(200, requests)], &[5.0, 80.0]))
            .collect()
    };
    group.apply(Command::SetStatisticsLimit {
        max_bytes: 1 << 20,
        by: "manager-1".into(),
    });
    for _ in 0..180 {
        group.record(1, group.now, many(1));
        group.pass(MINUTE_MS);
        assert!(group.state.series_bytes() < (1 << 20) + 40_000);
    }
    assert!(group.state.series_meta().evicted > 0);
    let newest = group.ask(HOUR_MS);
    assert!(newest.total.requests() > 0, "the newest windows stay");
    let oldest = group.state.windows_from(Tier::FleetMinute, 0).next();
    assert!(oldest.is_some_and(|(key, _)| key.start_ms > START));
    let total = SeriesKey::of_fleet(Tier::FleetTotal, 0, &FleetName::default_fleet());
    assert!(group.state.series(&total).is_some());
    group.check_bytes();
}

#[test]
fn a_tick_does_a_bounded_piece_of_work_and_catches_up() {
    let mut group = Group::at_level_5();
    for minute in 0..120 {
        group.record(1, START + minute * MINUTE_MS, one("/a", 1));
        group.now += MINUTE_MS;
    }
    // Two hours without a tick: 118 minutes wait.
    let mut ticks = 0;
    while group.state.series_meta().folded_until_ms + 3 * MINUTE_MS < group.now {
        let outcome = group.apply(Command::Tick);
        let hours =
            |it: &&RecordKey| matches!(it, RecordKey::Series(key) if key.tier == Tier::FleetHour);
        assert!(outcome.changed.iter().filter(hours).count() <= 2);
        ticks += 1;
    }
    assert!((7..=9).contains(&ticks), "{ticks}");
    assert_eq!(group.ask(3 * HOUR_MS).total.requests(), 120);
}

#[test]
fn what_changes_after_it_was_passed_on_is_passed_on_again() {
    let mut group = Group::at_level_5();
    group.record(1, START, one("/a", 1));
    group.pass(10 * MINUTE_MS);
    group.record(1, START + 1_000, one("/a", 1));
    assert!(
        group.state.series_meta().late.is_empty(),
        "nobody passes on"
    );
    let report = |until_ms, late, seen| Command::ReportExport {
        until_ms,
        late,
        seen,
    };
    group.apply(report(START + 5 * MINUTE_MS, vec![], group.index));
    group.record(1, START + 60_000, one("/a", 1));
    let seen = group.index;
    group.record(1, START + 70_000, one("/a", 1));
    let late = |group: &Group| -> Vec<Millis> {
        let late = group.state.series_meta().late.iter();
        late.map(|(minute, _)| *minute).collect()
    };
    assert_eq!(late(&group), [START + 60_000]);
    group.apply(report(0, vec![START + 60_000], seen));
    assert_eq!(
        late(&group),
        [START + 60_000],
        "it changed after it was read"
    );
    group.apply(report(0, vec![START + 60_000], seen + 1));
    assert!(late(&group).is_empty());
    assert_eq!(
        group.state.series_meta().exported_until_ms,
        START + 5 * MINUTE_MS
    );
}

proptest! {
    /// Merging is what every figure rests on: order and grouping must not matter, and nothing may be lost.
    #[test]
    fn merging_packed_windows_is_adding(parts in prop::collection::vec(
        prop::collection::vec((0_u8..6, 200_u16..600, 1_u64..1_000, 0.0_f64..1e7), 0..8), 1..6)
    ) {
        let packed: Vec<Packed> = parts.iter().map(|rows| {
            let endpoints = rows.iter().map(|(name, code, count, ms)| {
                endpoint(&format!("/{name}"), &[(*code, *count)], &[*ms])
            });
            Packed::of_sample(&Sample {
                seq: 1, start_ms: 0, end_ms: 10, endpoints: endpoints.collect(), backends: vec![],
                connections: 1, memory_bytes: 1, cpu_ms: 1, restarts: 1,
            })
        }).collect();
        let empty = Packed::default();
        let left = packed.iter().fold(empty.clone(), |sum, it| sum.merge(it));
        let right = packed.iter().rev().fold(empty, |sum, it| it.merge(&sum));
        prop_assert_eq!(&left, &right);
        let (mut requests, mut measured) = (0, 0);
        for cells in left.series().filter(|it| it.kind == Kind::Endpoint) {
            let mut merged = Merged::default();
            merged.add(&cells);
            requests += merged.requests();
            measured += merged.measured();
        }
        let sent: u64 = parts.iter().flatten().map(|row| row.2).sum();
        prop_assert_eq!(requests, sent);
        prop_assert_eq!(measured, parts.iter().flatten().count() as u64);
        prop_assert_eq!(left.header().covered_ms, 10 * parts.len() as u64);
    }
}

proptest! {
    /// One pass over two orders must find what looking at everything finds, whatever either side lacks.
    #[test]
    fn chosen_endpoints_are_found_in_one_pass(
        held in prop::collection::btree_set((0_u8..12, 0_u8..3), 0..16),
        chosen in prop::collection::btree_set((0_u8..12, 0_u8..3), 0..8),
    ) {
        let text = |(name, method): &(u8, u8)| (format!("/{name}"), format!("M{method}"));
        let mut endpoints: Vec<EndpointSample> = Vec::new();
        for key in &held {
            let (first, second) = text(key);
            endpoints.push(EndpointSample { method: second, ..endpoint(&first, &[(200, 1)], &[1.0]) });
        }
        let packed = Packed::of_sample(&Sample {
            seq: 1, start_ms: 0, end_ms: 10, endpoints,
            backends: vec![BackendSample {
                host: "/1".into(), url_pattern: "M1".into(), calls: 1, errors: 0, timeouts: 0,
                latency: Sketch::default(),
            }],
            connections: 1, memory_bytes: 1, cpu_ms: 1, restarts: 1,
        });
        let names: std::collections::BTreeSet<(String, String)> = chosen.iter().map(text).collect();
        let wanted: Vec<(&str, &str, usize)> = names.iter().enumerate()
            .map(|(at, (first, second))| (first.as_str(), second.as_str(), at)).collect();
        let found: Vec<(usize, &str, &str)> = packed.endpoints(&wanted)
            .map(|(at, cells)| (at, cells.first, cells.second)).collect();
        let expected: Vec<(usize, &str, &str)> = packed.series()
            .filter(|cells| cells.kind == Kind::Endpoint)
            .filter_map(|cells| {
                let at = wanted.iter().position(|it| (it.0, it.1) == (cells.first, cells.second))?;
                Some((at, cells.first, cells.second))
            }).collect();
        prop_assert_eq!(found, expected);
    }
}
