//! Our side: three managers, started as a user starts them, asked through the HTTP API.

use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use hyper::{Method, StatusCode};
use rand::RngCore;
use serde::Deserialize;

use crate::http::Connection;
use crate::peer::{Client, Peer, REQUEST_LIMIT, SIZE};
use crate::process::{Members, Start, free_ports, loopback};
use crate::value::Values;

/// Clients that can be told apart: the fleets that a group may have, one of which is there from the beginning.
pub const MAX_CLIENTS: usize = 1_000;

/// Three managers on one machine.
#[derive(Debug)]
pub struct Managers {
    members: Members,
    api: Vec<SocketAddr>,
    nodes: Vec<SocketAddr>,
    secret: PathBuf,
    admin_token: PathBuf,
}

/// A caller who publishes to a fleet that is its own.
#[derive(Debug)]
pub struct Publisher {
    connection: Connection,
    fleet: String,
    /// Number and digest of the fleet's newest version, as far as this caller knows.
    newest: Option<Version>,
    values: Values,
}

#[derive(Clone, Debug, Deserialize)]
struct Version {
    number: u64,
    digest: String,
}

/// The part of a 409 that matters here.
#[derive(Debug, Deserialize)]
struct Stale {
    current: Option<Version>,
}

#[derive(Debug, Deserialize)]
struct Status {
    answered_by: String,
    leader_id: Option<String>,
}

impl Managers {
    /// Lays three managers out below `dir`; none runs yet.
    ///
    /// # Errors
    /// A directory or file cannot be written, or no ports are free.
    pub fn new(dir: &Path, program: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let secret = dir.join("group-secret");
        write_secret(&secret)?;
        let ports = free_ports(3 * SIZE)?;
        let (api, rest) = ports.split_at(SIZE);
        let (nodes, managers) = rest.split_at(SIZE);
        let peers: String = managers
            .iter()
            .map(|port| format!("  - {}\n", loopback(*port)))
            .collect();
        let starts = (0..SIZE).map(|member| {
            let name = format!("manager-{}", member + 1);
            let data = dir.join(&name);
            let settings = dir.join(format!("{name}.yml"));
            let text = format!(
                "name: {name}\ndata_dir: {}\nlisten_http: {}\nlisten_nodes: {}\nlisten_managers: {}\nadvertise: 127.0.0.1\npeers:\n{peers}bootstrap_expect: {SIZE}\nsecret_file: {}\n",
                data.display(),
                loopback(api[member]),
                loopback(nodes[member]),
                loopback(managers[member]),
                secret.display(),
            );
            std::fs::write(&settings, text)
                .with_context(|| format!("write {}", settings.display()))?;
            Ok(Start {
                log: dir.join(format!("{name}.log")),
                name,
                program: program.to_owned(),
                arguments: vec!["--settings".into(), settings.display().to_string()],
            })
        });
        Ok(Self {
            members: Members::new(starts.collect::<Result<_>>()?),
            api: api.iter().map(|port| loopback(*port)).collect(),
            nodes: nodes.iter().map(|port| loopback(*port)).collect(),
            secret,
            admin_token: dir.join("manager-1/admin-token"),
        })
    }

    /// Makes one fleet for each of `clients`.
    ///
    /// # Errors
    /// One is refused.
    pub async fn make_fleets(&self, clients: usize) -> Result<()> {
        let leader = self.leader().await?;
        futures::stream::iter(1..clients.min(MAX_CLIENTS))
            .map(|client| async move {
                let path = format!("/v1/fleets/{}", fleet(client));
                let mut connection = self.connection(leader)?;
                let answer = connection
                    .send(Method::PUT, &path, None, Bytes::new(), REQUEST_LIMIT)
                    .await?;
                answer.ok().map(drop)
            })
            .buffer_unordered(32)
            .try_collect()
            .await
    }

    /// Where nodes reach them.
    pub fn nodes(&self) -> &[SocketAddr] {
        &self.nodes
    }

    /// The file with the group's secret.
    pub fn secret(&self) -> &Path {
        &self.secret
    }

    /// One request to the leader; the body of a good answer.
    ///
    /// # Errors
    /// It is refused, or nobody leads.
    pub async fn ask(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes> {
        let mut connection = self.connection(self.leader().await?)?;
        let answer = connection.send(method, path, None, body, REQUEST_LIMIT);
        Ok(answer.await?.ok()?.body)
    }

    /// Nodes that the leader shows as active.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn active(&self) -> Result<usize> {
        Ok(self.nodes_by_state().await?.nodes_active)
    }

