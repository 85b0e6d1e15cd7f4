//! Bad input to the real programs: each case gets a message that says what, where and what to do, and changes nothing.

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use jepsen_like_tests::{
    http::{Answer, Ask},
    managers::{Manager, PORTS_EACH, write_private, write_secret},
    options::sibling_bin_dir,
    ports,
    wait::{Seen, until},
};
use tokio::process::Command;

const LIMIT: Duration = Duration::from_secs(30);
const EXIT_SETTINGS: i32 = 78;

/// A group of one in a directory of its own.
struct Group {
    dir: tempfile::TempDir,
    manager: Manager,
    token: String,
}

impl Group {
    async fn start() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let secret = dir.path().join("group-secret");
        write_secret(&secret)?;
        let mut manager = manager(dir.path(), 1)?;
        manager.configure(&[manager.managers], &secret, 5)?;
        manager.start()?;
        let token = until("the admin token", LIMIT, || async {
            Ok(match std::fs::read_to_string(manager.admin_token()) {
                Ok(token) => Seen::Yes(token.trim().to_owned()),
                Err(error) => Seen::No(error.to_string()),
            })
        })
        .await?;
        Ok(Self {
            dir,
            manager,
            token,
        })
    }

    fn http(&self) -> SocketAddr {
        self.manager.http
    }

    async fn ask(&self, ask: Ask) -> Result<Answer> {
        let bearer = format!("Bearer {}", self.token);
        ask.header("authorization", bearer)
            .send(self.http(), LIMIT)
            .await
    }

    async fn publish(
        &self,
        document: &str,
        precondition: Option<(&'static str, &str)>,
    ) -> Result<Answer> {
        let body = Bytes::from(document.to_owned());
        let mut ask = Ask::get("/v1/fleets/default/versions").with_body("POST", body);
        if let Some((name, value)) = precondition {
            ask = ask.header(name, value);
        }
        self.ask(ask).await
    }

    async fn versions(&self) -> Result<usize> {
        let list = self.ask(Ask::get("/v1/fleets/default/versions")).await?;
        let list = list.ok()?.json()?;
        Ok(list["versions"].as_array().map_or(0, Vec::len))
    }
}

fn manager(dir: &Path, number: usize) -> Result<Manager> {
    let program = sibling_bin_dir()?.join("krakend-cluster-manager");
    let ports = ports::free(PORTS_EACH)?;
    Manager::new(number, dir, &program, [ports[0], ports[1], ports[2]])
}

/// Runs a program to its end: exit code and everything it printed.
async fn run(program: &str, arguments: &[&str]) -> Result<(i32, String)> {
    let program = sibling_bin_dir()?.join(program);
    let mut command = Command::new(&program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, command.output())
        .await
        .with_context(|| format!("{} {arguments:?} goes on", program.display()))??;
    let text = [output.stdout, output.stderr].concat();
    let code = output.status.code().context("ended by a signal")?;
    Ok((code, String::from_utf8_lossy(&text).into_owned()))
}

async fn refused(manager: &Manager, words: &[&str]) -> Result<()> {
    let settings = manager.settings();
    let settings = settings.to_str().context("a path")?;
    let (code, text) = run("krakend-cluster-manager", &["--settings", settings]).await?;
    if code != EXIT_SETTINGS {
        bail!("exit code {code} instead of {EXIT_SETTINGS}: {text}");
    }
    says(&text, words)
}

fn says(text: &str, words: &[&str]) -> Result<()> {
    match words.iter().find(|word| !text.contains(*word)) {
        Some(word) => bail!("{word:?} is missing in: {text}"),
        None => Ok(()),
    }
}

fn problem(answer: &Answer, status: u16, words: &[&str]) -> Result<()> {
    if answer.status.as_u16() != status {
        bail!(
            "{} instead of {status}: {}",
            answer.status,
            answer.excerpt()
        );
    }
    let problem = answer.json()?;
    if problem["status"] != status || !problem["type"].is_string() {
        bail!("no problem details: {problem}");
    }
    says(problem["detail"].as_str().unwrap_or_default(), words)
}

const GOOD: &str = r#"{"version": 3, "endpoints": [
  {"endpoint": "/a", "backend": [{"url_pattern": "/b", "host": ["http://127.0.0.1:8000"]}]}
]}"#;

