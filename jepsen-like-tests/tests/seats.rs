//! Seats and life cycle with real managers and real nodes: fifty join at once for ten seats while the leader is killed.

mod group;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use group::Group;
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::managers::write_private;
use jepsen_like_tests::options::sibling_bin_dir;
use jepsen_like_tests::ports;
use jepsen_like_tests::process::Process;
use jepsen_like_tests::robustness::checker::{Shown, Told, seats, stories};
use jepsen_like_tests::wait::{Seen, until};
use serde_json::{Value, json};

/// Fifty debug builds on two busy processors take their time.
const LIMIT: Duration = Duration::from_secs(240);
const NO_SEAT: &str = "Your current subscription does not allow more nodes running. Please upgrade to add more nodes.";

struct Node {
    process: Process,
    dir: PathBuf,
}

impl Node {
    fn start(number: usize, dir: &Path, seeds: &[SocketAddr], ports: &[u16]) -> Result<Self> {
        let name = format!("node-{number:02}");
        let home = dir.join(&name);
        std::fs::create_dir_all(&home)?;
        let seeds: Vec<_> = seeds.iter().map(|seed| format!("\"{seed}\"")).collect();
        let text = format!(
            "seed: [{}]\nname: {name}\ndata_dir: {}\njoin_token_file: {}\nlisten: 127.0.0.1:{}\ngossip_listen: 127.0.0.1:{}\napi_listen: 127.0.0.1:{}\ngateway: embedded\n",
            seeds.join(", "),
            home.join("data").display(),
            dir.join("join-token").display(),
            ports[0],
            ports[1],
            ports[2],
        );
        std::fs::write(home.join("service.yml"), text)?;
        let program = sibling_bin_dir()?.join("krakend-node");
        Ok(Self {
            process: run(&program, &name, &home)?,
            dir: home,
        })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }
}

fn run(program: &Path, name: &str, home: &Path) -> Result<Process> {
    let settings = home.join("service.yml");
    let settings = settings.to_str().context("a path in UTF-8")?;
    Process::start(name, program, &["--settings", settings], &home.join("log"))
}

