//! Gossip packets that an attacker on the network sends: real ones are recorded on the bridge, and sent again, to the same member or
//! another, cut, changed, or with nothing of theirs but the first bytes.

mod capture;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio_util::sync::CancellationToken;

use super::checker::Finding;
use super::workload::{Clients, rng};
use crate::http::Ask;
use crate::wait;
use capture::{Capture, Seen};

const CHECK: &str = "packets";
const GOSSIP_PORT: u16 = 7000;
const PAUSE: Duration = Duration::from_millis(15);
/// What is random about packets.
const LANE: usize = 40_001;
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
const COUNTED_WITHIN: Duration = Duration::from_secs(30);
/// Of each kind at the end, to each member.
const VOLLEY: u64 = 10;
/// Of so many, some may be lost on the way: this is UDP.
const AT_LEAST: u64 = 24;
const LONGER_THAN_ANY: usize = 1_401;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Attack {
    /// A new packet once more to whom it was sent.
    Duplicate,
    /// An old or new packet to anybody.
    Replay,
    Truncate,
    /// One bit is another.
    Forge,
    /// The first bytes of a real one, then anything.
    Invent,
    Oversize,
}

impl Attack {
    const ALL: [Self; 6] = [
        Self::Duplicate,
        Self::Replay,
        Self::Truncate,
        Self::Forge,
        Self::Invent,
        Self::Oversize,
    ];