    /// Nodes that the leader shows as down.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn nodes_down(&self) -> Result<usize> {
        Ok(self.nodes_by_state().await?.nodes_down)
    }

    async fn nodes_by_state(&self) -> Result<NodesByState> {
        let path = "/v1/status?consistency=stale";
        let answer = self.ask(Method::GET, path, Bytes::new()).await?;
        serde_json::from_slice(&answer).context("the status")
    }

    fn connection(&self, member: usize) -> Result<Connection> {
        let token = std::fs::read_to_string(&self.admin_token)
            .with_context(|| format!("read {}", self.admin_token.display()))?;
        Connection::new(self.api[member], token.trim())
    }

    async fn status(&self, member: usize) -> Result<Status> {
        const PATH: &str = "/v1/status?consistency=stale";
        let limit = Duration::from_secs(2);
        let answer = self
            .connection(member)?
            .send(Method::GET, PATH, None, Bytes::new(), limit)
            .await?;
        serde_json::from_slice(&answer.ok()?.body).context("the status")
    }
}

#[derive(Deserialize)]
struct NodesByState {
    nodes_active: usize,
    nodes_down: usize,
}

impl Peer for Managers {
    type Client = Publisher;

    const NAME: &'static str = "ours";

    fn members(&self) -> &Members {
        &self.members
    }

    fn members_mut(&mut self) -> &mut Members {
        &mut self.members
    }

    async fn leader(&self) -> Result<usize> {
        for member in 0..SIZE {
            // A member that does not answer does not lead.
            let Ok(status) = self.status(member).await else {
                continue;
            };
            if status.leader_id.as_ref() == Some(&status.answered_by) {
                return Ok(member);
            }
        }
        bail!("no manager says that it leads")
    }

    async fn connect(&self, member: usize, number: usize) -> Result<Publisher> {
        let mut publisher = Publisher {
            connection: self.connection(member)?,
            fleet: fleet(number),
            newest: None,
            values: Values::new(),
        };
        publisher.look().await?;
        Ok(publisher)
    }
}

/// Clients have fleets of their own, so that no two publish on one parent.
fn fleet(client: usize) -> String {
    match client {
        0 => "default".into(),
        client => format!("bench-{client}"),
    }
}

impl Publisher {
    /// One who asks a server without a group behind it.
    ///
    /// # Errors
    /// None: the token is a constant.
    pub fn bare(address: SocketAddr, number: usize) -> Result<Self> {
        Ok(Self {
            connection: Connection::new(address, "none")?,
            fleet: fleet(number),
            newest: None,
            values: Values::new(),
        })
    }

    /// Where the fleet stands, from earlier callers.
    async fn look(&mut self) -> Result<()> {
        #[derive(Deserialize)]
        struct List {
            versions: Vec<Version>,
        }
        let path = format!("/v1/fleets/{}/versions?limit=1", self.fleet);
        let answer = self
            .connection
            .send(Method::GET, &path, None, Bytes::new(), REQUEST_LIMIT)
            .await?;
        let list: List = serde_json::from_slice(&answer.ok()?.body).context("the versions")?;
        self.newest = list.versions.into_iter().next();
        Ok(())
    }
}

impl Client for Publisher {
    async fn write(&mut self, limit: Duration) -> Result<()> {
        let path = format!("/v1/fleets/{}/versions", self.fleet);
        let etag = self.newest.as_ref().map(|it| format!("\"{}\"", it.digest));
        let precondition = match &etag {
            Some(etag) => ("if-match", etag.as_str()),
            None => ("if-none-match", "*"),
        };
        let body = self.values.next_value();
        let answer = self
            .connection
            .send(Method::POST, &path, Some(precondition), body, limit)
            .await?;
        if answer.status == StatusCode::CONFLICT {
            // An earlier write had no answer and was done after all: the next one continues from it.
            let stale: Stale = serde_json::from_slice(&answer.body).context("the conflict")?;
            self.newest = stale.current.or(self.newest.take());
        }
        let answer = answer.ok()?;
        self.newest = Some(serde_json::from_slice(&answer.body).context("the publication")?);
        Ok(())
    }

    async fn read(&mut self, limit: Duration) -> Result<()> {
        let number = self.newest.as_ref().map_or(0, |newest| newest.number);
        let path = format!("/v1/fleets/{}/versions/{number}", self.fleet);
        let answer = self
            .connection
            .send(Method::GET, &path, None, Bytes::new(), limit)
            .await?;
        if !self.values.is_last_in(&answer.ok()?.body) {
            bail!("{path}: the answer does not hold what was written last");
        }
        Ok(())
    }
}

fn write_secret(file: &Path) -> Result<()> {
    let mut bytes = [0_u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let open = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file);
    let written = open.and_then(|mut open| writeln!(open, "{hex}"));
    written.with_context(|| format!("write {}", file.display()))
}
