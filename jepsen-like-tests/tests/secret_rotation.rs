//! The group secret is rotated under traffic, with the leader killed in the middle; certificates renew themselves.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use jepsen_like_tests::{
    Gateway, Options,
    http::{Answer, Ask},
    managers::{Manager, PORTS_EACH, write_private, write_secret},
    options::sibling_bin_dir,
    ports,
    stage::Stage,
    steps::{form, join::start_nodes, publish_first},
    wait::{Seen, until},
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(90);

/// Three managers, each with a secret file of its own as on machines of their own, and one node that serves.
async fn cluster(dir: &Path, more: &str) -> Result<Stage> {
    let options = Options {
        gateway: Gateway::Embedded,
        nodes: 1,
        dir: dir.join("run"),
        bin_dir: sibling_bin_dir()?,
        krakend_bin: None,
    };
    let mut stage = Stage::prepare(options, None).await?;
    let shared = stage.options.dir.join("group-secret");
    for manager in &stage.managers {
        write_private(&secret_file(manager), &std::fs::read_to_string(&shared)?)?;
        let text = std::fs::read_to_string(manager.settings())?;
        let own = secret_file(manager).display().to_string();
        let text = text.replace(&shared.display().to_string(), &own);
        std::fs::write(manager.settings(), text + more)?;
    }
    form::run(&mut stage).await?;
    // Good for one node, so that nothing pins the old authority afterwards.
    let token = join_token(&stage).await?;
    write_private(&stage.join_token_file(), &token)?;
    start_nodes(&mut stage).await?;
    publish_first::run(&mut stage).await?;
    stage.traffic.add(stage.nodes[0].target.clone());
    Ok(stage)
}

async fn join_token(stage: &Stage) -> Result<String> {
    let body = json!({ "fleet": "default", "ttl_s": 3600, "max_uses": 1 });
    let answer = stage
        .api
        .write(Ask::json("POST", "/v1/join-tokens", &body), LIMIT);
    let answer = answer.await?.json()?;
    Ok(answer["token"].as_str().context("a token")?.to_owned())
}

fn secret_file(manager: &Manager) -> PathBuf {
    manager.dir.join("own-secret")
}

/// Replaces a file as operators' tools do: a new one takes its place.
fn replace(file: &Path, text: &str) -> Result<()> {
    let part = file.with_extension("part");
    let _ = std::fs::remove_file(&part);
    write_private(&part, text)?;
    Ok(std::fs::rename(part, file)?)
}

/// What the leader says of the secrets.
async fn secrets(stage: &Stage) -> Result<Value> {
    let leader = stage.until_leader(None, LIMIT).await?;
    stage
        .api
        .get_from(stage.managers[leader].http, "/v1/secret")
        .await
}

/// Waits until the leader's advice holds these words.
async fn until_next(stage: &Stage, words: &str) -> Result<Value> {
    until(&format!("the next step: {words}"), LIMIT, || async {
        let status = secrets(stage).await?;
        let next = status["next"].as_str().unwrap_or_default();
        Ok(match next.contains(words) {
            true => Seen::Yes(status),
            false => Seen::No(status.to_string()),
        })
    })
    .await
}

async fn ask(stage: &Stage, at: usize, ask: Ask) -> Result<Answer> {
    let ask = ask.header("authorization", format!("Bearer {}", stage.api.token()));
    ask.send(stage.managers[at].http, LIMIT).await
}

async fn rotate(stage: &Stage) -> Result<Answer> {
    let leader = stage.until_leader(None, LIMIT).await?;
    ask(
        stage,
        leader,
        Ask::json("POST", "/v1/secret/rotate", &json!({})),
    )
    .await
}

/// Makes a token, or asks for the same again.
async fn token_once(stage: &Stage) -> Result<Answer> {
    let body = json!({ "name": "once", "role": "viewer" });
    let create = Ask::json("POST", "/v1/tokens", &body).header("idempotency-key", "once");
    let leader = stage.until_leader(None, LIMIT).await?;
    ask(stage, leader, create).await
}

