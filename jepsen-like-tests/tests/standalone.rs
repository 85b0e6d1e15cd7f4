//! `krakend-node run --gateway krakend`: one KrakenD from a file, without cluster, and nothing of it left at the end.

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jepsen_like_tests::backend::Backend;
use jepsen_like_tests::http::Ask;
use jepsen_like_tests::options::{find_krakend, sibling_bin_dir};
use jepsen_like_tests::ports::{free, loopback};
use jepsen_like_tests::process::Process;
use jepsen_like_tests::wait::{Seen, until};
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_secs(10);

/// The processes that `pid` has started.
fn children(pid: i32) -> Result<Vec<i32>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    // Any thread of it may have started them.
    let mut found: Vec<i32> = text
        .iter()
        .flat_map(|it| it.split_whitespace())
        .flat_map(str::parse)
        .collect();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        found.extend(text.split_whitespace().flat_map(str::parse::<i32>));
    }
    found.sort_unstable();
    found.dedup();
    Ok(found)
}

fn command_line(pid: i32) -> String {
    let text = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&text).replace('\0', " ")
}

/// The KrakenD that serves: not the one that checks a file.
async fn gateway(node: i32) -> Result<i32> {
    until("KrakenD runs", LIMIT, || async {
        let running = children(node)?
            .into_iter()
            .find(|it| command_line(*it).contains(" run "));
        Ok(match running {
            Some(pid) => Seen::Yes(pid),
            None => Seen::No("no `krakend run` among its children".into()),
        })
    })
    .await
}

struct Files {
    dir: tempfile::TempDir,
    config: PathBuf,
    port: u16,
    backend: u16,
}

fn files() -> Result<Files> {
    let ports = free(2)?;
    let dir = tempfile::tempdir()?;
    let config = dir.path().join("krakend.json");
    let endpoint = |path: &str| {
        let backend =
            json!({"host": [format!("http://127.0.0.1:{}", ports[1])], "url_pattern": path});
        json!({"endpoint": path, "backend": [backend]})
    };
    let document = json!({
        "version": 3, "name": "alone", "port": ports[0], "listen_ip": "127.0.0.1",
        "endpoints": [endpoint("/users/{id}"), endpoint("/slow")],
    });
    std::fs::write(&config, document.to_string())?;
    Ok(Files {
        dir,
        config,
        port: ports[0],
        backend: ports[1],
    })
}

fn start(files: &Files, krakend: &Path) -> Result<Process> {
    let program = sibling_bin_dir()?.join("krakend-node");
    let (config, krakend) = (
        files.config.display().to_string(),
        krakend.display().to_string(),
    );
    let arguments = [
        "run",
        "--gateway",
        "krakend",
        "--krakend-bin",
        &krakend,
        "-c",
        &config,
    ];
    // What it makes for itself must be gone at the end.
    let temporary = files.dir.path().join("tmp");
    std::fs::create_dir_all(&temporary)?;
    let temporary = temporary.display().to_string();
    let environment = [("TMPDIR", temporary.as_str())];
    Process::start_with(
        "alone",
        &program,
        &arguments,
        &environment,
        &files.dir.path().join("log"),
    )
}

async fn serves(files: &Files) -> Result<()> {
    until("it serves", LIMIT, || async {
        let answer = Ask::get("/users/7")
            .send(loopback(files.port), SOON)
            .await?;
        Ok(match answer.status.as_u16() {
            200 => {
                ensure!(answer.json()?["user_id"] == 7, "{}", answer.excerpt());
                Seen::Yes(())
            }
            other => Seen::No(format!("{other} {}", answer.excerpt())),
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_krakend_alone_serves_comes_back_after_a_crash_and_is_gone_after_sigterm() -> Result<()> {
    let Some(krakend) = find_krakend() else {
        common::skip("no krakend on the PATH or in KRAKEND_BIN: run `cargo xtask setup`");
        return Ok(());
    };
    let files = files()?;
    let backend = Backend::start(files.backend).await?;
    let mut node = start(&files, &krakend)?;
    serves(&files).await?;
    let answer = Ask::get("/users/7")
        .send(loopback(files.port), SOON)
        .await?;
    let by = answer
        .headers
        .get("x-krakend")
        .context("a real KrakenD's header")?;
    ensure!(by.to_str()?.starts_with("Version "), "{by:?}");
    let first = gateway(node.pid()).await?;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(first),
        nix::sys::signal::Signal::SIGKILL,
    )?;
    until("another KrakenD serves", LIMIT, || async {
        let now = gateway(node.pid()).await?;
        Ok(match now == first {
            false => Seen::Yes(()),
            true => Seen::No("the same".into()),
        })
    })
    .await?;
    serves(&files).await?;
    let child = gateway(node.pid()).await?;
    // A request that is open when the signal comes is answered.
    let port = files.port;
    let open = tokio::spawn(async move { Ask::get("/slow").send(loopback(port), SOON).await });
    until("the request is open", LIMIT, || async {
        Ok(match backend.slow_in_flight() {
            0 => Seen::No("not yet".into()),
            _ => Seen::Yes(()),
        })
    })
    .await?;
    node.terminate()?;
    let answer = open.await??;
    ensure!(
        answer.status.is_success(),
        "{} {}",
        answer.status,
        answer.excerpt()
    );
    let status = node.wait(LIMIT).await?;
    ensure!(status.success(), "{status}");
    ensure!(
        !command_line(child).contains("krakend"),
        "{child} was left behind"
    );
    let left: Vec<_> = std::fs::read_dir(files.dir.path().join("tmp"))?
        .flatten()
        .collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    std::net::TcpListener::bind(loopback(files.port)).context("the port is free")?;
    Ok(())
}

#[test]
fn a_file_that_krakend_refuses_is_named_in_its_words_and_ends_as_krakend_does() -> Result<()> {
    let Some(krakend) = find_krakend() else {
        common::skip("no krakend on the PATH or in KRAKEND_BIN: run `cargo xtask setup`");
        return Ok(());
    };
    let files = files()?;
    std::fs::write(&files.config, r#"{"version": 2}"#)?;
    let output = Command::new(sibling_bin_dir()?.join("krakend-node"))
        .args([
            "run",
            "--gateway",
            "krakend",
            "--port",
            &files.port.to_string(),
            "--krakend-bin",
        ])
        .arg(&krakend)
        .arg("-c")
        .arg(&files.config)
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(255),
        "{}: {said}",
        output.status
    );
    let named = format!(
        "ERROR parsing the configuration file:\t'{}'",
        files.config.display()
    );
    ensure!(said.matches(&named).count() == 1, "{said}");
    ensure!(!said.contains("candidate"), "{said}");
    Ok(())
}
