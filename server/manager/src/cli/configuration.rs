//! `config …`: versions of a fleet's configuration.

use std::{
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use clap::Subcommand;
use http::Method;
use krakend_api as api;

use super::{
    Output,
    client::{ApiClient, Ask, Refused},
    commands::{encode, read, show},
    nearest::hint,
    nodes,
    output::{Ended, LATE, REFUSED},
    tables,
};
use crate::duration::parse_duration;

const POLL: Duration = Duration::from_secs(1);

#[derive(Subcommand)]
pub enum Config {
    /// Publish a KrakenD configuration as the fleet's next version; `-` reads standard input
    Publish {
        file: PathBuf,
        #[arg(long, default_value = "default")]
        fleet: String,
        /// Why
        #[arg(short, long, default_value = "")]
        message: String,
        /// Digest of the version that you started from [default: the newest one]
        #[arg(long)]
        parent: Option<String>,
        /// Wait until every node has acknowledged it, as `config wait` does
        #[arg(long)]
        wait: bool,
    },
    /// Check a configuration without publishing it; `-` reads standard input
    Check {
        file: PathBuf,
        #[arg(long, default_value = "default")]
        fleet: String,
    },
    /// Versions of a fleet, newest first
    List {
        #[arg(long, default_value = "default")]
        fleet: String,
    },
    /// Print a version: its document, or with `--output json` all of it
    Show {
        /// [default: the newest]
        number: Option<u64>,
        #[arg(long, default_value = "default")]
        fleet: String,
    },
    /// What changed from one version to another, by endpoint and backend
    Diff {
        from: u64,
        /// [default: the newest]
        to: Option<u64>,
        #[arg(long, default_value = "default")]
        fleet: String,
        /// Both documents line by line
        #[arg(long)]
        unified: bool,
    },
    /// Publish an old version's content as a new version
    Rollback {
        /// Number of the version to go back to
        to: u64,
        #[arg(long, default_value = "default")]
        fleet: String,
        /// Why
        #[arg(short, long, default_value = "")]
        message: String,
        /// Wait until every node has acknowledged it, as `config wait` does
        #[arg(long)]
        wait: bool,
    },
    /// Write a version's document, byte for byte as it was published
    Export {
        /// [default: the newest]
        number: Option<u64>,
        #[arg(long, default_value = "default")]
        fleet: String,
        /// File to write [default: standard output]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Wait until every living node of the fleet has acknowledged a version
    ///
    /// Ends with 0 when all have it, with 3 as soon as a gateway refuses it (its words are printed), and with 4 when the
    /// time is over.
    Wait {
        /// [default: the newest]
        number: Option<u64>,
        #[arg(long, default_value = "default")]
        fleet: String,
        /// How long, for instance 90s or 10m
        #[arg(long, default_value = "5m", value_parser = parse_duration)]
        timeout: u64,
    },
}

impl Config {
    pub async fn run(self, client: &ApiClient, output: Output) -> anyhow::Result<()> {
        let fleet = self.fleet().to_owned();
        let done = self.carry_out(client, output).await;
        match done {
            Err(error) => Err(with_fleets(client, error, &fleet).await),
            done => done,
        }
    }

    fn fleet(&self) -> &str {
        match self {
            Self::Publish { fleet, .. }
            | Self::Check { fleet, .. }
            | Self::List { fleet }
            | Self::Show { fleet, .. }
            | Self::Diff { fleet, .. }
            | Self::Rollback { fleet, .. }
            | Self::Export { fleet, .. }
            | Self::Wait { fleet, .. } => fleet,
        }
    }

    async fn carry_out(self, client: &ApiClient, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Publish {
                file,
                fleet,
                message,
                parent,
                wait: waits,
            } => {
                let published = publish(client, (&file, &fleet, &message), parent).await?;
                output.print(&published, tables::published)?;
                match waits {
                    true => wait(client, &fleet, published.number, Duration::from_secs(300)).await,
                    false => Ok(()),
                }
            }
            Self::Check { file, fleet } => check(client, &file, &fleet, output).await,
            Self::List { fleet } => {
                let path = format!("/v1/fleets/{}/versions", encode(&fleet));
                show::<api::VersionList>(client, &path, output, tables::versions).await
            }
            Self::Show { number, fleet } => {
                let path = version_path(client, &fleet, number).await?;
                let version: api::Version = client.get(&path).await?;
                output.print(&version, |version| {
                    serde_json::to_string_pretty(&version.document).unwrap_or_default()
                })
            }
            Self::Diff {
                from,
                to,
                fleet,
                unified,
            } => {
                let to = number_or_newest(client, &fleet, to).await?;
                let path = format!("/v1/fleets/{}/diff?from={from}&to={to}", encode(&fleet));
                let diff: api::ConfigurationDiff = client.get(&path).await?;
                output.print(&diff, |diff| match unified {
                    true => diff.unified.trim_end().to_owned(),
                    false => changes(diff),
                })
            }
            Self::Rollback {
                to,
                fleet,
                message,
                wait: waits,
            } => {
                let body = serde_json::json!({ "to": to, "message": message });
                let path = format!("/v1/fleets/{}/rollback", encode(&fleet));
                let done = client.ask(Ask::post(path, &body)).await?;
                let done: api::Published = serde_json::from_slice(&done)?;
                output.print(&done, |done| {
                    format!("{}: the content of v{to} again", tables::published(done))
                })?;
                match waits {
                    true => wait(client, &fleet, done.number, Duration::from_secs(300)).await,
                    false => Ok(()),
                }
            }
            Self::Export {
                number,
                fleet,
                file,
            } => export(client, &fleet, number, file.as_deref()).await,
            Self::Wait {
                number,
                fleet,
                timeout,
            } => {
                let number = number_or_newest(client, &fleet, number).await?;
                wait(client, &fleet, number, Duration::from_secs(timeout)).await
            }
        }
    }
}

/// Names the fleets there are when the one that was asked for is not one of them.
pub async fn with_fleets(client: &ApiClient, error: anyhow::Error, fleet: &str) -> anyhow::Error {
    let unknown = error
        .downcast_ref::<Refused>()
        .is_some_and(|refused| refused.kind == "no-such-fleet" || refused.status == 404);
    if !unknown {
        return error;
    }
    let known = client
        .get::<api::FleetList>("/v1/fleets?consistency=stale")
        .await;
    let known = known.map(|list| list.fleets).unwrap_or_default();
    let names: Vec<_> = known.iter().map(|it| it.name.as_str()).collect();
    match names.is_empty() || names.contains(&fleet) {
        true => error,
        false => anyhow::anyhow!("there is no fleet {fleet}{}", hint(fleet, names)),
    }
}

async fn newest(client: &ApiClient, fleet: &str) -> anyhow::Result<Option<api::VersionSummary>> {
    let path = format!("/v1/fleets/{}/versions?limit=1", encode(fleet));
    let list: api::VersionList = client.get(&path).await?;
    Ok(list.versions.into_iter().next())
}

async fn number_or_newest(
    client: &ApiClient,
    fleet: &str,
    number: Option<u64>,
) -> anyhow::Result<u64> {
    if let Some(number) = number {
        return Ok(number);
    }
    match newest(client, fleet).await? {
        Some(newest) => Ok(newest.number),
        None => {
            bail!("the fleet {fleet} has no version yet; `config publish FILE` makes the first")
        }
    }
}

async fn version_path(
    client: &ApiClient,
    fleet: &str,
    number: Option<u64>,
) -> anyhow::Result<String> {
    let number = number_or_newest(client, fleet, number).await?;
    Ok(format!("/v1/fleets/{}/versions/{number}", encode(fleet)))
}

async fn publish(
    client: &ApiClient,
    (file, fleet, message): (&Path, &str, &str),
    parent: Option<String>,
) -> anyhow::Result<api::Published> {
    let body = read(file)?;
    let parent = match parent {
        Some(parent) => Some(parent),
        None => newest(client, fleet).await?.map(|newest| newest.digest),
    };
    let precondition = match parent {
        Some(digest) => ("if-match", format!("\"{digest}\"")),
        None => ("if-none-match", "*".into()),
    };
    let ask = Ask {
        method: Method::POST,
        path: format!(
            "/v1/fleets/{}/versions?message={}",
            encode(fleet),
            encode(message)
        ),
        headers: vec![
            precondition,
            ("idempotency-key", uuid::Uuid::new_v4().to_string()),
            ("content-type", "application/json".into()),
        ],
        body,
        ..Ask::default()
    };
    Ok(serde_json::from_slice(&client.ask(ask).await?)?)
}

async fn check(client: &ApiClient, file: &Path, fleet: &str, output: Output) -> anyhow::Result<()> {
    let ask = Ask {
        method: Method::POST,
        path: format!("/v1/fleets/{}/check", encode(fleet)),
        headers: vec![("content-type", "application/json".into())],
        body: read(file)?,
        ..Ask::default()
    };
    let findings: Vec<api::Finding> = serde_json::from_slice(&client.ask(ask).await?)?;
    output.print(&findings, |findings| {
        let mut lines: Vec<_> = findings.iter().map(tables::finding).collect();
        lines.push(format!(
            "{} can be published to fleet {fleet}",
            file.display()
        ));
        lines.join("\n")
    })
}

async fn export(
    client: &ApiClient,
    fleet: &str,
    number: Option<u64>,
    to: Option<&Path>,
) -> anyhow::Result<()> {
    let path = format!("{}/document", version_path(client, fleet, number).await?);
    let ask = Ask {
        path,
        ..Ask::default()
    };
    let document = client.ask(ask).await?;
    match to {
        None => std::io::stdout()
            .write_all(&document)
            .context("writing the document"),
        Some(file) => {
            std::fs::write(file, &document).with_context(|| format!("writing {}", file.display()))
        }
    }
}

/// The structural differences, as a person reads them.
fn changes(diff: &api::ConfigurationDiff) -> String {
    let mut lines = vec![format!(
        "{}: v{} → v{}: {} endpoints added, {} changed, {} removed",
        diff.fleet,
        diff.from,
        diff.to,
        diff.endpoints_added,
        diff.endpoints_changed,
        diff.endpoints_removed
    )];
    for change in &diff.changes {
        let mark = match change.kind {
            api::ChangeKind::Added => '+',
            api::ChangeKind::Changed => '~',
            api::ChangeKind::Removed => '-',
        };
        match change.details.as_slice() {
            [one] => lines.push(format!("{mark} {}: {one}", change.subject)),
            several => {
                lines.push(format!("{mark} {}", change.subject));
                lines.extend(several.iter().map(|detail| format!("    {detail}")));
            }
        }
    }
    lines.join("\n")
}

/// Where every living node of a fleet stands with a version.
#[derive(Default)]
struct Progress {
    have: Vec<String>,
    pending: Vec<String>,
    refused: Vec<(String, String)>,
}

fn progress(nodes: &[api::Node], fleet: &str, number: u64) -> Progress {
    let mut progress = Progress::default();
    for node in nodes.iter().filter(|node| node.fleet == fleet) {
        if !matches!(
            node.state,
            api::NodeState::Active | api::NodeState::Unreachable
        ) {
            continue;
        }
        let name = node.name.clone();
        match &node.refusal {
            _ if node.applied_version >= Some(number) => progress.have.push(name),
            Some(refusal) if node.desired_version == Some(number) => {
                progress.refused.push((name, refusal.clone()));
            }
            _ => progress.pending.push(name),
        }
    }
    progress
}

async fn wait(client: &ApiClient, fleet: &str, number: u64, limit: Duration) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut told = String::new();
    loop {
        let answer = nodes::all(client).await;
        let late = began.elapsed() > limit;
        match answer {
            // A leader that is being elected is no reason to fail a pipeline.
            Err(error) if late => return Err(error),
            Err(error)
                if error
                    .downcast_ref::<Refused>()
                    .is_some_and(|it| it.status.is_client_error()) =>
            {
                return Err(error);
            }
            Err(_) => {}
            Ok(nodes) => {
                let progress = progress(&nodes, fleet, number);
                if let Some((name, reason)) = progress.refused.first() {
                    let count = progress.refused.len();
                    let text = format!("{count} node(s) refuse v{number}; {name} says:\n{reason}");
                    return Err(Ended::with(REFUSED, text));
                }
                let total = progress.have.len() + progress.pending.len();
                let line = format!("v{number} on {} of {total} nodes", progress.have.len());
                if progress.pending.is_empty() {
                    println!("{line}");
                    return Ok(());
                }
                if late {
                    let names = progress.pending.join(", ");
                    let text = format!("{line} after {} s; without it: {names}", limit.as_secs());
                    return Err(Ended::with(LATE, text));
                }
                if line != told {
                    eprintln!("{line}");
                    told = line;
                }
            }
        }
        tokio::time::sleep(POLL).await;
    }
}