    /// The bytes to send in place of a real packet's.
    fn spoil(self, payload: &[u8], rng: &mut StdRng) -> Vec<u8> {
        let mut bytes = payload.to_vec();
        match self {
            Self::Duplicate | Self::Replay => {}
            Self::Truncate => bytes.truncate(rng.random_range(0..payload.len())),
            Self::Forge => {
                let bit = rng.random_range(0..bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            Self::Invent => {
                let kept = rng.random_range(0..bytes.len().min(24) + 1);
                rng.fill(&mut bytes[kept..]);
                // Otherwise it might be the packet itself.
                bytes[payload.len() - 1] = !payload[payload.len() - 1];
            }
            Self::Oversize => bytes.resize(rng.random_range(LONGER_THAN_ANY..8_000), 0),
        }
        bytes
    }
}

/// Somebody whose counters are looked at.
#[derive(Clone, Debug)]
pub struct Member {
    name: String,
    gossip: Ipv4Addr,
    /// Where its `/metrics` are.
    http: SocketAddr,
}

impl Member {
    /// One with its `/metrics` there.
    pub fn new(name: &str, http: SocketAddr) -> Self {
        let gossip = match http.ip() {
            IpAddr::V4(address) => address,
            IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        };
        Self {
            name: name.to_owned(),
            gossip,
            http,
        }
    }
}

/// The attacker. Clones share it.
#[derive(Clone, Debug)]
pub struct Packets {
    capture: Arc<Capture>,
    socket: Arc<UdpSocket>,
    hosts: Arc<Vec<Ipv4Addr>>,
    sent: Arc<Mutex<BTreeMap<Attack, u64>>>,
}

impl Packets {
    /// One on the bridge at `outside`, who sends to `hosts`.
    ///
    /// # Errors
    /// This machine does not allow it.
    pub fn new(outside: Ipv4Addr, hosts: Vec<Ipv4Addr>) -> Result<Self> {
        let [a, b, c, _] = outside.octets();
        Ok(Self {
            capture: Arc::new(Capture::start([a, b, c])?),
            socket: Arc::new(UdpSocket::bind((outside, 0)).context("open a UDP socket")?),
            hosts: Arc::new(hosts),
            sent: Arc::default(),
        })
    }

    /// Sends until it is told to stop.
    pub async fn run(self, seed: u64, stop: CancellationToken) {
        let mut rng = rng(seed, LANE);
        while tokio::time::timeout(PAUSE, stop.cancelled()).await.is_err() {
            let attack = Attack::ALL.choose(&mut rng).copied();
            let attack = attack.unwrap_or(Attack::Duplicate);
            let Some(seen) = self.pick(attack, &mut rng) else {
                continue;
            };
            let anybody = self.hosts.choose(&mut rng).copied();
            let to = match attack {
                Attack::Duplicate => *seen.to.ip(),
                _ => anybody.unwrap_or(*seen.to.ip()),
            };
            let bytes = attack.spoil(&seen.payload, &mut rng);
            self.send(attack, to, &bytes);
        }
    }

    fn pick(&self, attack: Attack, rng: &mut StdRng) -> Option<Seen> {
        self.capture.with(|store| match attack {
            Attack::Duplicate => store.fresh.back().cloned(),
            _ if store.old.is_empty() || rng.random_bool(0.3) => {
                let at = rng.random_range(0..store.fresh.len().max(1));
                store.fresh.get(at).cloned()
            }
            _ => store.old.choose(rng).cloned(),
        })
    }

    fn send(&self, attack: Attack, to: Ipv4Addr, bytes: &[u8]) {
        // Who is cut off or dead hears nothing, as of anybody.
        if self
            .socket
            .send_to(bytes, SocketAddrV4::new(to, GOSSIP_PORT))
            .is_ok()
        {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            *sent.entry(attack).or_default() += 1;
        }
    }

    /// Sends a known number to every member, each of which must count what it drops.
    pub async fn verify(&self, members: &[Member], clients: &Clients) -> Finding {
        let mut complaints = Vec::new();
        let mut dropped = 0;
        for member in members {
            match self.volley(member, clients).await {
                Ok(count) => dropped += count,
                Err(error) => complaints.push((format!("{}: {error:#}", member.name), Vec::new())),
            }
        }
        let sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
        let total: u64 = sent.values().sum();
        if total == 0 {
            complaints.push(("nothing was sent".into(), Vec::new()));
        }
        let recorded = self.capture.with(|store| store.count);
        let looked_at = format!(
            "{recorded} recorded, {total} sent {sent:?}; {} members have dropped {dropped} since their starts",
            members.len()
        );
        Finding::of(CHECK, looked_at, complaints)
    }

    async fn volley(&self, member: &Member, clients: &Clients) -> Result<u64> {
        let before = dropped(member, clients).await?;
        let mut rng = rng(0, LANE);
        let of_others: Vec<Seen> = self.capture.with(|store| {
            let others = store
                .fresh
                .iter()
                .filter(|it| *it.from.ip() != member.gossip);
            others.cloned().collect()
        });
        for _ in 0..VOLLEY {
            let seen = of_others.choose(&mut rng).context("nothing was recorded")?;
            for attack in [Attack::Truncate, Attack::Forge] {
                self.send(
                    attack,
                    member.gossip,
                    &attack.spoil(&seen.payload, &mut rng),
                );
            }
            // Whatever the member makes of the first: the second is one too many.
            for _ in 0..2 {
                self.send(Attack::Duplicate, member.gossip, &seen.payload);
            }
        }
        wait::until(
            "what was sent is counted as dropped",
            COUNTED_WITHIN,
            async || {
                let now = dropped(member, clients).await?;
                Ok(match now >= before + AT_LEAST {
                    true => wait::Seen::Yes(now),
                    false => wait::Seen::No(format!("{} of at least {AT_LEAST}", now - before)),
                })
            },
        )
        .await
    }
}

/// Packets that a member has refused since its start, by its own counters.
async fn dropped(member: &Member, clients: &Clients) -> Result<u64> {
    const NAMES: [&str; 4] = [
        "krakend_cluster_gossip_packets_refused_total",
        "krakend_cluster_gossip_packets_replayed_total",
        "krakend_cluster_gossip_packets_malformed_total",
        "krakend_node_gossip_packets_dropped_total",
    ];
    let ask = clients.authorised(Ask::get("/metrics"));
    let answer = ask.send(member.http, ANSWER_WITHIN).await?.ok()?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let lines = text
        .lines()
        .filter(|line| NAMES.iter().any(|name| line.starts_with(name)));
    let values: Vec<u64> = lines
        .filter_map(|line| line.rsplit(' ').next()?.parse().ok())
        .collect();
    anyhow::ensure!(
        !values.is_empty(),
        "{} has no counters of gossip packets",
        member.name
    );
    Ok(values.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_spoiled_is_not_what_it_was() {
        let payload: Vec<u8> = (0..60).collect();
        for seed in 0..500 {
            let mut rng = rng(seed, LANE);
            for attack in [
                Attack::Truncate,
                Attack::Forge,
                Attack::Invent,
                Attack::Oversize,
            ] {
                let spoiled = attack.spoil(&payload, &mut rng);
                assert_ne!(spoiled, payload, "seed {seed} {attack:?}");
            }
            assert_eq!(Attack::Replay.spoil(&payload, &mut rng), payload);
        }
    }
}