#[tokio::test]
async fn a_broken_settings_file_ends_with_78_and_names_file_and_key() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let manager = manager(dir.path(), 1)?;
    std::fs::write(manager.settings(), "bootstrap_expct: 3\n")?;
    refused(
        &manager,
        &["cluster-manager.yml", "bootstrap_expct", "bootstrap_expect"],
    )
    .await?;
    std::fs::write(manager.settings(), "name: [\n")?;
    refused(&manager, &["cluster-manager.yml", "line"]).await?;
    let service = dir.path().join("service.yml");
    std::fs::write(&service, "sed: 127.0.0.1:7000\n")?;
    let service = service.to_str().context("a path")?;
    let (code, text) = run("krakend-node", &["--settings", service]).await?;
    assert_eq!(code, EXIT_SETTINGS, "{text}");
    says(&text, &["sed", "seed"])?;
    let (code, _) = run("krakend-cluster-manager", &["--no-such-flag"]).await?;
    assert_eq!(code, 2);
    Ok(())
}

#[tokio::test]
async fn a_port_in_use_a_missing_and_an_open_secret_say_what_to_do() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let manager = manager(dir.path(), 1)?;
    let secret = dir.path().join("group-secret");
    manager.configure(&[manager.managers], &secret, 5)?;
    refused(&manager, &["group-secret", "openssl rand -hex 32"]).await?;
    write_private(&secret, "not hexadecimal\n")?;
    refused(&manager, &["group-secret", "64 hexadecimal digits"]).await?;
    std::fs::remove_file(&secret)?;
    write_secret(&secret)?;
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644))?;
    refused(&manager, &["group-secret", "chmod 600"]).await?;
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600))?;
    let _taken = std::net::TcpListener::bind(manager.http)?;
    let address = manager.http.to_string();
    refused(&manager, &["listen_http", &address, "in use"]).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_configuration_is_refused_with_line_and_column_and_changes_nothing() -> Result<()>
{
    let group = Group::start().await?;
    let first = Some(("if-none-match", "*"));
    let cases: [(&str, &[&str]); 6] = [
        (
            "{\"version\": 3,\n  \"endpoints\": [}",
            &["line 2", "column"],
        ),
        ("{\"version\": 2}", &["line 1", "version"]),
        (
            r#"{"version": 3, "endpoints": [{"endpoint": "/a", "backend": []}]}"#,
            &["backend"],
        ),
        (&GOOD.replace("/b", "/b/{id}"), &["line 2", "id"]),
        (
            r#"{"version": 3, "endpoints": [
              {"endpoint": "/a", "backend": [{"url_pattern": "/b", "host": ["http://127.0.0.1:8000"]}]},
              {"endpoint": "/a", "backend": [{"url_pattern": "/c", "host": ["http://127.0.0.1:8000"]}]}
            ]}"#,
            &["line 3", "/a"],
        ),
        (
            r#"{"version": 3, "endpoints": [], "extra_config": {"no/such-namespace": {}}}"#,
            &["no/such-namespace"],
        ),
    ];
    for (document, words) in cases {
        let answer = group.publish(document, first).await?;
        problem(&answer, 422, words)?;
        let findings = &answer.json()?["findings"];
        assert!(findings[0]["line"].is_u64() && findings[0]["code"].is_string());
    }
    assert_eq!(group.versions().await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_parent_an_oversized_body_and_a_bad_token_change_nothing() -> Result<()> {
    let group = Group::start().await?;
    problem(
        &group.publish(GOOD, None).await?,
        428,
        &["If-None-Match: *"],
    )?;
    let first = group
        .publish(GOOD, Some(("if-none-match", "*")))
        .await?
        .ok()?;
    let digest = first.json()?["digest"]
        .as_str()
        .context("a digest")?
        .to_owned();
    let changed = GOOD.replace("/b", "/c");
    let etag = format!("\"{digest}\"");
    group
        .publish(&changed, Some(("if-match", &etag)))
        .await?
        .ok()?;
    let stale = group.publish(GOOD, Some(("if-match", &etag))).await?;
    problem(&stale, 409, &["admin published version 2"])?;
    let stale = stale.json()?;
    assert_eq!(stale["current"]["number"], 2);
    says(
        stale["diff"].as_str().unwrap_or_default(),
        &["-", "/b", "+", "/c"],
    )?;
    let large = format!(
        "{{\"version\": 3, \"name\": \"{}\"}}",
        "x".repeat(16_900_000)
    );
    problem(
        &group.publish(&large, Some(("if-match", &etag))).await?,
        413,
        &["16777216", "max_document_bytes"],
    )?;
    let bad = Ask::get("/v1/nodes").header("authorization", "Bearer kcm_wrong");
    problem(&bad.send(group.http(), LIMIT).await?, 401, &["admin-token"])?;
    let none = Ask::get("/v1/nodes").send(group.http(), LIMIT).await?;
    problem(&none, 401, &["Authorization: Bearer"])?;
    assert_eq!(group.versions().await?, 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retried_publication_with_the_same_key_is_done_once() -> Result<()> {
    let group = Group::start().await?;
    let ask = |document: &str| {
        Ask::get("/v1/fleets/default/versions")
            .with_body("POST", Bytes::from(document.to_owned()))
            .header("if-none-match", "*")
            .header("idempotency-key", "7f1e")
    };
    let first = group.ask(ask(GOOD)).await?.ok()?.json()?;
    let again = group.ask(ask(GOOD)).await?.ok()?.json()?;
    assert_eq!(first, again);
    let other = group.ask(ask(&GOOD.replace("/b", "/c"))).await?;
    problem(&other, 422, &["Idempotency-Key"])?;
    assert_eq!(group.versions().await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_manager_cannot_open_the_same_data_directory() -> Result<()> {
    let group = Group::start().await?;
    let ports = ports::free(PORTS_EACH)?;
    let flags = [
        ("--listen-http", ports[0]),
        ("--listen-nodes", ports[1]),
        ("--listen-managers", ports[2]),
    ]
    .map(|(flag, port)| format!("{flag}=127.0.0.1:{port}"));
    let settings = group.manager.settings();
    let mut arguments = vec!["--settings", settings.to_str().context("a path")?];
    arguments.extend(flags.iter().map(String::as_str));
    let (code, text) = run("krakend-cluster-manager", &arguments).await?;
    assert_eq!(code, 1, "{text}");
    says(&text, &["data"])?;
    drop(group.dir);
    Ok(())
}

/// Waits until a manager's log says all of `words`.
async fn logs(manager: &Manager, words: &[&str]) -> Result<()> {
    until("a line in the log", LIMIT, || async {
        let log = std::fs::read_to_string(manager.log())?;
        Ok(match says(&log, words) {
            Ok(()) => Seen::Yes(()),
            Err(error) => Seen::No(error.to_string()),
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn managers_with_different_secrets_do_not_form_a_group_and_say_why() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut managers = [manager(dir.path(), 1)?, manager(dir.path(), 2)?];
    let peers = [managers[0].managers, managers[1].managers];
    for manager in &mut managers {
        let secret = manager.dir.join("group-secret");
        write_secret(&secret)?;
        manager.configure(&peers, &secret, 5)?;
        manager.start()?;
    }
    for (manager, other) in [(&managers[0], peers[1]), (&managers[1], peers[0])] {
        let other = other.to_string();
        logs(
            manager,
            &["1 of 2 managers are there", &other, "another group secret"],
        )
        .await?;
        assert!(!manager.admin_token().exists());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_directory_of_another_group_is_named_and_the_manager_stops() -> Result<()> {
    let group = Group::start().await?;
    let other = group.dir.path().join("other");
    std::fs::create_dir_all(&other)?;
    let mut second = manager(&other, 2)?;
    let secret = group.dir.path().join("group-secret");
    second.configure(&[second.managers], &secret, 5)?;
    second.start()?;
    until("a second group", LIMIT, || async {
        Ok(match second.admin_token().exists() {
            true => Seen::Yes(()),
            false => Seen::No("no admin token".into()),
        })
    })
    .await?;
    let process = second.process.as_mut().context("started")?;
    process.terminate()?;
    process.wait(LIMIT).await?;
    second.configure(&[second.managers, group.manager.managers], &secret, 5)?;
    second.start()?;
    let process = second.process.as_mut().context("started")?;
    let status = process.wait(LIMIT).await?;
    assert_eq!(status.code(), Some(1));
    logs(
        &second,
        &[
            "belongs to group",
            &group.manager.managers.to_string(),
            "data_dir",
        ],
    )
    .await
}
