//! `debug bundle`: everything that somebody needs who was not there, and no secret.

mod scrub;

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};
use flate2::{Compression, write::GzEncoder};
use krakend_api as api;
use serde_json::{Value, json};

use super::client::{ApiClient, Ask};
use scrub::Scrubber;

/// For one answer: a manager that hangs must not keep the others' out of the bundle.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
const LOG_LINES: u32 = 2_000;
/// Nodes whose logs are fetched; the troubled ones first.
const MAX_NODE_LOGS: usize = 50;
/// A line of a settings file longer than this is cut.
const MAX_SETTINGS: usize = 256 << 10;

/// What each manager is asked, and the file that the answer goes into. All of it is shown to operators anyway.
const ANSWERS: [(&str, &str); 14] = [
    ("/readyz", "readyz.txt"),
    ("/metrics", "metrics.txt"),
    ("/v1/status?consistency=stale", "status.json"),
    ("/v1/managers?consistency=stale", "managers.json"),
    ("/v1/nodes?consistency=stale", "nodes.json"),
    ("/v1/fleets?consistency=stale", "fleets.json"),
    ("/v1/license?consistency=stale", "license.json"),
    ("/v1/clock?consistency=stale", "clock.json"),
    ("/v1/feature-level?consistency=stale", "feature-level.json"),
    ("/v1/secret?consistency=stale", "secrets-by-name.json"),
    ("/v1/keyring?consistency=stale", "keyring-by-name.json"),
    (
        "/v1/events?history=true&limit=1000&consistency=stale",
        "events.json",
    ),
    ("/v1/tokens?consistency=stale", "tokens-by-name.json"),
    ("/v1/audit?limit=200&consistency=stale", "audit.json"),
];

#[derive(clap::Subcommand)]
pub enum Debug {
    /// Collect state, metrics, settings and logs of all managers and nodes that answer into a .tar.gz
    ///
    /// Secrets are removed: tokens, keys, licences, passwords and credentials in addresses. Configurations are not in it,
    /// only the list of their versions.
    Bundle {
        /// File to write [default: krakend-cluster-<time>.tar.gz]
        file: Option<PathBuf>,
        /// Settings files of this machine that go along, scrubbed [default: those in /etc/krakend that can be read]
        #[arg(long, value_name = "FILE")]
        settings_file: Vec<PathBuf>,
    },
}

impl Debug {
    pub async fn run(self, client: &ApiClient) -> anyhow::Result<()> {
        let Self::Bundle {
            file,
            settings_file,
        } = self;
        let now = jiff::Zoned::now();
        let stem = now.strftime("krakend-cluster-%Y%m%d-%H%M%S").to_string();
        let file = file.unwrap_or_else(|| PathBuf::from(format!("{stem}.tar.gz")));
        let mut bundle = Bundle::create(&file, stem, client)?;
        collect(client, &mut bundle).await?;
        let settings = match settings_file.is_empty() {
            false => settings_file,
            true => ["cluster-manager.yml", "service.yml"]
                .map(|name| Path::new("/etc/krakend").join(name))
                .to_vec(),
        };
        for path in settings {
            bundle.settings(&path)?;
        }
        let (files, removed) = bundle.finish()?;
        println!(
            "{}: {files} files; {removed} secrets were removed",
            file.display()
        );
        Ok(())
    }
}

/// An archive being written.
struct Bundle {
    tar: tar::Builder<GzEncoder<std::fs::File>>,
    stem: String,
    scrubber: Scrubber,
    files: u32,
    /// What could not be had, and why.
    missing: Vec<Value>,
    mtime: u64,
}

impl Bundle {
    /// A new file that only its owner reads.
    fn create(file: &Path, stem: String, client: &ApiClient) -> anyhow::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut options = std::fs::OpenOptions::new();
        let open = options.write(true).create_new(true).mode(0o600).open(file);
        let open = open.with_context(|| format!("making {}", file.display()))?;
        let gzip = GzEncoder::new(open, Compression::default());
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Ok(Self {
            tar: tar::Builder::new(gzip),
            stem,
            scrubber: Scrubber::new([client.token()]),
            files: 0,
            missing: Vec::new(),
            mtime: since.map_or(0, |since| since.as_secs()),
        })
    }

    fn add(&mut self, name: &str, content: &[u8]) -> anyhow::Result<()> {
        let text = self.scrubber.scrub(&String::from_utf8_lossy(content));
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(self.mtime);
        let path = format!("{}/{name}", self.stem);
        self.tar
            .append_data(&mut header, path, text.as_bytes())
            .context("writing the bundle")?;
        self.files += 1;
        Ok(())
    }

    fn miss(&mut self, what: &str, why: &str) {
        self.missing.push(json!({ "what": what, "why": why }));
    }

    fn settings(&mut self, path: &Path) -> anyhow::Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        match std::fs::read(path) {
            Ok(mut text) => {
                text.truncate(MAX_SETTINGS);
                self.add(&format!("settings/{name}"), &text)
            }
            Err(error) => {
                self.miss(&path.display().to_string(), &error.to_string());
                Ok(())
            }
        }
    }

    /// How many files are in it, and how many secrets are not.
    fn finish(mut self) -> anyhow::Result<(u32, u64)> {
        let about = json!({
            "made_at": jiff::Timestamp::now().to_string(),
            "program": env!("CARGO_PKG_VERSION"),
            "missing": self.missing,
        });
        self.add(
            "about.json",
            serde_json::to_string_pretty(&about)?.as_bytes(),
        )?;
        let (files, removed) = (self.files, self.scrubber.removed());
        let mut gzip = self.tar.into_inner().context("writing the bundle")?;
        gzip.flush()?;
        gzip.finish()?.sync_all().context("writing the bundle")?;
        Ok((files, removed))
    }
}

