//! Issuing licences: a tool of its own with a key file of its own, which needs no manager.

use std::path::PathBuf;

use anyhow::Context;
use krakend_domain::Claims;

use super::{Output, commands, tables};
use crate::{
    clock,
    http::license_of,
    license::{self, Algorithm, Groups, IssuerKey, License, LicenseKey},
    trust::GroupSecret,
};

const DAY_MS: u64 = 86_400_000;

/// Issues a licence.
#[derive(clap::Args)]
pub struct Issue {
    /// The group secret of a group that issues to itself
    #[arg(
        long,
        conflicts_with = "key_file",
        required_unless_present = "key_file"
    )]
    secret_file: Option<PathBuf>,
    /// The issuer's key file, see `license new-key`
    #[arg(long)]
    key_file: Option<PathBuf>,
    #[arg(long)]
    subscriber: String,
    #[arg(long, default_value = "business")]
    level: String,
    #[arg(long)]
    max_nodes: u32,
    /// A feature that it allows; may be given several times
    #[arg(long = "feature")]
    features: Vec<String>,
    /// Days from its beginning
    #[arg(long, default_value_t = 365)]
    days: u64,
    /// When it ends, RFC 3339, for instance 2027-12-31T00:00:00Z, instead of --days
    #[arg(long, value_parser = parse_time, conflicts_with = "days")]
    expires: Option<u64>,
    /// When it begins, RFC 3339 [default: now]
    #[arg(long, value_parser = parse_time)]
    not_before: Option<u64>,
    /// Days after expiry in which everything goes on
    #[arg(long, default_value_t = 14)]
    grace_days: u32,
    /// Id of the only group that may install it, as `status` shows it [default: any]
    #[arg(long)]
    group: Option<uuid::Uuid>,
}

/// Makes an issuer's key.
#[derive(clap::Args)]
pub struct NewKey {
    /// How it signs
    #[arg(long, default_value = "eddsa")]
    algorithm: Algorithm,
    /// The file to be made, mode 0600; keep it off the managers
    #[arg(long)]
    out: PathBuf,
}

/// Verifies a licence.
#[derive(clap::Args)]
pub struct Verify {
    /// The licence; `-` reads standard input
    pub file: PathBuf,
    /// The managers' license_key_file
    #[arg(long, conflicts_with = "secret_file")]
    key_file: Option<PathBuf>,
    /// The group secret of a group that issues to itself
    #[arg(long)]
    secret_file: Option<PathBuf>,
    /// Id of the group that it is for
    #[arg(long)]
    group: Option<uuid::Uuid>,
    /// The time at which it should be valid, RFC 3339 [default: now]
    #[arg(long, value_parser = parse_time)]
    at: Option<u64>,
}

fn parse_time(text: &str) -> Result<u64, String> {
    clock::parse_rfc3339(text)
        .ok_or_else(|| "write RFC 3339, for instance 2027-12-31T00:00:00Z".into())
}

impl Issue {
    /// Prints the licence on standard output.
    pub fn run(self) -> anyhow::Result<()> {
        let key = match (&self.secret_file, &self.key_file) {
            (Some(path), _) => IssuerKey::of_group(&GroupSecret::read(path)?),
            (None, Some(path)) => IssuerKey::read(path)?,
            (None, None) => anyhow::bail!("name --secret-file or --key-file"),
        };
        // A minute earlier, for clocks that are behind.
        let now_ms = clock::now_ms().saturating_sub(60_000);
        let not_before_ms = self.not_before.unwrap_or(now_ms);
        let span_ms = self.days.saturating_mul(DAY_MS);
        let begins_ms = self.not_before.unwrap_or_else(clock::now_ms);
        let license = License {
            claims: Claims {
                subscriber: self.subscriber,
                level: self.level,
                max_nodes: self.max_nodes,
                features: self.features,
                not_before_ms,
                expires_ms: self
                    .expires
                    .unwrap_or_else(|| begins_ms.saturating_add(span_ms)),
                grace_days: Some(self.grace_days),
            },
            group: self.group.map(|group| group.to_string()),
        };
        println!("{}", license.issue(&key)?);
        Ok(())
    }
}

impl NewKey {
    /// Writes the file and prints the line for the managers.
    pub fn run(self) -> anyhow::Result<()> {
        let (_, line) = IssuerKey::create(&self.out, self.algorithm)?;
        println!("{line}");
        let secret = match self.algorithm {
            Algorithm::Eddsa => "put the line above into every manager's license_key_file",
            Algorithm::Hs256 => {
                "put the line above, which is as secret as the file, into every manager's license_key_file, mode 0600"
            }
        };
        eprintln!("issue with --key-file {}; {secret}", self.out.display());
        Ok(())
    }
}

impl Verify {
    /// Whether it can be done without a manager.
    pub fn is_offline(&self) -> bool {
        self.key_file.is_some() || self.secret_file.is_some()
    }

    /// Verifies without a manager.
    pub fn run(self, output: Output) -> anyhow::Result<()> {
        let keys = match (&self.key_file, &self.secret_file) {
            (Some(path), _) => LicenseKey::read_all(path)?,
            (None, Some(path)) => GroupSecret::read_all(path)?
                .iter()
                .map(LicenseKey::of_group)
                .collect(),
            (None, None) => anyhow::bail!("name --key-file or --secret-file"),
        };
        let token = commands::read_text(&self.file)?;
        let now_ms = self.at.unwrap_or_else(clock::now_ms);
        let license = license::read(&keys, &token)?;
        let groups = Groups {
            is: self
                .group
                .or_else(|| license.group.as_deref()?.parse().ok()),
            was: Vec::new(),
        };
        license.check(now_ms, &groups)?;
        let mut shown = license_of(Some(&license.claims), 0, now_ms);
        shown.group = license.group;
        commands::print(&shown, output, tables::license).context("printing")
    }
}