/// With the command line, as an operator does it.
fn issue(group: &Group, more: &[&str]) -> Result<String> {
    let output = Command::new(sibling_bin_dir()?.join("krakend-cluster-manager"))
        .args(["license", "issue", "--subscriber", "Acme", "--secret-file"])
        .arg(group.dir.path().join("group-secret"))
        .args(more)
        .output()?;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "license issue: {error}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

async fn install(group: &Group, max_nodes: &str) -> Result<Value> {
    let token = issue(group, &["--max-nodes", max_nodes])?;
    let ask = Ask::json("PUT", "/v1/license", &json!({ "token": token }));
    group.ask(0, ask).await?.ok()?.json()
}

async fn nodes(group: &Group, at: usize) -> Result<(u64, Vec<Value>)> {
    let ask = Ask::get("/v1/nodes?consistency=stale");
    let answer = group.ask(at, ask).await?.ok()?;
    let index = group::header(&answer, "x-cluster-index")?.parse()?;
    let list = answer.json()?["nodes"].as_array().cloned();
    Ok((index, list.unwrap_or_default()))
}

fn with_seat(nodes: &[Value]) -> BTreeSet<String> {
    let seated = nodes.iter().filter(|node| node["holds_seat"] == true);
    seated
        .filter_map(|node| node["id"].as_str().map(str::to_owned))
        .collect()
}

/// All events of nodes, oldest first.
async fn trail(group: &Group) -> Result<Vec<Told>> {
    let ask = Ask::get("/v1/events?history=true&limit=1000");
    let list = group.ask(group.leader().await?, ask).await?.ok()?.json()?;
    let events = list["events"].as_array().context("events")?;
    let mut told: Vec<_> = events.iter().filter_map(Told::read).collect();
    told.reverse();
    Ok(told)
}

/// Looks at every manager all the time, until told to end.
fn watch(group: Arc<Group>, stop: Arc<AtomicBool>) -> tokio::task::JoinHandle<Vec<Shown>> {
    tokio::spawn(async move {
        let mut shown = Vec::new();
        while !stop.load(Ordering::SeqCst) {
            for manager in 0..group.managers.len() {
                // One of them is killed for a while.
                if let Ok((index, nodes)) = nodes(&group, manager).await {
                    let seats = with_seat(&nodes).len() as u64;
                    shown.push(Shown {
                        manager,
                        index,
                        seats,
                    });
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        shown
    })
}

async fn seated(group: &Group, at: usize, count: usize) -> Result<BTreeSet<String>> {
    let what = format!("{count} nodes have a seat");
    until(&what, LIMIT, || async {
        let (_, nodes) = nodes(group, at).await?;
        let active = nodes.iter().filter(|node| node["state"] == "active");
        let (active, seated) = (active.count(), with_seat(&nodes));
        Ok(match seated.len() >= count && active >= count {
            true => Seen::Yes(seated),
            false => Seen::No(format!("{} seats, {active} active", seated.len())),
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_nodes_at_once_never_take_an_eleventh_seat_and_come_in_when_the_licence_grows()
-> Result<()> {
    const NODES: usize = 50;
    let group = Group::start_saying(3, "lease_s: 30\n").await?;
    install(&group, "10").await?;
    let body = json!({"fleet": "default", "ttl_s": 86_400, "max_uses": 200});
    let token = group
        .ask(0, Ask::json("POST", "/v1/join-tokens", &body))
        .await?;
    let token = token.ok()?.json()?;
    let dir = tempfile::tempdir()?;
    let text = token["token"].as_str().context("a token")?;
    write_private(&dir.path().join("join-token"), text)?;
    let seeds: Vec<_> = group.managers.iter().map(|it| it.nodes).collect();
    let group = Arc::new(group);
    let stop = Arc::new(AtomicBool::new(false));
    let watching = watch(group.clone(), stop.clone());
    let free = ports::free(3 * NODES)?;
    let leader = group.leader().await?;
    // In the middle of it the leader dies.
    let killed = kill_with_seats(group.clone(), leader, 3);
    let mut members = Vec::new();
    for (number, ports) in free.chunks_exact(3).enumerate() {
        members.push(Node::start(number, dir.path(), &seeds, ports)?);
    }
    let early = killed.await??;
    println!("the leader died with {} seats taken", early.len());
    let began = Instant::now();
    let other = (leader + 1) % 3;
    let ten = seated(&group, other, 10).await?;
    println!(
        "ten seats {} ms after the leader's death",
        began.elapsed().as_millis()
    );
    ensure!(early.is_subset(&ten), "a seat was lost: {early:?} {ten:?}");
    // Everybody has asked, and forty were told in the documents' words.
    until("forty nodes were refused", LIMIT, || async {
        let told = members
            .iter()
            .filter(|it| it.log().contains(NO_SEAT))
            .count();
        Ok(match told >= NODES - 10 {
            true => Seen::Yes(()),
            false => Seen::No(format!("{told} were told")),
        })
    })
    .await?;
    let logs = group
        .managers
        .iter()
        .map(|it| std::fs::read_to_string(it.log()));
    let logs: String = logs.filter_map(Result::ok).collect();
    ensure!(
        logs.lines().any(|line| line.ends_with(NO_SEAT)),
        "the managers say it, too"
    );
    let (_, now) = nodes(&group, other).await?;
    ensure!(with_seat(&now) == ten, "the seated stay");
    let alarm = until("an alarm names who waits", LIMIT, || async {
        let status = group.status(group.leader().await?).await?;
        let alarms = status["alarms"].as_array().cloned().unwrap_or_default();
        let found = alarms.into_iter().find(|it| it["kind"] == "no-seat");
        Ok(match found {
            Some(alarm) => Seen::Yes(alarm),
            None => Seen::No(status["alarms"].to_string()),
        })
    });
    println!("{}", alarm.await?["message"]);
    stop.store(true, Ordering::SeqCst);
    let shown = watching.await?;
    let told = trail(&group).await?;
    for finding in [seats(&told, &shown, 10), stories(&told)] {
        ensure!(finding.ok, "{}: {}", finding.check, finding.detail);
        println!("{}: {}", finding.check, finding.detail);
    }
    // Leases go on while the session does.
    let lease = |nodes: &[Value]| {
        let node = nodes.iter().find(|node| {
            Some(node["id"].as_str().unwrap_or_default()) == ten.first().map(String::as_str)
        });
        node.and_then(|node| node["lease_expires_at"].as_str().map(str::to_owned))
    };
    let first = lease(&nodes(&group, other).await?.1).context("a lease")?;
    until("the lease is renewed", LIMIT, || async {
        let now = lease(&nodes(&group, other).await?.1).context("a lease")?;
        Ok(if now > first {
            Seen::Yes(())
        } else {
            Seen::No(now)
        })
    })
    .await?;
    // An upgrade lets all in, without a restart.
    let began = Instant::now();
    let put = Ask::json(
        "PUT",
        "/v1/license",
        &json!({"token": issue(&group, &["--max-nodes", "50"])?}),
    );
    group.ask(other, put).await?.ok()?;
    let fifty = seated(&group, other, NODES).await?;
    println!(
        "all fifty seated {} ms after the upgrade",
        began.elapsed().as_millis()
    );
    ensure!(
        fifty.len() == NODES && ten.is_subset(&fifty),
        "nobody is lost"
    );
    // A lowered limit unseats nobody.
    let put = Ask::json(
        "PUT",
        "/v1/license",
        &json!({"token": issue(&group, &["--max-nodes", "45"])?}),
    );
    let lowered = group.ask(other, put).await?.ok()?.json()?;
    ensure!(lowered["over_by"] == 5, "{lowered}");
    let (_, after) = nodes(&group, other).await?;
    ensure!(with_seat(&after).len() == NODES, "unseats nobody");
    // Who stops cleanly is removed at once, and while the group is over by more nobody comes in its place.
    members[0].process.terminate()?;
    members[0].process.wait(LIMIT).await?;
    let name = "node-00";
    until(
        "a clean stop removes at once",
        Duration::from_secs(20),
        || async {
            let (_, nodes) = nodes(&group, other).await?;
            let node = nodes
                .iter()
                .find(|it| it["name"] == name)
                .context("still shown")?;
            Ok(match node["state"] == "removed" {
                true => Seen::Yes(()),
                false => Seen::No(node["state"].to_string()),
            })
        },
    )
    .await?;
    Ok(())
}

/// Kills the leader as soon as it shows so many seats; those that it showed.
fn kill_with_seats(
    group: Arc<Group>,
    leader: usize,
    seats: usize,
) -> tokio::task::JoinHandle<Result<BTreeSet<String>>> {
    tokio::spawn(async move {
        let began = Instant::now();
        loop {
            let (_, nodes) = nodes(&group, leader).await?;
            let seated = with_seat(&nodes);
            if seated.len() >= seats {
                let process = group.managers[leader].process.as_ref();
                nix_kill(process.context("it runs")?.pid())?;
                return Ok(seated);
            }
            ensure!(began.elapsed() < LIMIT, "{} seats only", seated.len());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
}

fn nix_kill(pid: i32) -> Result<()> {
    let status = Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()?;
    ensure!(status.success(), "kill -9 {pid}");
    Ok(())
}
