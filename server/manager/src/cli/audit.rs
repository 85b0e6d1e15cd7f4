//! `audit …`: who did what.

use std::{io::Write, path::PathBuf};

use anyhow::{Context, bail};
use clap::Subcommand;
use krakend_api as api;

use super::{Output, client::ApiClient, commands::encode, table::Table};

const PAGE: u32 = 500;

#[derive(clap::Args, Clone, Default)]
pub struct Filter {
    /// Only of this fleet
    #[arg(long)]
    fleet: Option<String>,
    /// Only by this token or manager, by name
    #[arg(long)]
    actor: Option<String>,
    /// Only this action, for instance publish
    #[arg(long)]
    action: Option<String>,
    /// Not before this time (RFC 3339)
    #[arg(long)]
    from: Option<String>,
    /// Not after this time (RFC 3339)
    #[arg(long)]
    to: Option<String>,
}

impl Filter {
    fn query(&self) -> String {
        let parts = [
            ("fleet", &self.fleet),
            ("actor", &self.actor),
            ("action", &self.action),
            ("from", &self.from),
            ("to", &self.to),
        ];
        let given = parts.iter().filter_map(|(name, value)| {
            let value = value.as_ref()?;
            Some(format!("&{name}={}", encode(value)))
        });
        given.collect()
    }
}

#[derive(Subcommand)]
pub enum Audit {
    /// The newest writes: who, what, before, after, from where
    List {
        #[command(flatten)]
        filter: Filter,
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// The whole trail, oldest first, one JSON record a line, with the hashes that chain them
    Export {
        #[command(flatten)]
        filter: Filter,
        /// File to write [default: standard output]
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// Have the chain of hashes computed anew; ends with 1 when it does not hold
    Verify,
}

impl Audit {
    pub async fn run(self, client: &ApiClient, output: Output) -> anyhow::Result<()> {
        match self {
            Self::List { filter, limit } => {
                let path = format!("/v1/audit?limit={limit}{}", filter.query());
                let list: api::AuditList = client.get(&path).await?;
                output.print(&list, table)
            }
            Self::Export { filter, file } => {
                let mut records = all(client, &filter).await?;
                records.reverse();
                let mut text = String::new();
                for record in &records {
                    text.push_str(&serde_json::to_string(record)?);
                    text.push('\n');
                }
                match file {
                    None => std::io::stdout()
                        .write_all(text.as_bytes())
                        .context("writing"),
                    Some(file) => std::fs::write(&file, text)
                        .with_context(|| format!("writing {}", file.display())),
                }
            }
            Self::Verify => {
                let found: api::AuditVerification = client.get("/v1/audit/verify").await?;
                output.print(&found, verified)?;
                match found.ok {
                    true => Ok(()),
                    false => bail!(
                        "the audit trail does not hold: {}",
                        found.problem.unwrap_or_default()
                    ),
                }
            }
        }
    }
}

/// Newest first, page by page.
async fn all(client: &ApiClient, filter: &Filter) -> anyhow::Result<Vec<api::AuditRecord>> {
    let mut records = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/audit?limit={PAGE}{}{cursor}", filter.query());
        let page: api::AuditList = client.get(&path).await?;
        records.extend(page.records);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={}", encode(&next)),
            None => return Ok(records),
        }
    }
}

fn table(list: &api::AuditList) -> String {
    let mut table = Table::new(&[
        "index", "time", "who", "action", "what", "before", "after", "from",
    ]);
    let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".into());
    for record in &list.records {
        table.add_row([
            record.index.to_string(),
            record.time.clone(),
            record.actor.name.clone(),
            record.action.clone(),
            record.subject.clone(),
            text(&record.before),
            text(&record.after),
            text(&record.actor.address),
        ]);
    }
    format!("{table}\n{} of {} records", list.records.len(), list.total)
}

fn verified(found: &api::AuditVerification) -> String {
    let number = |index: Option<u64>| index.map_or("-".into(), |index| index.to_string());
    format!(
        "{} records, index {} to {}: {}\nhead {}",
        found.records,
        number(found.from_index),
        number(found.to_index),
        if found.ok {
            "the chain holds"
        } else {
            "the chain is broken"
        },
        found.head.as_deref().unwrap_or("-")
    )
}
