use std::{io::Read, path::Path};

use anyhow::Context;
use http::Method;
use krakend_api as api;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Client, Command, License, Output, Token,
    client::{ApiClient, Ask},
    members, nodes,
    snapshot::{self, Snapshot},
    status, tables,
};

/// Runs one command against a manager.
pub async fn run(command: Command, options: &Client) -> anyhow::Result<()> {
    let client = ApiClient::new(options)?;
    let output = options.output;
    match command {
        Command::Status(watch) => status::run(&client, watch, output).await,
        Command::Managers { command } => members::managers(&client, command, output).await,
        Command::Fleets(command) => members::fleets(&client, command, output).await,
        Command::Nodes { command, list } => match command {
            None => list.run(&client, output).await,
            Some(command) => command.run(&client, output).await,
        },
        Command::Config(config) => config.run(&client, output).await,
        Command::Rollout(rollout) => rollout.run(&client, output).await,
        Command::License(license) => licensing(&client, license, output).await,
        Command::Token(token) => tokens(&client, token, output).await,
        Command::Snapshot(Snapshot::Save { file, force, stale }) => {
            snapshot::save(&client, (&file, force, stale), output).await
        }
        // These ask no manager and are done before.
        Command::Snapshot(_)
        | Command::Recover(_)
        | Command::Completion { .. }
        | Command::Man { .. } => Ok(()),
        Command::Clock(clock) => clock.run(&client, output).await,
        Command::FeatureLevel(level) => level.run(&client, output).await,
        Command::Secret(secret) => secret.run(&client, output).await,
        Command::Keyring(keyring) => keyring.run(&client, output).await,
        Command::Audit(audit) => audit.run(&client, output).await,
        Command::Debug(debug) => debug.run(&client).await,
        Command::Log { lines } => {
            let path = format!("/v1/log?lines={lines}");
            let log: api::ManagerLog = client.get(&path).await?;
            output.print(&log, |log| nodes::log_lines(&log.lines))
        }
        Command::LogLevel { level, node } => log_level(&client, level, node, output).await,
        Command::Events { limit } => {
            let path = format!("/v1/events?history=true&limit={limit}");
            show::<api::EventList>(&client, &path, output, tables::events).await
        }
        Command::Stats { fleet, range_s } => {
            let path = format!("/v1/statistics?fleet={}&range_s={range_s}", encode(&fleet));
            show::<api::Statistics>(&client, &path, output, tables::statistics).await
        }
    }
}

async fn log_level(
    client: &ApiClient,
    level: Option<String>,
    node: Option<String>,
    output: Output,
) -> anyhow::Result<()> {
    const PATH: &str = "/v1/log-level";
    if let Some(node) = node {
        let (name, set) = nodes::set_log_level(client, &node, level).await?;
        return output.print(&set, |set| {
            let level = set.level.as_deref().unwrap_or_default();
            format!("{name} logs at {level} until its next start")
        });
    }
    let Some(level) = level else {
        return show::<api::LogLevel>(client, PATH, output, |set| {
            set.level.clone().unwrap_or_default()
        })
        .await;
    };
    let ask = Ask {
        method: Method::PUT,
        ..Ask::post(PATH, &serde_json::json!({ "level": level }))
    };
    let set: api::LogLevel = serde_json::from_slice(&client.ask(ask).await?)?;
    output.print(&set, |set| {
        let level = set.level.as_deref().unwrap_or_default();
        format!("the manager that answered logs at {level} until its next start")
    })
}

pub async fn show<T: DeserializeOwned + Serialize>(
    client: &ApiClient,
    path: &str,
    output: Output,
    table: fn(&T) -> String,
) -> anyhow::Result<()> {
    let value: T = client.get(path).await?;
    print(&value, output, table)
}

pub fn print<T: Serialize>(
    value: &T,
    output: Output,
    table: fn(&T) -> String,
) -> anyhow::Result<()> {
    output.print(value, table)
}

pub(super) async fn delete(client: &ApiClient, path: &str) -> anyhow::Result<()> {
    let ask = Ask {
        method: Method::DELETE,
        path: path.into(),
        ..Ask::default()
    };
    client.ask(ask).await.map(drop)
}

async fn licensing(client: &ApiClient, command: License, output: Output) -> anyhow::Result<()> {
    match command {
        License::Issue(issue) => issue.run(),
        License::NewKey(new_key) => new_key.run(),
        License::Verify(verify) => {
            let license = ask_license(client, Method::POST, "/v1/license/verify", &verify.file);
            print(&license.await?, output, tables::license)
        }
        License::Show => show::<api::License>(client, "/v1/license", output, tables::license).await,
        License::Remove => {
            delete(client, "/v1/license").await?;
            println!("the licence is removed; the free limits hold");
            Ok(())
        }
        License::Install { file } => {
            let license = ask_license(client, Method::PUT, "/v1/license", &file).await?;
            print(&license, output, tables::license)
        }
    }
}

async fn ask_license(
    client: &ApiClient,
    method: Method,
    path: &str,
    file: &Path,
) -> anyhow::Result<api::License> {
    let token = read_text(file)?;
    let ask = Ask {
        method,
        path: path.into(),
        body: serde_json::to_vec(&serde_json::json!({ "token": token.trim() }))?,
        ..Ask::default()
    };
    Ok(serde_json::from_slice(&client.ask(ask).await?)?)
}

pub(super) fn read_text(file: &Path) -> anyhow::Result<String> {
    String::from_utf8(read(file)?).with_context(|| format!("{} is no text", file.display()))
}

async fn tokens(client: &ApiClient, command: Token, output: Output) -> anyhow::Result<()> {
    let post = |path: &str, body: serde_json::Value| Ask::post(path, &body);
    match command {
        Token::Create { name, role, ttl } => {
            let body = serde_json::json!({ "name": name, "role": role, "ttl_s": ttl });
            let made = client.ask(post("/v1/tokens", body)).await?;
            let made: serde_json::Value = serde_json::from_slice(&made)?;
            output.print(&made, |made| {
                made["token"].as_str().unwrap_or_default().to_owned()
            })?;
        }
        Token::CreateJoin { fleet, ttl, uses } => {
            let body = serde_json::json!({ "fleet": fleet, "ttl_s": ttl, "max_uses": uses });
            let made = client.ask(post("/v1/join-tokens", body)).await?;
            let made: api::JoinToken = serde_json::from_slice(&made)?;
            output.print(&made, |made| made.token.clone())?;
        }
        Token::List => {
            let list: serde_json::Value = client.get("/v1/tokens").await?;
            output.print(&list, tables::tokens)?;
        }
        Token::Revoke { id } => {
            delete(client, &format!("/v1/tokens/{id}")).await?;
            println!("{id} is revoked");
        }
    }
    Ok(())
}

pub(super) fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes)?;
        return Ok(bytes);
    }
    std::fs::read(path).with_context(|| format!("reading {}", path.display()))
}

/// Percent-encodes a query value.
pub(super) fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        })
        .collect()
}
