//! The peer: three etcd members with their default settings, asked through their gRPC interface.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use tonic::transport::{Channel, Endpoint};

use crate::peer::{Client, Peer, SIZE};
use crate::process::{Members, Start, free_ports, loopback};
use crate::value::Values;

/// Generated from `schema/etcd.proto`.
#[allow(clippy::all)]
mod wire {
    tonic::include_proto!("etcdserverpb");
}

use wire::kv_client::KvClient;
use wire::maintenance_client::MaintenanceClient;
use wire::{PutRequest, RangeRequest, StatusRequest};

/// Connections to one member; more clients share them.
const MAX_CONNECTIONS: usize = 100;

/// Three etcd members on one machine.
#[derive(Debug)]
pub struct Etcd {
    members: Members,
    endpoints: Vec<String>,
    /// By member and place.
    channels: Mutex<HashMap<(usize, usize), Channel>>,
}

/// A caller who writes a key of its own.
#[derive(Debug)]
pub struct Writer {
    kv: KvClient<Channel>,
    key: Bytes,
    values: Values,
}

impl Etcd {
    /// Lays three members out below `dir`; none runs yet.
    ///
    /// # Errors
    /// The directory cannot be made, or no ports are free.
    pub fn new(dir: &Path, program: &Path) -> Result<Self> {
        std::fs::create_dir_all(dir).with_context(|| format!("make {}", dir.display()))?;
        let ports = free_ports(2 * SIZE)?;
        let url = |port: &u16| format!("http://{}", loopback(*port));
        let clients: Vec<String> = ports[..SIZE].iter().map(url).collect();
        let peers: Vec<String> = ports[SIZE..].iter().map(url).collect();
        let name = |member: usize| format!("etcd-{}", member + 1);
        let cluster: Vec<String> = (0..SIZE)
            .map(|member| format!("{}={}", name(member), peers[member]))
            .collect();
        let starts = (0..SIZE).map(|member| {
            let settings = [
                ("name", name(member)),
                ("data-dir", dir.join(name(member)).display().to_string()),
                ("listen-client-urls", clients[member].clone()),
                ("advertise-client-urls", clients[member].clone()),
                ("listen-peer-urls", peers[member].clone()),
                ("initial-advertise-peer-urls", peers[member].clone()),
                ("initial-cluster", cluster.join(",")),
                ("initial-cluster-state", "new".into()),
                ("log-level", "warn".into()),
            ];
            Start {
                name: name(member),
                program: program.to_owned(),
                arguments: settings
                    .map(|(key, value)| format!("--{key}={value}"))
                    .to_vec(),
                log: dir.join(format!("{}.log", name(member))),
            }
        });
        Ok(Self {
            members: Members::new(starts.collect()),
            endpoints: clients,
            channels: Mutex::default(),
        })
    }

    /// Connected at the first request, and again by itself.
    fn channel(&self, member: usize, number: usize) -> Result<Channel> {
        let key = (member, number % MAX_CONNECTIONS);
        let mut channels = self.channels.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(&key) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(self.endpoints[member].clone())?.tcp_nodelay(true);
        let channel = endpoint.connect_lazy();
        channels.insert(key, channel.clone());
        Ok(channel)
    }
}

impl Peer for Etcd {
    type Client = Writer;

    const NAME: &'static str = "etcd";

    fn members(&self) -> &Members {
        &self.members
    }

    fn members_mut(&mut self) -> &mut Members {
        &mut self.members
    }

    async fn leader(&self) -> Result<usize> {
        for member in 0..SIZE {
            let mut client = MaintenanceClient::new(self.channel(member, 0)?);
            let asked = patient(StatusRequest {}, Duration::from_secs(2));
            // A member that does not answer does not lead.
            let Ok(status) = client.status(asked).await else {
                continue;
            };
            let status = status.into_inner();
            let id = status.header.map_or(0, |header| header.member_id);
            if id != 0 && id == status.leader {
                return Ok(member);
            }
        }
        bail!("no etcd member says that it leads")
    }

    async fn connect(&self, member: usize, number: usize) -> Result<Writer> {
        Ok(Writer {
            kv: KvClient::new(self.channel(member, number)?),
            key: Bytes::from(format!("bench-{number}")),
            values: Values::new(),
        })
    }
}

impl Client for Writer {
    async fn write(&mut self, limit: Duration) -> Result<()> {
        let put = PutRequest {
            key: self.key.clone(),
            value: self.values.next_value(),
        };
        let answered = tokio::time::timeout(limit, self.kv.put(patient(put, limit))).await;
        answered.context("put: no answer in time")?.context("put")?;
        Ok(())
    }

    async fn read(&mut self, limit: Duration) -> Result<()> {
        let range = RangeRequest {
            key: self.key.clone(),
        };
        let answered = tokio::time::timeout(limit, self.kv.range(patient(range, limit))).await;
        let answer = answered
            .context("range: no answer in time")?
            .context("range")?;
        let found = answer.into_inner().kvs.into_iter().next();
        let found = found.context("range: the key is not there")?;
        if !self.values.is_last_in(&found.value) {
            bail!("range: the answer does not hold what was written last");
        }
        Ok(())
    }
}

/// A request that the server gives up at `limit` too.
fn patient<T>(message: T, limit: Duration) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request.set_timeout(limit);
    request
}
