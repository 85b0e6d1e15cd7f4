//! The licence from the issuer's key to a manager that cannot verify it, with the real programs.

mod group;

use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use group::{Group, LIMIT, problem};
use jepsen_like_tests::http::{Answer, Ask};
use jepsen_like_tests::options::sibling_bin_dir;
use jepsen_like_tests::wait::{Seen, until};
use serde_json::{Value, json};

const DAY_S: i64 = 86_400;

fn cli(arguments: &[&str]) -> Result<Output> {
    let program = sibling_bin_dir()?.join("krakend-cluster-manager");
    let output = Command::new(program).args(arguments).output();
    output.context("run the command line")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn in_seconds(seconds: i64) -> String {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(seconds);
    format!("{at:.0}")
}

/// An issuer with its own key file, on no manager.
struct Issuer {
    dir: tempfile::TempDir,
    verify: String,
}

impl Issuer {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let key = dir.path().join("issuer.key");
        let made = cli(&[
            "license",
            "new-key",
            "--out",
            key.to_str().context("a path")?,
        ])?;
        ensure!(made.status.success(), "{made:?}");
        let verify = dir.path().join("verify.key");
        std::fs::write(&verify, made.stdout)?;
        Ok(Self {
            verify: verify.to_str().context("a path")?.to_owned(),
            dir,
        })
    }

    fn issue(&self, more: &[&str]) -> Result<String> {
        let key = self.dir.path().join("issuer.key");
        let key = key.to_str().context("a path")?;
        let mut arguments = vec![
            "license",
            "issue",
            "--key-file",
            key,
            "--subscriber",
            "Acme",
            "--max-nodes",
            "12",
        ];
        arguments.extend(more);
        let issued = cli(&arguments)?;
        ensure!(issued.status.success(), "{issued:?}");
        Ok(text(&issued))
    }

    /// Verifies without any manager; the standard error of a refusal.
    fn verify(&self, token: &str) -> Result<Result<String, String>> {
        let file = self.dir.path().join("licence");
        std::fs::write(&file, token)?;
        let file = file.to_str().context("a path")?;
        let done = cli(&["license", "verify", file, "--key-file", &self.verify])?;
        Ok(match done.status.success() {
            true => Ok(text(&done)),
            false => Err(String::from_utf8_lossy(&done.stderr).into_owned()),
        })
    }
}

async fn put(group: &Group, at: usize, token: &str) -> Result<Answer> {
    let ask = Ask::json("PUT", "/v1/license", &json!({ "token": token }));
    group.ask(at, ask).await
}

async fn events(group: &Group, kind: &str) -> Result<Vec<Value>> {
    let ask = Ask::get("/v1/events?history=true&limit=1000");
    let list = group.ask(group.leader().await?, ask).await?.ok()?.json()?;
    let events = list["events"].as_array().cloned().unwrap_or_default();
    Ok(events.into_iter().filter(|it| it["kind"] == kind).collect())
}

