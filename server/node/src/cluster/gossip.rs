use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::Arc;
use std::time::Duration;

use krakend_gossip::{Config, Gossip, Hint, Role};
use tokio::net::{UdpSocket, lookup_host};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::settings::Settings;
use crate::store::{GossipKeys, Store};

/// How often members are remembered and names resolved anew.
const UPKEEP: Duration = Duration::from_secs(5);
const MAX_SEEDS: usize = 64;

/// This node's place in the gossip pool.
#[derive(Clone)]
pub struct Membership {
    gossip: Gossip,
    advertise: SocketAddr,
    /// Ends the upkeep with the last clone.
    _upkeep: Arc<DropGuard>,
}

impl Membership {
    /// Joins the pool. Everything that fails may work at another attempt.
    pub async fn start(
        settings: &Settings,
        store: &Arc<Store>,
        id: Uuid,
        keys: &GossipKeys,
        local_ip: IpAddr,
    ) -> anyhow::Result<Self> {
        let ring = keys
            .ring()
            .ok_or_else(|| anyhow::anyhow!("the stored gossip keys are damaged"))?;
        let listen = settings.gossip_listen;
        let socket = UdpSocket::bind(listen).await.map_err(|error| {
            anyhow::anyhow!(
                "cannot listen on {listen}/udp for gossip: {error}; set `gossip_listen`"
            )
        })?;
        let port = socket.local_addr()?.port();
        let advertise = match &settings.gossip_advertise {
            Some(given) => first_address(given).await?,
            None if listen.ip().is_unspecified() => SocketAddr::new(local_ip, port),
            None => SocketAddr::new(listen.ip(), port),
        };
        let gossip = Gossip::start(socket, advertise, id, Role::Node, ring, Config::lan()).await?;
        tracing::info!("gossip runs as {advertise}");
        gossip.join(&store.members());
        let stop = CancellationToken::new();
        let work = upkeep(gossip.clone(), settings.seeds.clone(), store.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(work));
        Ok(Self {
            gossip,
            advertise,
            _upkeep: Arc::new(stop.drop_guard()),
        })
    }

    pub fn advertise(&self) -> SocketAddr {
        self.advertise
    }

    pub fn hint(&self) -> watch::Receiver<Hint> {
        self.gossip.hint()
    }

    pub fn gossip(&self) -> &Gossip {
        &self.gossip
    }
}

/// Resolves the seeds anew and remembers who is there, so that the pool is found again when all seeds are gone.
async fn upkeep(gossip: Gossip, seeds: Vec<String>, store: Arc<Store>) {
    let mut remembered = store.members();
    loop {
        let mut found = Vec::new();
        let managers = gossip.hint().borrow().managers.clone();
        for seed in seeds.iter().chain(&managers) {
            if let Ok(addresses) = lookup_host(seed).await {
                found.extend(addresses);
            }
        }
        found.truncate(MAX_SEEDS / 2);
        gossip.join(&found);
        let members = gossip.members();
        let alive = members.iter().filter(|member| member.state.is_active());
        let mut alive: Vec<SocketAddr> = alive.map(|member| member.addr).collect();
        alive.sort();
        alive.truncate(MAX_SEEDS / 2);
        if !alive.is_empty() && alive != remembered {
            if let Err(error) = store.set_members(&alive) {
                tracing::warn!("the gossip members are not remembered: {error}");
            }
            remembered = alive;
        }
        tokio::time::sleep(UPKEEP).await;
    }
}

async fn first_address(name: &str) -> anyhow::Result<SocketAddr> {
    let mut found = lookup_host(name)
        .await
        .map_err(|error| anyhow::anyhow!("gossip_advertise {name} is not resolved: {error}"))?;
    found
        .next()
        .ok_or_else(|| anyhow::anyhow!("gossip_advertise {name} has no address"))
}

/// This machine's address towards the first of `addresses` that has a route. Nothing is sent.
pub async fn local_ip_towards(addresses: &[String]) -> Option<IpAddr> {
    for address in addresses {
        let Ok(mut found) = lookup_host(address).await else {
            continue;
        };
        let Some(target) = found.find(SocketAddr::is_ipv4) else {
            continue;
        };
        let local = StdUdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).and_then(|socket| {
            socket.connect(target)?;
            socket.local_addr()
        });
        if let Ok(local) = local {
            return Some(local.ip());
        }
    }
    None
}
