use std::time::{Duration, Instant};

use clap::Subcommand;
use http::Method;
use krakend_api as api;

use super::{
    Output,
    client::{ApiClient, Ask},
    commands::{print, show},
};

const PATH: &str = "/v1/keyring";

/// A change that waits for nodes is tried again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

#[derive(Subcommand)]
pub enum Keyring {
    /// The keys that gossip accepts, the one in use, and which nodes have not taken over the newest ring
    List,
    /// Add a key: all members accept it, none signs with it yet
    Install {
        /// Packets under this key are encrypted, too (XChaCha20-Poly1305)
        #[arg(long)]
        encrypt: bool,
    },
    /// Sign with a key from now on; waits until every living node holds it
    Use {
        /// Id from `keyring list`, or `initial`
        key: String,
        /// Seconds to wait for nodes
        #[arg(long, default_value_t = 30)]
        wait: u64,
    },
    /// Accept a key no longer; waits until every living node signs with the other one
    Remove {
        /// Id from `keyring list`, or `initial`
        key: String,
        /// Seconds to wait for nodes
        #[arg(long, default_value_t = 30)]
        wait: u64,
    },
}

impl Keyring {
    pub async fn run(self, client: &ApiClient, output: Output) -> anyhow::Result<()> {
        match self {
            Self::List => show::<api::KeyringStatus>(client, PATH, output, table).await,
            Self::Install { encrypt } => {
                let body = serde_json::to_vec(&serde_json::json!({ "encrypt": encrypt }))?;
                let done = ask(client, Method::POST, PATH.into(), body, 0).await?;
                print(&done, output, |done| {
                    let id = done["installed"].as_str().unwrap_or_default();
                    format!(
                        "installed the gossip key {id}; `keyring use {id}` begins to sign with it"
                    )
                })
            }
            Self::Use { key, wait } => {
                let path = format!("{PATH}/{key}/use");
                let done = ask(client, Method::POST, path, Vec::new(), wait).await?;
                print(&done, output, |done| {
                    let key = done["in_use"].as_str().unwrap_or_default();
                    format!("gossip is signed with {key}; `keyring remove` takes the old key away")
                })
            }
            Self::Remove { key, wait } => {
                let path = format!("{PATH}/{key}");
                let done = ask(client, Method::DELETE, path, Vec::new(), wait).await?;
                print(&done, output, |done| {
                    let key = done["removed"].as_str().unwrap_or_default();
                    format!("the gossip key {key} is accepted no more")
                })
            }
        }
    }
}

/// Repeats what is refused because nodes have not taken the ring over, each time as a new request.
async fn ask(
    client: &ApiClient,
    method: Method,
    path: String,
    body: Vec<u8>,
    wait_s: u64,
) -> anyhow::Result<serde_json::Value> {
    let until = Instant::now() + Duration::from_secs(wait_s);
    loop {
        let ask = Ask {
            method: method.clone(),
            path: path.clone(),
            headers: vec![("idempotency-key", uuid::Uuid::new_v4().to_string())],
            body: body.clone(),
            ..Ask::default()
        };
        match client.ask(ask).await {
            Ok(answer) => return Ok(serde_json::from_slice(&answer)?),
            Err(error) if Instant::now() < until && is_awaited(&error) => {
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            Err(error) => return Err(error),
        }
    }
}

fn is_awaited(error: &anyhow::Error) -> bool {
    format!("{error:#}").contains("do not hold the gossip key yet")
}

fn table(status: &api::KeyringStatus) -> String {
    let mut table = super::table::Table::new(&["key", "in use", "encrypts", "installed", "by"]);
    for key in &status.keys {
        let mark = |on: bool| if on { "yes" } else { "" };
        table.add_row([
            key.id.as_str(),
            mark(key.in_use),
            mark(key.encrypts),
            key.installed.as_deref().unwrap_or("with the group"),
            key.installed_by.as_deref().unwrap_or(""),
        ]);
    }
    let mut text = table.to_string();
    for key in status.keys.iter().filter(|key| !key.usable) {
        let secret = key.secret.as_deref().unwrap_or_default();
        text += &format!(
            "\n{} derives from the group secret {secret}, which this manager does not hold",
            key.id
        );
    }
    if !status.waiting_for.is_empty() {
        let names = status.waiting_for.join(", ");
        text += &format!("\nnot taken over yet by {names}");
    }
    text
}
