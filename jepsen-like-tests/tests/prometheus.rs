//! A real Prometheus finds managers and nodes by the service discovery; the rules load, and every query of the Grafana
//! board has data.

mod common;
mod group;
mod pool;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use group::{Group, LIMIT};
use jepsen_like_tests::backend::Backend;
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::managers::write_private;
use jepsen_like_tests::ports::{self, loopback};
use jepsen_like_tests::process::Process;
use jepsen_like_tests::wait::{Seen, until};
use pool::Pool;
use serde_json::{Value, json};

const NODES: usize = 2;
const PAUSE: Duration = Duration::from_millis(20);
/// Two cores, and everything in debug builds.
const SLOW: Duration = Duration::from_secs(120);

/// Where `prometheus` and `promtool` are: named, on the `PATH`, or where `cargo xtask setup` puts them.
fn programs() -> Option<PathBuf> {
    let named = std::env::var_os("PROMETHEUS_DIR").map(PathBuf::from);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).collect::<Vec<_>>();
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty());
    let cache = cache.map(PathBuf::from);
    let cache = cache.or_else(|| std::env::home_dir().map(|home| home.join(".cache")));
    let cached = cache.map(|dir| dir.join("krakend-cluster-manager/prometheus/usr/bin"));
    let all = named.into_iter().chain(on_path).chain(cached);
    all.into_iter()
        .find(|dir| dir.join("prometheus").is_file() && dir.join("promtool").is_file())
}

fn monitoring() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/monitoring")
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let one = |byte: u8| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}

struct Prometheus {
    address: SocketAddr,
    _process: Process,
}