async fn collect(client: &ApiClient, bundle: &mut Bundle) -> anyhow::Result<()> {
    let mut reached = None;
    for (name, server) in managers(client).await {
        let manager = client.only(&server);
        let mut answered = false;
        for (path, file) in ANSWERS {
            match get(&manager, path).await {
                Ok(body) => {
                    answered = true;
                    bundle.add(&format!("managers/{name}/{file}"), &body)?;
                }
                Err(error) => bundle.miss(&format!("{server}{path}"), &error.to_string()),
            }
        }
        match manager
            .get::<api::ManagerLog>(&format!("/v1/log?lines={LOG_LINES}"))
            .await
        {
            Ok(log) => {
                let text = super::nodes::log_lines(&log.lines);
                bundle.add(&format!("managers/{name}/log.txt"), text.as_bytes())?;
            }
            Err(error) => bundle.miss(&format!("{server}/v1/log"), &error.to_string()),
        }
        if answered && reached.is_none() {
            reached = Some(manager);
        }
    }
    let Some(manager) = reached else {
        bail!("no manager answered, so there is nothing to collect");
    };
    collect_once(&manager, bundle).await
}

/// What every manager would answer alike.
async fn collect_once(client: &ApiClient, bundle: &mut Bundle) -> anyhow::Result<()> {
    let fleets = client
        .get::<api::FleetList>("/v1/fleets?consistency=stale")
        .await;
    for fleet in fleets.map(|list| list.fleets).unwrap_or_default() {
        let name = super::commands::encode(&fleet.name);
        let path = format!("/v1/fleets/{name}/versions?consistency=stale");
        match get(client, &path).await {
            Ok(body) => bundle.add(&format!("fleets/{name}-versions.json"), &body)?,
            Err(error) => bundle.miss(&path, &error.to_string()),
        }
    }
    let mut nodes = super::nodes::all_stale(client).await.unwrap_or_default();
    nodes.retain(|node| node.state == api::NodeState::Active);
    // Those that something is wrong with.
    nodes.sort_by_key(|node| {
        node.refusal.is_none() && node.ready != Some(false) && node.drift.is_none()
    });
    for node in nodes.iter().take(MAX_NODE_LOGS) {
        let path = format!("/v1/nodes/{}/log?lines={LOG_LINES}", node.id);
        match client.get::<api::NodeLog>(&path).await {
            Ok(log) => {
                let text = super::nodes::log_lines(&log.lines);
                let name = file_name(&node.name);
                bundle.add(
                    &format!("nodes/{name}-{}.log", &node.id[..8]),
                    text.as_bytes(),
                )?;
            }
            Err(error) => bundle.miss(&path, &error.to_string()),
        }
    }
    if nodes.len() > MAX_NODE_LOGS {
        let left = format!("{} more", nodes.len() - MAX_NODE_LOGS);
        bundle.miss("logs of nodes", &left);
    }
    Ok(())
}

/// Every manager once, by name: those that were named, and those that they tell of.
async fn managers(client: &ApiClient) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let scheme = match client.servers().first() {
        Some(server) if server.starts_with("https://") => "https",
        _ => "http",
    };
    for server in client.servers() {
        let manager = client.only(server);
        if let Ok(status) = manager
            .get::<api::GroupStatus>("/v1/status?consistency=stale")
            .await
        {
            found.insert(file_name(&status.answered_by_name), server.clone());
        }
    }
    let told = client
        .get::<api::ManagerList>("/v1/managers?consistency=stale")
        .await;
    for manager in told.map(|list| list.managers).unwrap_or_default() {
        let server = format!("{scheme}://{}", manager.http_address);
        found.entry(file_name(&manager.name)).or_insert(server);
    }
    found
}

async fn get(client: &ApiClient, path: &str) -> anyhow::Result<Vec<u8>> {
    let ask = Ask {
        path: path.into(),
        within: ANSWER_WITHIN,
        ..Ask::default()
    };
    client.ask(ask).await
}

/// A name that a path may hold.
fn file_name(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let name: String = name
        .chars()
        .map(|c| if plain(c) { c } else { '_' })
        .take(80)
        .collect();
    match name.trim_matches('.') {
        "" => "unnamed".into(),
        name => name.into(),
    }
}
