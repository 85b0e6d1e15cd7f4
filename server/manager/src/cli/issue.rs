use std::path::PathBuf;

use anyhow::Context;
use krakend_domain::Claims;

use crate::{clock, license::LicenseKey, trust::GroupSecret};

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
    /// A file with `hs256:<hex>`, the same as the managers' license_key_file
    #[arg(long)]
    key_file: Option<PathBuf>,
    #[arg(long)]
    subscriber: String,
    #[arg(long, default_value = "business")]
    level: String,
    #[arg(long)]
    max_nodes: u32,
    /// Days from now
    #[arg(long, default_value_t = 365)]
    days: u64,
    /// Days after expiry in which everything goes on
    #[arg(long, default_value_t = 14)]
    grace_days: u32,
}

impl Issue {
    /// Prints the licence on standard output.
    pub fn run(self) -> anyhow::Result<()> {
        let key = match (&self.secret_file, &self.key_file) {
            (Some(path), _) => LicenseKey::of_group(&GroupSecret::read(path)?),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("reading {}", path.display()))?;
                LicenseKey::parse(&text).map_err(anyhow::Error::msg)?
            }
            (None, None) => anyhow::bail!("name --secret-file or --key-file"),
        };
        let now_ms = clock::now_ms();
        let claims = Claims {
            subscriber: self.subscriber,
            level: self.level,
            max_nodes: self.max_nodes,
            features: Vec::new(),
            not_before_ms: now_ms.saturating_sub(60_000),
            expires_ms: now_ms.saturating_add(self.days.saturating_mul(86_400_000)),
            grace_days: Some(self.grace_days),
        };
        let token = key
            .issue(&claims)
            .context("a public key only verifies: issue with the issuer's own tool")?;
        println!("{token}");
        Ok(())
    }
}