impl Prometheus {
    /// With the example's configuration, on a faster clock.
    fn start(programs: &Path, group: &Group, token: &str) -> Result<Self> {
        let dir = group.dir.path().join("prometheus");
        std::fs::create_dir_all(&dir)?;
        let token_file = dir.join("token");
        write_private(&token_file, token)?;
        let mut text = std::fs::read_to_string(monitoring().join("prometheus.yml"))?;
        for (number, manager) in group.managers.iter().enumerate() {
            let name = format!("manager-{}.example.org:9897", number + 1);
            ensure!(text.contains(&name), "{name} is not in the example");
            text = text.replace(&name, &manager.http.to_string());
        }
        let text = text
            .replace(
                "/etc/prometheus/krakend-token",
                &token_file.display().to_string(),
            )
            .replace("15s", "1s")
            .replace("30s", "2s");
        std::fs::write(dir.join("prometheus.yml"), text)?;
        std::fs::copy(monitoring().join("rules.yml"), dir.join("rules.yml"))?;
        check(programs, &["check", "config"], &dir.join("prometheus.yml"))?;
        let address = loopback(ports::free(1)?[0]);
        let arguments = [
            format!("--config.file={}", dir.join("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", dir.join("data").display()),
            format!("--web.listen-address={address}"),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let program = programs.join("prometheus");
        let process = Process::start("prometheus", &program, &arguments, &dir.join("log"))?;
        Ok(Self {
            address,
            _process: process,
        })
    }

    async fn get(&self, path: &str) -> Result<Value> {
        let answer = Ask::get(path).send(self.address, LIMIT).await?.ok()?;
        Ok(answer.json()?["data"].clone())
    }

    async fn query(&self, query: &str) -> Result<Vec<Value>> {
        let path = format!("/api/v1/query?query={}", encoded(query));
        let data = self.get(&path).await?;
        data["result"].as_array().cloned().context("a result")
    }

    async fn targets_are_up(&self, count: usize) -> Result<()> {
        until("all targets are up", SLOW, || async {
            let data = self.get("/api/v1/targets?state=active").await?;
            let targets = data["activeTargets"].as_array().context("targets")?;
            let up = targets.iter().filter(|it| it["health"] == "up").count();
            Ok(match up == count && targets.len() == count {
                true => Seen::Yes(()),
                false => Seen::No(data.to_string()),
            })
        })
        .await
    }
}

fn check(programs: &Path, what: &[&str], file: &Path) -> Result<()> {
    let mut command = Command::new(programs.join("promtool"));
    let output = command.args(what).arg(file).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "promtool {what:?}: {said}");
    Ok(())
}

/// Requests to all nodes until it is told to stop; how many were answered by `/users/{id}`.
async fn traffic(
    nodes: Vec<SocketAddr>,
    stop: Arc<AtomicBool>,
    sent: Arc<AtomicU64>,
) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        for node in &nodes {
            Ask::get("/users/7").send(*node, LIMIT).await?.ok()?;
            sent.fetch_add(1, Ordering::Relaxed);
            let _ = Ask::get("/gone").send(*node, LIMIT).await?;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Every query of the board, with what Grafana would put in for its variables.
fn board_queries() -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(monitoring().join("grafana.json"))?;
    let board: Value = serde_json::from_str(&text)?;
    let mut out = Vec::new();
    for panel in board["panels"].as_array().context("panels")? {
        let title = panel["title"].as_str().context("a title")?;
        for target in panel["targets"].as_array().context("targets")? {
            let query = target["expr"].as_str().context("a query")?;
            let query = query
                .replace("$__rate_interval", "20s")
                .replace("$fleet", ".*");
            ensure!(
                !query.contains('$'),
                "{title}: a variable is left in {query}"
            );
            out.push((title.to_owned(), query));
        }
    }
    ensure!(out.len() >= 16, "only {} queries", out.len());
    Ok(out)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_finds_everything_counts_what_was_sent_and_fills_the_board() -> Result<()> {
    let Some(programs) = programs() else {
        common::skip("Prometheus: it is not here; `cargo xtask setup` fetches it");
        return Ok(());
    };
    check(
        &programs,
        &["check", "rules"],
        &monitoring().join("rules.yml"),
    )?;
    let group = Group::start(3).await?;
    let pool = Pool::start(&group, NODES).await?;
    pool.all_joined(LIMIT).await?;
    let ports = ports::free(2)?;
    let backend = Backend::start(ports[0]).await?;
    let document = json!({
        "version": 3,
        "host": [backend.url()],
        "endpoints": [
            {"endpoint": "/users/{id}", "backend": [{"url_pattern": "/users/{id}"}]},
            {"endpoint": "/gone", "backend": [
                {"url_pattern": "/gone", "host": [format!("http://{}", loopback(ports[1]))]},
            ]},
        ],
    });
    pool.publish_document(&group, &document).await?;
    let token = json!({ "name": "prometheus", "role": "viewer" });
    let token = group
        .ask(0, Ask::json("POST", "/v1/tokens", &token))
        .await?;
    let token = token.ok()?.json()?;
    let token = token["token"].as_str().context("a token")?.to_owned();
    let prometheus = Prometheus::start(&programs, &group, &token)?;
    let (stop, sent) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let nodes = (0..NODES).map(|at| pool.public(at)).collect();
    let load = tokio::spawn(traffic(nodes, stop.clone(), sent.clone()));
    prometheus.targets_are_up(3 + NODES).await?;
    for (title, query) in board_queries()? {
        until(&format!("{title}: {query}"), SLOW, || async {
            let found = prometheus.query(&query).await?;
            let is_number = |it: &Value| it["value"][1].as_str().is_some_and(|v| v != "NaN");
            Ok(match !found.is_empty() && found.iter().all(is_number) {
                true => Seen::Yes(()),
                false => Seen::No(format!("{found:?}")),
            })
        })
        .await?;
    }
    rules_are_evaluated(&prometheus).await?;
    stop.store(true, Ordering::Relaxed);
    load.await??;
    let sent = sent.load(Ordering::Relaxed).to_string();
    ensure!(sent != "0", "nothing was sent");
    // Each manager has every request once: the counters are the group's, not the leader's.
    let query = r#"sum by (instance) (krakend_cluster_endpoint_requests_total{endpoint="/users/{id}",code="2xx"})"#;
    until(&format!("three managers count {sent}"), SLOW, || async {
        let found = prometheus.query(query).await?;
        let exact = found.iter().filter(|it| it["value"][1] == sent.as_str());
        Ok(match found.len() == 3 && exact.count() == 3 {
            true => Seen::Yes(()),
            false => Seen::No(format!("{found:?}")),
        })
    })
    .await?;
    // What the histogram and the nodes themselves say fits to it.
    let inf = r#"max(krakend_cluster_fleet_request_duration_seconds_bucket{le="+Inf"}) == max(krakend_cluster_fleet_request_duration_seconds_count)"#;
    ensure!(
        !prometheus.query(inf).await?.is_empty(),
        "the histogram has no count"
    );
    let fleets = prometheus
        .query(r#"count by (fleet) (krakend_node_ready)"#)
        .await?;
    ensure!(
        fleets.len() == 1 && fleets[0]["metric"]["fleet"] == "default",
        "{fleets:?}"
    );
    Ok(())
}

async fn rules_are_evaluated(prometheus: &Prometheus) -> Result<()> {
    until("all rules are evaluated", SLOW, || async {
        let data = prometheus.get("/api/v1/rules").await?;
        let groups = data["groups"].as_array().context("groups")?;
        let rules = groups.iter().filter_map(|it| it["rules"].as_array());
        let rules: Vec<&Value> = rules.flatten().collect();
        let good = rules.iter().filter(|it| it["health"] == "ok").count();
        Ok(match rules.len() >= 15 && good == rules.len() {
            true => Seen::Yes(()),
            false => Seen::No(data.to_string()),
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_discovery_needs_a_token_and_takes_known_roles_only() -> Result<()> {
    let group = Group::start(1).await?;
    let path = "/v1/discovery/prometheus";
    let refused = Ask::get(path).send(group.http(0), LIMIT).await?;
    group::problem(&refused, 401, "unauthenticated")?;
    let wrong = group
        .ask(0, Ask::get(format!("{path}?role=gateway")))
        .await?;
    group::problem(&wrong, 400, "bad-role")?;
    let targets = group.ask(0, Ask::get(path)).await?.ok()?.json()?;
    let http = group.http(0).to_string();
    ensure!(targets[0]["targets"] == json!([http]), "{targets}");
    ensure!(targets[0]["labels"]["role"] == "manager", "{targets}");
    Ok(())
}
