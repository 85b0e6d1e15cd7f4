//! The API keeps to its own description, as tools see it that know nothing else of it.

mod common;
mod group;

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use group::{Group, LIMIT};
use jepsen_like_tests::http::Ask;
use serde_json::Value;
use tokio::process::Command;

/// Tools in Python that `cargo xtask setup` puts into a virtual environment in the user's cache.
fn tool(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os("KRAKEND_CM_CONTRACT_TOOLS").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let dir = named.or_else(|| Some(cache?.join("krakend-cluster-manager/contract-venv")))?;
    let tool = dir.join("bin").join(name);
    if !tool.is_file() {
        common::skip(&format!(
            "{} is not there: run `cargo xtask setup`",
            tool.display()
        ));
        return None;
    }
    Some(tool)
}

async fn run(mut command: Command, limit: Duration) -> Result<(bool, String)> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(limit, command.output())
        .await
        .with_context(|| format!("{command:?} goes on"))??;
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok((output.status.success(), text))
}

async fn describe(group: &Group) -> Result<PathBuf> {
    let document = group.ask(0, Ask::get("/v1/openapi.json")).await?.ok()?;
    let file = group.dir.path().join("openapi.json");
    std::fs::write(&file, &document.body)?;
    Ok(file)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_is_valid_openapi_and_makes_a_client_that_works() -> Result<()> {
    let (Some(validator), Some(generator), Some(python)) = (
        tool("openapi-spec-validator"),
        tool("openapi-python-client"),
        tool("python"),
    ) else {
        return Ok(());
    };
    let group = Group::start(1).await?;
    let file = describe(&group).await?;
    let mut command = Command::new(validator);
    command.arg(&file);
    let (valid, said) = run(command, Duration::from_secs(120)).await?;
    ensure!(valid, "{said}");

    let client = group.dir.path().join("client");
    let mut command = Command::new(&generator);
    command.args(["generate", "--meta", "none", "--overwrite"]);
    command
        .arg("--path")
        .arg(&file)
        .arg("--output-path")
        .arg(&client);
    let (made, said) = run(command, Duration::from_secs(300)).await?;
    ensure!(made, "{said}");
    const CALLS: &str = r#"
import sys
from client import AuthenticatedClient
from client.api.default import get_status, get_fleets
from client.models import GroupStatus, FleetList
with AuthenticatedClient(base_url=sys.argv[1], token=sys.argv[2]) as client:
    status = get_status.sync(client=client)
    assert isinstance(status, GroupStatus), status
    fleets = get_fleets.sync(client=client)
    assert isinstance(fleets, FleetList), fleets
    print(status.voters, [fleet.name for fleet in fleets.fleets])
"#;
    let mut command = Command::new(python);
    command.current_dir(group.dir.path()).args(["-c", CALLS]);
    command.arg(format!("http://{}", group.http(0)));
    command.arg(&group.token);
    let (worked, said) = run(command, Duration::from_secs(120)).await?;
    ensure!(worked, "{said}");
    assert_eq!(said.trim(), "1 ['default']");
    Ok(())
}

/// Waits for minutes, as it should.
const BLOCKING: &str = "#/components/parameters/Index";

/// Leaves parameters out, wherever they are referred to.
fn without(value: &mut Value, references: &[String]) {
    match value {
        Value::Object(map) => map.values_mut().for_each(|it| without(it, references)),
        Value::Array(items) => {
            items.retain(|it| {
                let to = it["$ref"].as_str();
                to.is_none_or(|to| !references.iter().any(|it| it == to))
            });
            items.iter_mut().for_each(|it| without(it, references));
        }
        _ => {}
    }
}

/// What a client that reads the description sends, right and wrong, with a fixed seed. Left
/// out are streams, blocking reads, and headers: it takes a header that nobody knows for a wrong one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn schemathesis_finds_nothing() -> Result<()> {
    let Some(schemathesis) = tool("schemathesis") else {
        return Ok(());
    };
    let group = Group::start(1).await?;
    let file = describe(&group).await?;
    let mut document: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
    let parameters = &document["components"]["parameters"];
    let headers: Vec<String> = parameters.as_object().context("parameters")?.iter().fold(
        vec![BLOCKING.to_owned()],
        |mut names, (name, parameter)| {
            if parameter["in"] == "header" {
                names.push(format!("#/components/parameters/{name}"));
            }
            names
        },
    );
    without(&mut document, &headers);
    std::fs::write(&file, document.to_string())?;
    let mut command = Command::new(schemathesis);
    command.arg("run").arg(&file);
    command
        .arg("--url")
        .arg(format!("http://{}", group.http(0)));
    command.arg("--header");
    command.arg(format!("Authorization: Bearer {}", group.token));
    command.args(["--seed", "1", "--max-examples", "15", "--workers", "1"]);
    command.args(["--phases", "examples,coverage,fuzzing"]);
    // Statuses that say no are all `default`; what may be sent in vain is judged by the next check.
    command.args([
        "--exclude-checks",
        // Wrong tokens in a row are answered with 429, which that check does not know: the next test asks every route.
        "unsupported_method,positive_data_acceptance,ignored_auth",
    ]);
    command.args([
        "--exclude-path",
        "/v1/events",
        "--exclude-path",
        "/v1/snapshot",
    ]);
    command.args(["--suppress-health-check", "all", "--no-color"]);
    command.env("NO_COLOR", "1").current_dir(group.dir.path());
    let (nothing, said) = run(command, Duration::from_secs(900)).await?;
    let end: String = said.chars().rev().take(12_000).collect();
    let end: String = end.chars().rev().collect();
    ensure!(nothing, "{end}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_that_wants_a_token_refuses_who_has_none() -> Result<()> {
    const OPEN: [&str; 5] = [
        "/livez",
        "/readyz",
        "/v1/openapi.json",
        // Begins and ends a browser's session.
        "POST /v1/session",
        "DELETE /v1/session",
    ];
    let group = Group::start(1).await?;
    let document = Ask::get("/v1/openapi.json")
        .send(group.http(0), LIMIT)
        .await?;
    let document: Value = document.ok()?.json()?;
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().context("paths")? {
        for method in methods.as_object().context("methods")?.keys() {
            let method = method.to_uppercase();
            if OPEN.contains(&path.as_str()) || OPEN.contains(&&*format!("{method} {path}")) {
                continue;
            }
            let real = path
                .replace("{fleet}", "default")
                .replace("{number}", "1")
                .replace("{id}", "3f20a44d-3d93-4bc9-829b-b76b22055142")
                .replace("{manager}", "manager-1")
                .replace("{key}", "initial");
            let ask = match method.as_str() {
                "GET" => Ask::get(real),
                "DELETE" => Ask::get(real).with_body("DELETE", Vec::new().into()),
                "PUT" => Ask::get(real).with_body("PUT", b"{}".to_vec().into()),
                _ => Ask::get(real).with_body("POST", b"{}".to_vec().into()),
            };
            let answer = ask.send(group.http(0), LIMIT).await?;
            ensure!(
                answer.status.as_u16() == 401,
                "{method} {path} without a token: {} {}",
                answer.status,
                answer.excerpt()
            );
            asked += 1;
        }
    }
    ensure!(asked > 40, "only {asked} routes were asked");
    Ok(())
}