fn alarms(status: &Value) -> Vec<Value> {
    let alarms = status["alarms"].as_array().cloned().unwrap_or_default();
    let unverified = alarms
        .into_iter()
        .filter(|it| it["kind"] == "license-unverified");
    unverified.collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_licence_is_said_by_name_and_changes_nothing() -> Result<()> {
    let (issuer, stranger) = (Issuer::new()?, Issuer::new()?);
    let settings = format!("license_key_file: {}\n", issuer.verify);
    let group = Group::start_saying(1, &settings).await?;
    let id = group.status(0).await?["group_id"]
        .as_str()
        .context("an id")?
        .to_owned();
    let good = issuer.issue(&["--group", &id, "--feature", "rollouts"])?;
    let shown = issuer.verify(&good)?.expect("verifies offline");
    ensure!(shown.contains("Acme") && shown.contains(&id), "{shown}");
    let (signed, signature) = good.rsplit_once('.').context("three parts")?;
    let (_, body) = signed.split_once('.').context("two parts")?;
    let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let none = format!("{}.{body}.", part(r#"{"alg":"none"}"#));
    let confused = format!("{}.{body}.{signature}", part(r#"{"alg":"HS256"}"#));
    let later = in_seconds(DAY_S);
    let table = [
        ("license-signature", stranger.issue(&[])?),
        ("license-algorithm", none),
        ("license-algorithm", confused),
        (
            "license-not-yet-valid",
            issuer.issue(&["--not-before", &later])?,
        ),
        (
            "license-expired",
            issuer.issue(&[
                "--not-before",
                "2020-01-01T00:00:00Z",
                "--expires",
                "2021-01-01T00:00:00Z",
            ])?,
        ),
        (
            "license-other-group",
            issuer.issue(&["--group", "7d444840-9dc0-11d1-b245-5ffdce74fad2"])?,
        ),
        ("license-malformed", good[..good.len() / 3].to_owned()),
        // 63 bytes of 64.
        ("license-signature", good[..good.len() - 2].to_owned()),
    ];
    for (kind, token) in &table {
        problem(&put(&group, 0, token).await?, 422, kind)?;
        let ask = Ask::json("POST", "/v1/license/verify", &json!({ "token": token }));
        problem(&group.ask(0, ask).await?, 422, kind)?;
        if *kind != "license-other-group" {
            ensure!(issuer.verify(token)?.is_err(), "{kind} offline");
        }
    }
    let license = group.ask(0, Ask::get("/v1/license")).await?.ok()?.json()?;
    ensure!(
        license["state"] == "free" && license["max_nodes"] == 3,
        "{license}"
    );
    let ask = Ask::json("POST", "/v1/license/verify", &json!({ "token": good }));
    let verified = group.ask(0, ask).await?.ok()?.json()?;
    ensure!(verified["max_nodes"] == 12, "{verified}");
    let installed = put(&group, 0, &good).await?.ok()?.json()?;
    ensure!(
        installed["state"] == "valid" && installed["days_left"] == 364,
        "{installed}"
    );
    let metrics = group.ask(0, Ask::get("/metrics")).await?.ok()?;
    let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
    for line in [
        "krakend_cluster_license_state{state=\"valid\"} 1",
        "krakend_cluster_license_max_nodes 12",
        "krakend_cluster_license_verified 1",
    ] {
        ensure!(metrics.contains(line), "{line}");
    }
    let removed = Ask {
        method: "DELETE",
        path: "/v1/license".into(),
        ..Ask::default()
    };
    group.ask(0, removed).await?.ok()?;
    let license = group.ask(0, Ask::get("/v1/license")).await?.ok()?.json()?;
    ensure!(license["state"] == "free", "{license}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notices_come_once_and_who_cannot_verify_says_so_and_does_not_lead() -> Result<()> {
    let (issuer, stranger) = (Issuer::new()?, Issuer::new()?);
    let settings = format!("license_key_file: {}\n", issuer.verify);
    let mut group = Group::start_saying(3, &settings).await?;
    let soon = in_seconds(7 * DAY_S + 6);
    let installed = put(&group, 0, &issuer.issue(&["--expires", &soon])?).await?;
    let installed = installed.ok()?.json()?;
    ensure!(
        installed["state"] == "expiring" && installed["notice_days"] == 15,
        "{installed}"
    );
    // The seventh day before the end begins in a few seconds, and the leader is killed around then.
    let leader = group.leader().await?;
    group.kill(leader).await?;
    until("the notice of the last seven days", LIMIT, || async {
        let told = events(&group, "license_notice").await?;
        Ok(match told.is_empty() {
            true => Seen::No("no notice".into()),
            false => Seen::Yes(()),
        })
    })
    .await?;
    // It comes back with a key that is not the issuer's.
    let file = group.managers[leader].settings();
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, text.replace(&issuer.verify, &stranger.verify))?;
    group.restart(leader)?;
    let name = group.managers[leader].name.clone();
    let other = (leader + 1) % 3;
    until("another manager tells who cannot verify", LIMIT, || async {
        let found = alarms(&group.status(other).await?);
        let named = found.iter().any(|it| {
            it["message"]
                .as_str()
                .is_some_and(|it| it.starts_with(&name))
        });
        Ok(match named {
            true => Seen::Yes(()),
            false => Seen::No(format!("{found:?}")),
        })
    })
    .await?;
    // Made the leader by force, it hands on.
    until("it leads", LIMIT, || async {
        let ask = Ask::json("POST", "/v1/leadership", &json!({ "to": name }));
        let asked = group.ask(group.leader().await?, ask).await?;
        Ok(match asked.status.is_success() {
            true => Seen::Yes(()),
            false => Seen::No(asked.excerpt()),
        })
    })
    .await?;
    let handed = until("it has handed the leadership on", LIMIT, || async {
        let log = std::fs::read_to_string(group.managers[leader].log())?;
        let handed = log.contains("cannot verify the licence and hands the leadership to");
        let leads = group.leader().await? == leader;
        Ok(match handed && !leads {
            true => Seen::Yes(()),
            false => Seen::No(format!("handed: {handed}, leads: {leads}")),
        })
    });
    handed.await?;
    let license = group
        .ask(leader, Ask::get("/v1/license"))
        .await?
        .ok()?
        .json()?;
    ensure!(
        license["max_nodes"] == 12,
        "its key changes nothing for the group: {license}"
    );
    let failed = license["checks"].as_array().context("checks")?;
    let failed: Vec<_> = failed
        .iter()
        .filter(|it| it["problem"].is_string())
        .collect();
    ensure!(
        failed.len() == 1 && failed[0]["manager"] == name.as_str(),
        "{license}"
    );
    // The file is put right, and the alarm goes without a restart.
    std::fs::copy(&issuer.verify, &stranger.verify)?;
    until("the alarm is gone everywhere", LIMIT, || async {
        for at in 0..3 {
            let found = alarms(&group.status(at).await?);
            if !found.is_empty() {
                return Ok(Seen::No(format!("{found:?}")));
            }
        }
        Ok(Seen::Yes(()))
    })
    .await?;
    let told = events(&group, "license_notice").await?;
    let days = |text: &str| {
        let of = told
            .iter()
            .filter(|it| it["message"].as_str().is_some_and(|it| it.contains(text)));
        of.count()
    };
    let each = (days("within 15 days"), days("within 7 days"), told.len());
    ensure!(each == (1, 1, 2), "each threshold once: {told:?}");
    for manager in &group.managers {
        let log = std::fs::read_to_string(manager.log())?;
        ensure!(
            log.contains("licence expiring within 7 days"),
            "{}: in the log",
            manager.name
        );
    }
    Ok(())
}
