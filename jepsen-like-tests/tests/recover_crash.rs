//! A recovery that is killed: the data directory is the old group's or the new one's, never a mix.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use jepsen_like_tests::{
    managers::{Manager, PORTS_EACH, write_secret},
    options::sibling_bin_dir,
    ports,
    wait::{Seen, until},
};
use rand::{Rng, RngCore, SeedableRng, rngs::StdRng};
use serde_json::Value;
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(60);
const ROUNDS: usize = 24;

fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The data directory of a group of one that has written something and was killed.
async fn data_dir(dir: &Path) -> Result<Manager> {
    let program = sibling_bin_dir()?.join("krakend-cluster-manager");
    let ports = ports::free(PORTS_EACH)?;
    let mut manager = Manager::new(1, dir, &program, [ports[0], ports[1], ports[2]])?;
    let secret = dir.join("group-secret");
    write_secret(&secret)?;
    manager.configure(&[manager.managers], &secret, 5)?;
    manager.start()?;
    until("the admin's token", LIMIT, || async {
        Ok(match manager.admin_token().exists() {
            true => Seen::Yes(()),
            false => Seen::No("none".into()),
        })
    })
    .await?;
    manager.kill().await?;
    Ok(manager)
}

fn command(data_dir: &Path, arguments: &[&str]) -> Result<Command> {
    let program = sibling_bin_dir()?.join("krakend-cluster-manager");
    let mut command = Command::new(program);
    command
        .args(["recover", "--data-dir"])
        .arg(data_dir)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    Ok(command)
}

async fn survey(data_dir: &Path) -> Result<Value> {
    let mut dry_run = command(data_dir, &["--dry-run", "--output", "json"])?;
    let output = tokio::time::timeout(LIMIT, dry_run.output()).await??;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recovery_killed_at_any_moment_leaves_the_old_group_or_the_new() -> Result<()> {
    let seed = rand::rng().next_u64();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir()?;
    let manager = data_dir(dir.path()).await?;
    let old = survey(&manager.data_dir()).await?;
    let group = old["group_id"].as_str().context("a group")?;
    let mut took = Duration::from_millis(50);
    let mut outcomes = [0, 0];
    for round in 0..ROUNDS {
        let copied = dir.path().join(format!("round-{round}"));
        copy(&manager.data_dir(), &copied)?;
        let begun = std::time::Instant::now();
        let mut recover = command(&copied, &["--group-id", group])?.spawn()?;
        // The first round shows how long it takes; the others are killed somewhere on the way.
        if round == 0 {
            ensure!(recover.wait().await?.success());
            took = begun.elapsed();
        } else {
            tokio::time::sleep(took.mul_f64(random.random_range(0.2..1.1))).await;
            let _ = recover.start_kill();
            recover.wait().await?;
        }
        let found = survey(&copied).await?;
        let renewed = found["group_id"] != group;
        outcomes[usize::from(renewed)] += 1;
        let last = old["last_index"].as_u64().context("an index")?;
        let (epoch, index) = if renewed { (2, last + 1) } else { (1, last) };
        assert_eq!(found["epoch"], epoch, "round {round}: {found}");
        assert_eq!(found["last_index"], index, "round {round}: {found}");
        let again = found["group_id"].as_str().context("a group")?;
        let output = command(&copied, &["--group-id", again])?.output().await?;
        ensure!(output.status.success(), "round {round} cannot be repeated");
        std::fs::remove_dir_all(copied)?;
    }
    println!(
        "{} times the old group, {} times the new",
        outcomes[0], outcomes[1]
    );
    Ok(())
}
