use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, http::Uri, routing::post};
use krakend_domain::{
    BackendSample, Digest, EndpointSample, GatewayKind, LogEntry, NodeId, NodeRegistration, Role,
    Sample, SampleStream, Sketch, TokenRecord,
};
use uuid::Uuid;

use super::*;

const START: Millis = 1_800_000_000_000;

struct Group {
    state: ClusterState,
    index: u64,
    now: Millis,
}

impl Group {
    fn begun() -> Self {
        let mut group = Self {
            state: ClusterState::default(),
            index: 0,
            now: START,
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
        group.apply(Command::RaiseFeatureLevel {
            level: LEVEL,
            by: "admin".into(),
        });
        group.apply(Command::RegisterNode(NodeRegistration {
            node_id: NodeId(Uuid::from_u128(3)),
            store_id: Uuid::from_u128(4),
            fleet: "default".parse().expect("a name"),
            name: "node, one".into(),
            gateway_address: String::new(),
            gossip_address: String::new(),
            gateway: GatewayKind::Embedded,
            gateway_version: String::new(),
            version: String::new(),
            lease_until_ms: u64::MAX,
        }));
        group
    }

    fn apply(&mut self, command: Command) {
        self.index += 1;
        let entry = LogEntry {
            time_ms: self.now,
            command,
        };
        let outcome = self.state.apply(self.index, &entry);
        assert!(outcome.result.is_ok(), "{:?}", outcome.result);
    }

    fn record(&mut self, seq: u64, start_ms: Millis, requests: u64) {
        let mut latency = Sketch::default();
        latency.add(5.0);
        let sample = Sample {
            seq,
            start_ms,
            end_ms: start_ms + 10_000,
            endpoints: vec![EndpointSample {
                endpoint: "/a b".into(),
                method: "GET".into(),
                status: vec![
                    (200, requests),
                    (500, 1),
                    (EndpointSample::BYTES_SENT, 100 * requests),
                ],
                latency: latency.clone(),
            }],
            backends: vec![BackendSample {
                host: "http://b".into(),
                url_pattern: "/x".into(),
                calls: requests,
                errors: 1,
                timeouts: 0,
                latency,
            }],
            connections: 1,
            memory_bytes: 1_000,
            cpu_ms: 10,
            restarts: 0,
        };
        self.apply(Command::RecordStatistics {
            node_id: NodeId(Uuid::from_u128(3)),
            stream: SampleStream(Uuid::from_u128(9)),
            samples: vec![sample],
        });
    }

    fn pass(&mut self, minutes: u64) {
        for _ in 0..minutes {
            self.now += MINUTE_MS;
            self.apply(Command::Tick);
        }
    }

    /// What a leader does once: sends the next minutes and writes down how far it is.
    async fn push(&mut self, http: &Http, settings: &InfluxSettings) -> Option<Vec<Millis>> {
        let plan = plan(&self.state)?;
        let minutes: Vec<_> = plan.late.iter().chain(&plan.minutes).copied().collect();
        let text: String = minutes
            .iter()
            .map(|it| line::minute(&self.state, *it))
            .collect();
        if !text.is_empty() {
            send(http, settings, text).await.expect("taken");
        }
        self.apply(Command::ReportExport {
            until_ms: plan.until_ms,
            late: plan.late,
            seen: self.index,
        });
        Some(minutes)
    }
}

/// A point's fields by measurement, tags and time: what InfluxDB keeps, the later of two with the same.
type Points = BTreeMap<(String, u64), BTreeMap<String, f64>>;

#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<(Points, Vec<String>)>>);

async fn take(
    State(receiver): State<Receiver>,
    headers: HeaderMap,
    uri: Uri,
    body: String,
) -> Result<StatusCode, (StatusCode, String)> {
    let mut kept = receiver.0.lock().expect("not poisoned");
    let authorization = headers.get("authorization").and_then(|it| it.to_str().ok());
    kept.1
        .push(format!("{uri} {}", authorization.unwrap_or("nobody")));
    for line in body.lines() {
        let (key, fields) = parse(line).map_err(|it| (StatusCode::BAD_REQUEST, it))?;
        kept.0.insert(key, fields);
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Series and time in nanoseconds.
type PointKey = (String, u64);

/// Splits at blanks and commas that are not escaped, as the protocol has it.
fn parse(line: &str) -> Result<(PointKey, BTreeMap<String, f64>), String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for c in line.chars() {
        match c {
            ' ' if !escaped => parts.push(String::new()),
            c => parts.last_mut().expect("one").push(c),
        }
        escaped = c == '\\' && !escaped;
    }
    let [series, fields, time] = parts.try_into().map_err(|it| format!("{it:?}"))?;
    let time = time.parse().map_err(|_| format!("time {time}"))?;
    let mut out = BTreeMap::new();
    for field in fields.split(',') {
        let (name, value) = field.split_once('=').ok_or_else(|| field.to_owned())?;
        let value = value.trim_end_matches('i');
        let value = value.parse().map_err(|_| format!("value {value}"))?;
        out.insert(name.to_owned(), value);
    }
    Ok(((series, time), out))
}

async fn receiver() -> (Receiver, String) {
    let receiver = Receiver::default();
    let router = Router::new()
        .route("/api/v2/write", post(take))
        .with_state(receiver.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
    let listener = listener.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move { axum::serve(listener, router).await });
    let url = format!("http://{address}/api/v2/write?org=a&bucket=b&precision=ms");
    (receiver, url)
}

#[tokio::test]
async fn closed_minutes_are_passed_on_once_and_changed_ones_again() {
    let (receiver, url) = receiver().await;
    let dir = tempfile::tempdir().expect("a directory");
    let token_file = dir.path().join("token");
    std::fs::write(&token_file, "very-secret\n").expect("written");
    let settings = InfluxSettings {
        url,
        token_file: Some(token_file),
        every: Duration::from_secs(1),
    };
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let mut group = Group::begun();
    let first = START - START % MINUTE_MS;
    for minute in 0..25 {
        group.record(minute + 1, first + minute * MINUTE_MS, 10);
        group.pass(1);
    }
    group.pass(5);
    let mut passed = Vec::new();
    while let Some(minutes) = group.push(&http, &settings).await {
        assert!(minutes.len() <= MINUTES_AT_ONCE);
        passed.extend(minutes);
    }
    let all: Vec<_> = (0..25).map(|minute| first + minute * MINUTE_MS).collect();
    assert_eq!(passed, all, "each minute once, in order");
    let total = |receiver: &Receiver, of: &str, field: &str| -> f64 {
        let kept = receiver.0.lock().expect("not poisoned");
        let points = kept
            .0
            .iter()
            .filter(|((series, _), _)| series.starts_with(of));
        points.map(|(_, fields)| fields[field]).sum()
    };
    for of in ["krakend_fleet", "krakend_endpoint", "krakend_node"] {
        assert_eq!(total(&receiver, of, "requests"), 275.0, "{of}");
        assert_eq!(total(&receiver, of, "bytes_sent"), 25_000.0, "{of}");
    }
    group.record(26, first + 30_000, 4);
    assert_eq!(group.push(&http, &settings).await, Some(vec![first]));
    assert_eq!(group.push(&http, &settings).await, None);
    assert_eq!(
        total(&receiver, "krakend_fleet", "requests"),
        280.0,
        "nothing is doubled"
    );
    let kept = receiver.0.lock().expect("not poisoned");
    assert!(
        kept.1
            .iter()
            .all(|it| it.ends_with("precision=ms Token very-secret"))
    );
    let series: Vec<_> = kept.0.keys().map(|(series, _)| series.as_str()).collect();
    assert!(series.contains(&"krakend_endpoint,fleet=default,endpoint=/a\\ b,method=GET"));
    assert!(
        series
            .iter()
            .any(|it| it.starts_with("krakend_node,fleet=default,node=node\\,\\ one"))
    );
    assert!(series.contains(&"krakend_backend,fleet=default,host=http://b,url_pattern=/x"));
}

#[tokio::test]
async fn a_refusal_is_told_in_the_receivers_words_and_nothing_is_written_down() {
    let (_, url) = receiver().await;
    let settings = InfluxSettings {
        url,
        token_file: None,
        every: Duration::from_secs(1),
    };
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    let refused = send(&http, &settings, "no line protocol at all".into()).await;
    let text = refused.expect_err("refused").to_string();
    assert!(text.contains("400"), "{text}");
    assert!(!text.contains("very-secret"));
}
