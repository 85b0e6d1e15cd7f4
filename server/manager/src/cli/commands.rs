use std::{io::Read, path::Path};

use anyhow::Context;
use http::Method;
use krakend_api as api;
use serde::{Serialize, de::DeserializeOwned};

use super::{
    Client, Command, Config, License, Output, Token,
    client::{ApiClient, Ask},
    members,
    snapshot::{self, Snapshot},
    tables,
};

/// Runs one command against a manager.
pub async fn run(command: Command, options: &Client) -> anyhow::Result<()> {
    let client = ApiClient::new(options)?;
    let output = options.output;
    match command {
        Command::Status => status(&client, output).await,
        Command::Managers { command } => members::managers(&client, command, output).await,
        Command::Fleets(command) => members::fleets(&client, command, output).await,
        Command::Nodes { remove: None } => {
            show::<api::NodeList>(&client, "/v1/nodes", output, tables::nodes).await
        }
        Command::Nodes { remove: Some(id) } => {
            delete(&client, &format!("/v1/nodes/{id}")).await?;
            println!("{id} is removed; its seat is free");
            Ok(())
        }
        Command::Config(config) => configuration(&client, config, output).await,
        Command::License(license) => licensing(&client, license, output).await,
        Command::Token(token) => tokens(&client, token).await,
        Command::Snapshot(Snapshot::Save { file, force, stale }) => {
            snapshot::save(&client, (&file, force, stale), output).await
        }
        // These ask no manager and are done before.
        Command::Snapshot(_) | Command::Recover(_) => Ok(()),
        Command::Clock(clock) => clock.run(&client, output).await,
        Command::FeatureLevel(level) => level.run(&client, output).await,
        Command::Secret(secret) => secret.run(&client, output).await,
        Command::Keyring(keyring) => keyring.run(&client, output).await,
        Command::Events { limit } => {
            let path = format!("/v1/events?history=true&limit={limit}");
            show::<api::EventList>(&client, &path, output, tables::events).await
        }
        Command::Stats { fleet, range_s } => {
            let path = format!("/v1/statistics?fleet={fleet}&range_s={range_s}");
            show::<api::Statistics>(&client, &path, output, tables::statistics).await
        }
    }
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
    match output {
        Output::Json => println!("{}", serde_json::to_string_pretty(value)?),
        Output::Table => println!("{}", table(value)),
    }
    Ok(())
}

pub(super) async fn delete(client: &ApiClient, path: &str) -> anyhow::Result<()> {
    let ask = Ask {
        method: Method::DELETE,
        path: path.into(),
        ..Ask::default()
    };
    client.ask(ask).await.map(drop)
}

async fn status(client: &ApiClient, output: Output) -> anyhow::Result<()> {
    let status: api::GroupStatus = client.get("/v1/status?consistency=stale").await?;
    if output == Output::Json {
        return print(&status, output, |_| String::new());
    }
    let license: api::License = client.get("/v1/license?consistency=stale").await?;
    println!("{}", tables::status(&status, &license));
    Ok(())
}

async fn configuration(client: &ApiClient, command: Config, output: Output) -> anyhow::Result<()> {
    match command {
        Config::Publish {
            file,
            fleet,
            message,
            parent,
        } => publish(client, (&file, &fleet, &message), parent, output).await,
        Config::Check { file, fleet } => {
            let ask = Ask {
                method: Method::POST,
                path: format!("/v1/fleets/{fleet}/check"),
                body: read(&file)?,
                ..Ask::default()
            };
            let body = client.ask(ask).await?;
            let findings: Vec<api::Finding> = serde_json::from_slice(&body)?;
            for finding in &findings {
                println!(
                    "{} line {}, column {}: {}",
                    finding.severity, finding.line, finding.column, finding.message
                );
            }
            println!("{} can be published to fleet {fleet}", file.display());
            Ok(())
        }
        Config::List { fleet } => {
            let path = format!("/v1/fleets/{fleet}/versions");
            show::<api::VersionList>(client, &path, output, tables::versions).await
        }
        Config::Show { number, fleet } => {
            let path = format!("/v1/fleets/{fleet}/versions/{number}");
            let version: api::Version = client.get(&path).await?;
            println!("{}", serde_json::to_string_pretty(&version.document)?);
            Ok(())
        }
    }
}

async fn publish(
    client: &ApiClient,
    (file, fleet, message): (&Path, &str, &str),
    parent: Option<String>,
    output: Output,
) -> anyhow::Result<()> {
    let path = format!("/v1/fleets/{fleet}/versions");
    let parent = match parent {
        Some(parent) => Some(parent),
        None => {
            let list: api::VersionList = client.get(&format!("{path}?limit=1")).await?;
            list.versions.into_iter().next().map(|newest| newest.digest)
        }
    };
    let precondition = match parent {
        Some(digest) => ("if-match", format!("\"{digest}\"")),
        None => ("if-none-match", "*".into()),
    };
    let ask = Ask {
        method: Method::POST,
        path: format!("{path}?message={}", encode(message)),
        headers: vec![
            precondition,
            ("idempotency-key", uuid::Uuid::new_v4().to_string()),
            ("content-type", "application/json".into()),
        ],
        body: read(file)?,
    };
    let published: api::Published = serde_json::from_slice(&client.ask(ask).await?)?;
    print(&published, output, tables::published)
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

async fn tokens(client: &ApiClient, command: Token) -> anyhow::Result<()> {
    let post = |path: &str, body: serde_json::Value| Ask {
        method: Method::POST,
        path: path.into(),
        body: body.to_string().into_bytes(),
        ..Ask::default()
    };
    match command {
        Token::Create { name, role, ttl } => {
            let body = serde_json::json!({ "name": name, "role": role, "ttl_s": ttl });
            let made = client.ask(post("/v1/tokens", body)).await?;
            let made: serde_json::Value = serde_json::from_slice(&made)?;
            println!("{}", made["token"].as_str().unwrap_or_default());
        }
        Token::CreateJoin { fleet, ttl, uses } => {
            let body = serde_json::json!({ "fleet": fleet, "ttl_s": ttl, "max_uses": uses });
            let made = client.ask(post("/v1/join-tokens", body)).await?;
            let made: api::JoinToken = serde_json::from_slice(&made)?;
            println!("{}", made.token);
        }
        Token::List => {
            let list: serde_json::Value = client.get("/v1/tokens").await?;
            println!("{}", tables::tokens(&list));
        }
        Token::Revoke { id } => {
            delete(client, &format!("/v1/tokens/{id}")).await?;
            println!("{id} is revoked");
        }
    }
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
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
