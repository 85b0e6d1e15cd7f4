//! Reads, writes and streams through real managers, as programs use them.

mod group;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use jepsen_like_tests::{
    http::{Answer, Ask},
    wait::{Seen, until},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
};

use group::{Group, LIMIT, header, problem};

fn token(name: &str) -> Ask {
    Ask::json(
        "POST",
        "/v1/tokens",
        &json!({ "name": name, "role": "admin" }),
    )
}

fn names(list: &Value) -> BTreeSet<String> {
    let tokens = list["tokens"].as_array().into_iter().flatten();
    let names = tokens.filter_map(|token| token["name"].as_str());
    names.map(str::to_owned).collect()
}

fn index(answer: &Answer) -> Result<u64> {
    Ok(header(answer, "x-cluster-index")?.parse()?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_manager_reads_what_any_manager_acknowledged() -> Result<()> {
    let group = Group::start(3).await?;
    for writer in 0..3 {
        let name = format!("by-{writer}");
        let written = group.ask(writer, token(&name)).await?.ok()?;
        for reader in 0..3 {
            let read = group.ask(reader, Ask::get("/v1/tokens")).await?.ok()?;
            ensure!(
                names(&read.json()?).contains(&name),
                "{reader} misses {name}"
            );
            ensure!(index(&read)? >= index(&written)?);
            ensure!(header(&read, "x-cluster-staleness-ms")? == "0");
        }
    }
    let stale = Ask::get("/v1/tokens?consistency=stale");
    let stale = group.ask(group.follower().await?, stale).await?.ok()?;
    header(&stale, "x-cluster-staleness-ms")?.parse::<u64>()?;
    let leader = header(&stale, "x-cluster-leader")?;
    uuid::Uuid::parse_str(&leader).context("the leader's id")?;
    for (bad, kind) in [
        ("/v1/nodes?consistency=fresh", "bad-consistency"),
        ("/v1/nodes?index=x", "bad-index"),
        ("/v1/nodes?wait=30", "bad-wait"),
    ] {
        problem(&group.ask(0, Ask::get(bad)).await?, 400, kind)?;
    }
    let impatient = Ask::get("/v1/nodes").header("x-request-timeout-ms", "5s");
    problem(&group.ask(0, impatient).await?, 400, "bad-timeout")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_manager_that_was_away_does_not_refuse_what_it_has_missed() -> Result<()> {
    let mut group = Group::start(3).await?;
    let away = group.follower().await?;
    group.kill(away).await?;
    let others = [(away + 1) % 3, (away + 2) % 3];
    let make = Ask {
        method: "PUT",
        path: "/v1/fleets/edge".into(),
        ..Ask::default()
    };
    until("the fleet is made", LIMIT, || async {
        group
            .ask(others[0], make.clone())
            .await?
            .ok()
            .map(Seen::Yes)
    })
    .await?;
    for other in others {
        group.kill(other).await?;
    }
    // It knows nothing of the fleet, and nobody can tell it.
    group.restart(away)?;
    let document = br#"{"version": 3, "endpoints": []}"#.as_slice();
    let publish = Ask::get("/v1/fleets/edge/versions")
        .with_body("POST", document.into())
        .header("if-none-match", "*")
        .header("x-request-timeout-ms", "500");
    let fleets = Ask::get("/v1/fleets?consistency=stale");
    let known = until("it answers", LIMIT, || async {
        group
            .ask(away, fleets.clone())
            .await?
            .ok()?
            .json()
            .map(Seen::Yes)
    })
    .await?;
    ensure!(!known.to_string().contains("edge"), "{known}");
    let answer = group.ask(away, publish).await?;
    let status = answer.status.as_u16();
    ensure!(
        [503, 504].contains(&status),
        "{status} {}",
        answer.excerpt()
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_gets_the_first_answer_on_any_manager_also_after_a_failover() -> Result<()> {
    let mut group = Group::start(3).await?;
    let keyed = |ask: Ask| ask.header("idempotency-key", "k-1");
    let leader = group.leader().await?;
    let first = group.ask(leader, keyed(token("robot"))).await?;
    ensure!(first.status == 201, "{}", first.excerpt());
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    let again = group.ask(others[0], keyed(token("robot"))).await?;
    same(&first, &again)?;
    let other = group.ask(others[0], keyed(token("another"))).await?;
    problem(&other, 422, "idempotency-key-reused")?;
    // The token that was given twice is one, and it works.
    let robot = first.json()?["token"]
        .as_str()
        .context("a token")?
        .to_owned();
    let as_robot = |ask: Ask| ask.header("authorization", format!("Bearer {robot}"));
    let list = as_robot(Ask::get("/v1/tokens"));
    let list = list.send(group.http(others[1]), LIMIT).await?.ok()?;
    ensure!(list.json()?["tokens"].as_array().map(Vec::len) == Some(2));
    // Another caller with the same key is another request.
    let stranger = as_robot(keyed(token("robot")));
    let stranger = stranger.send(group.http(others[0]), LIMIT).await?.ok()?;
    ensure!(stranger.json()?["id"] != first.json()?["id"]);
    group.kill(leader).await?;
    let again = group.ask(others[1], keyed(token("robot"))).await?;
    same(&first, &again)?;
    // A rejection is remembered as well.
    let gone = format!("/v1/nodes/{}", uuid::Uuid::new_v4());
    let remove = Ask {
        method: "DELETE",
        path: gone,
        ..Ask::default()
    };
    let remove = remove.header("idempotency-key", "k-2");
    for _ in 0..2 {
        problem(
            &group.ask(others[0], remove.clone()).await?,
            404,
            "no-such-node",
        )?;
    }
    Ok(())
}

fn same(first: &Answer, again: &Answer) -> Result<()> {
    ensure!(again.status == first.status, "{}", again.excerpt());
    ensure!(
        again.body == first.body,
        "{} is not {}",
        again.excerpt(),
        first.excerpt()
    );
    ensure!(index(again)? == index(first)?);
    ensure!(header(again, "idempotent-replayed")? == "true");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_wait_for_a_leader_and_say_what_they_do_not_know() -> Result<()> {
    let mut group = Group::start(3).await?;
    let leader = group.leader().await?;
    let others = [(leader + 1) % 3, (leader + 2) % 3];
    group.kill(leader).await?;
    // Nobody leads at this moment.
    let held = group
        .ask(others[0], token("held").header("idempotency-key", "h"))
        .await?;
    ensure!(held.status == 201, "{}", held.excerpt());
    group.kill(others[1]).await?;
    let late = token("late").header("x-request-timeout-ms", "1500");
    let late = group.ask(others[0], late).await?;
    let told = late.json()?;
    match late.status.as_u16() {
        503 => ensure!(told["indeterminate"] == false, "{told}"),
        504 => ensure!(told["indeterminate"] == true, "{told}"),
        other => bail!("{other}: {told}"),
    }
    let read = Ask::get("/v1/tokens").header("x-request-timeout-ms", "1000");
    let read = group.ask(others[0], read).await?;
    ensure!(
        matches!(read.status.as_u16(), 503 | 504),
        "{}",
        read.excerpt()
    );
    let alone = until(
        "a stale read that says there is no leader",
        LIMIT,
        || async {
            let stale = Ask::get("/v1/tokens?consistency=stale");
            let stale = group.ask(others[0], stale).await?.ok()?;
            let age: u64 = header(&stale, "x-cluster-staleness-ms")?.parse()?;
            Ok(match header(&stale, "x-cluster-leader")?.as_str() {
                "unknown" if age > 1_000 => Seen::Yes(stale),
                leader => Seen::No(format!("leader {leader}, {age} ms old")),
            })
        },
    );
    ensure!(names(&alone.await?.json()?).contains("held"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocking_read_wakes_for_what_it_reads_on_any_manager() -> Result<()> {
    let group = Group::start(3).await?;
    let seen = group.ask(0, Ask::get("/v1/tokens")).await?.ok()?;
    let seen = index(&seen)?;
    let path = format!("/v1/tokens?index={seen}&wait=2m");
    let waiting = [0, 1, 2].map(|at| group.spawn(at, Ask::get(path.clone())));
    // Something else changes first: who woke for it would not see the token.
    group.publish(0).await?;
    group.ask(1, token("awaited")).await?.ok()?;
    for waiting in waiting {
        let woken = waiting.await??.ok()?;
        ensure!(names(&woken.json()?).contains("awaited"));
        ensure!(index(&woken)? > seen);
    }
    // What changed already answers at once, whatever the wait; what does not change answers after it.
    let again = group.ask(2, Ask::get(path)).await?.ok()?;
    let now = index(&again)?;
    let quiet = Ask::get(format!("/v1/tokens?index={now}&wait=200ms"));
    let quiet = group.ask(2, quiet).await?.ok()?;
    ensure!(quiet.body == again.body);
    let future = Ask::get(format!("/v1/tokens?index={}", now + 1_000_000));
    problem(&group.ask(1, future).await?, 400, "index-ahead")
}

/// Ids and data of the messages of an event stream that carry an id.
fn parse(text: &str) -> Vec<((u64, u32), Value)> {
    let messages = text.split("\n\n");
    let parsed = messages.filter_map(|message| {
        let field = |name: &str| message.lines().find_map(|line| line.strip_prefix(name));
        let (index, position) = field("id: ")?.split_once('.')?;
        let data = serde_json::from_str(field("data: ")?).ok()?;
        Some(((index.parse().ok()?, position.parse().ok()?), data))
    });
    parsed.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_at_another_manager_without_gap_or_repetition() -> Result<()> {
    let mut group = Group::start(3).await?;
    for n in 0..20 {
        group.ask(n % 3, token(&format!("t{n}"))).await?.ok()?;
    }
    let all = group
        .ask(0, Ask::get("/v1/events?history=true&limit=1000"))
        .await?
        .ok()?;
    let all = all.json()?;
    let mut expected: Vec<(u64, u64)> = all["events"]
        .as_array()
        .context("events")?
        .iter()
        .map(|event| {
            (
                event["index"].as_u64().unwrap_or(0),
                event["position"].as_u64().unwrap_or(0),
            )
        })
        .collect();
    expected.reverse();
    let newest = *expected.last().context("an event")?;
    let mut read: Vec<(u64, u64)> = Vec::new();
    let mut last = None;
    // A new connection to another manager after every few events.
    for step in 0.. {
        let ids = group.events(step % 3, last, 5).await?;
        read.extend(
            ids.iter()
                .map(|(index, position)| (*index, u64::from(*position))),
        );
        last = ids.last().copied().or(last);
        if read.last().is_some_and(|id| *id >= newest) {
            break;
        }
        ensure!(step < 100, "no progress: {read:?}");
    }
    read.truncate(expected.len());
    ensure!(read == expected, "{read:?} is not {expected:?}");
    // A manager that was away lags; the stream waits there for what comes next.
    let away = group.follower().await?;
    group.kill(away).await?;
    let other = (away + 1) % 3;
    let written = group.ask(other, token("meanwhile")).await?.ok()?;
    let written = index(&written)?;
    let before = group
        .events(other, Some((written, u32::MAX - 1)), 0)
        .await?;
    ensure!(before.is_empty());
    group.restart(away)?;
    group.ask(other, token("next")).await?.ok()?;
    let next = until("the stream at the manager that was away", LIMIT, || async {
        let ids = group.events(away, Some((written, u32::MAX - 1)), 1).await?;
        Ok(match ids.first() {
            Some(first) => Seen::Yes(*first),
            None => Seen::No("nothing".into()),
        })
    });
    let next = next.await?;
    ensure!(next.0 > written, "{next:?} repeats {written}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_never_reads_is_dropped_and_events_that_are_gone_are_named() -> Result<()> {
    let group = Group::start(1).await?;
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(4_096)?;
    let mut silent = socket.connect(group.http(0)).await?;
    let request = format!(
        "GET /v1/events?after=0 HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {}\r\n\r\n",
        group.token
    );
    silent.write_all(request.as_bytes()).await?;
    let workers: Vec<_> = (0..16).map(|worker| group.busy(worker, 340)).collect();
    for worker in workers {
        worker.await??;
    }
    let gone = group.ask(0, Ask::get("/v1/events?after=1")).await?;
    problem(&gone, 410, "events-gone")?;
    let oldest = gone.json()?["oldest_index"].as_u64().context("an index")?;
    ensure!(oldest > 1);
    let ids = group.events(0, Some((oldest, u32::MAX)), 3).await?;
    ensure!(
        ids.len() >= 3 && ids[0].0 > oldest,
        "{ids:?} after {oldest}"
    );
    until(
        "the silent reader is hung up on",
        Duration::from_secs(90),
        || async {
            let metrics = group.ask(0, Ask::get("/metrics")).await?.ok()?;
            let text = String::from_utf8_lossy(&metrics.body).into_owned();
            let line = text
                .lines()
                .find(|line| line.starts_with("krakend_cluster_readers_dropped_total "));
            Ok(match line {
                Some(line) if line.ends_with(" 1") => Seen::Yes(()),
                line => Seen::No(format!("{line:?}")),
            })
        },
    )
    .await?;
    // What it finds in its buffers is in order and without holes, as far as it goes.
    let mut bytes = Vec::new();
    let _ = tokio::time::timeout(LIMIT, silent.read_to_end(&mut bytes)).await;
    let text = String::from_utf8_lossy(&bytes).replace("\r\n", "\n");
    let ids: Vec<_> = parse(&text).into_iter().map(|(id, _)| id).collect();
    ensure!(ids.windows(2).all(|pair| pair[0] < pair[1]), "out of order");
    Ok(())
}