fn log_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Waits until a log holds these words so many times.
async fn until_logged(log: &Path, words: &str, times: usize) -> Result<()> {
    until(
        &format!("{words:?} in {}", log.display()),
        LIMIT,
        || async {
            let found = log_of(log).matches(words).count();
            Ok(match found >= times {
                true => Seen::Yes(()),
                false => Seen::No(format!("{found} times")),
            })
        },
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_is_rotated_under_traffic_and_the_removed_one_opens_nothing() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut stage = cluster(dir.path(), "").await?;
    let failed = stage.ledger.failed_requests();
    until_next(&stage, "nothing to do").await?;
    let early = rotate(&stage).await?;
    ensure!(early.status == 409, "{}", early.excerpt());
    let made = token_once(&stage).await?.ok()?.json()?["token"].clone();
    ensure!(made.is_string());

    // The new secret reaches two of three machines.
    let fresh = dir.path().join("fresh");
    write_secret(&fresh)?;
    let (new, old) = (
        std::fs::read_to_string(&fresh)?,
        std::fs::read_to_string(stage.options.dir.join("group-secret"))?,
    );
    let both = format!("{new}{old}");
    let leader = stage.until_leader(None, LIMIT).await?;
    let last = (leader + 2) % 3;
    for at in [leader, (leader + 1) % 3] {
        replace(&secret_file(&stage.managers[at]), &both)?;
    }
    let name = stage.managers[last].name.clone();
    until_next(&stage, &format!("secret file of {name}, as")).await?;
    let refused = rotate(&stage).await?;
    ensure!(refused.status == 409, "{}", refused.excerpt());
    let says = refused.excerpt();
    ensure!(says.contains(&stage.managers[last].name), "{says}");

    // And the third. Then the group uses it, and its leader dies.
    replace(&secret_file(&stage.managers[last]), &both)?;
    let before = until_next(&stage, "secret rotate").await?["in_use"].clone();
    let leader = stage.until_leader(None, LIMIT).await?;
    let rotated = rotate(&stage).await?.ok()?.json()?["in_use"].clone();
    ensure!(rotated != before, "{rotated}");
    let killed = stage.managers[leader].name.clone();
    stage.managers[leader].kill().await?;
    stage.until_leader(Some(&killed), LIMIT).await?;
    stage.managers[leader].start()?;
    let status = until_next(&stage, "nobody needs the old secret").await?;
    ensure!(status["in_use"] == rotated, "{status}");
    let again = token_once(&stage).await?.ok()?.json()?["token"].clone();
    ensure!(
        again == made,
        "the text of a token is the same after the rotation"
    );
    ensure!(!status.to_string().contains(old.trim()) && !status.to_string().contains(new.trim()));

    // The old one goes.
    for manager in &stage.managers {
        replace(&secret_file(manager), &new)?;
    }
    let status = until_next(&stage, "nothing to do").await?;
    ensure!(status["in_use"] == rotated, "{status}");
    let gone = token_once(&stage).await?;
    ensure!(
        gone.excerpt().contains("token-text-gone"),
        "{}",
        gone.excerpt()
    );
    an_outsider_is_refused(&stage, dir.path(), &old).await?;

    // The node's certificate, its lease and everything else go on, also over restarts of both sides.
    let leader = stage.until_leader(None, LIMIT).await?;
    let killed = stage.managers[leader].name.clone();
    stage.managers[leader].kill().await?;
    stage.until_leader(Some(&killed), LIMIT).await?;
    let version = publish_first::publish_next(&mut stage).await?;
    stage.until_all_serve(version, LIMIT).await?;
    stage.managers[leader].start()?;
    until_next(&stage, "nothing to do").await?;
    stage.no_failures_since(failed)?;
    stage.traffic.stop().await;
    stage.nodes[0].process()?.kill().await?;
    stage.nodes[0].start()?;
    stage.until_node_is(0, "active", LIMIT).await?;
    let node = log_of(&stage.nodes[0].log());
    ensure!(
        !node.contains("is not accepted"),
        "a lease was not accepted"
    );
    for manager in &stage.managers {
        let log = log_of(&manager.log());
        ensure!(
            !log.contains(old.trim()) && !log.contains(new.trim()),
            "a secret is in a log"
        );
    }
    Ok(())
}

/// A manager that has nothing but the removed secret is not let in, and says what to do.
async fn an_outsider_is_refused(stage: &Stage, dir: &Path, old: &str) -> Result<()> {
    let ports = ports::free(PORTS_EACH)?;
    let program = sibling_bin_dir()?.join("krakend-cluster-manager");
    let mut outsider = Manager::new(9, dir, &program, [ports[0], ports[1], ports[2]])?;
    let file = dir.join("old-secret");
    write_private(&file, old)?;
    let mut peers: Vec<_> = stage.managers.iter().map(|it| it.managers).collect();
    peers[2] = outsider.managers;
    outsider.configure(&peers, &file, 5)?;
    outsider.start()?;
    until_logged(&outsider.log(), "secret was rotated", 1).await?;
    let known = stage.api.get("/v1/managers").await?;
    ensure!(!known.to_string().contains("manager-9"), "{known}");
    outsider.kill().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_renew_themselves_and_a_node_that_was_off_for_longer_comes_back() -> Result<()>
{
    const LIFE: Duration = Duration::from_secs(30);
    let dir = tempfile::tempdir()?;
    let life = format!("certificate_life_s: {}\n", LIFE.as_secs());
    let mut stage = cluster(dir.path(), &life).await?;
    let (began, failed) = (Instant::now(), stage.ledger.failed_requests());
    for manager in &stage.managers {
        until_logged(&manager.log(), "certificate is renewed until", 2).await?;
    }
    until_logged(&stage.nodes[0].log(), "certificate is renewed", 2).await?;
    ensure!(began.elapsed() > LIFE / 2, "renewed before it was time");
    let node = log_of(&stage.nodes[0].log());
    ensure!(
        !node.contains("no session"),
        "a renewal ended a session: {node}"
    );
    // Whatever connects now does so with certificates that were not there at the start.
    let leader = stage.until_leader(None, LIMIT).await?;
    let killed = stage.managers[leader].name.clone();
    stage.managers[leader].kill().await?;
    stage.until_leader(Some(&killed), LIMIT).await?;
    stage.managers[leader].start()?;
    stage.until_node_is(0, "active", LIMIT).await?;
    stage.no_failures_since(failed)?;

    stage.traffic.stop().await;
    stage.nodes[0].process()?.kill().await?;
    let off = Instant::now();
    // It may have been renewed at the last moment, and the group's time may be a little behind.
    until("the node's certificate has run out", LIMIT, || async {
        Ok(match off.elapsed() > LIFE * 3 / 2 {
            true => Seen::Yes(()),
            false => Seen::No(format!("{:?}", off.elapsed())),
        })
    })
    .await?;
    stage.nodes[0].start()?;
    until_logged(&stage.nodes[0].log(), "had run out and is renewed", 1).await?;
    stage.until_node_is(0, "active", LIMIT).await.map(drop)
}
