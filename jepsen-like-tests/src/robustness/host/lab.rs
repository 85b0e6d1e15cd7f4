use std::fs::File;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, anyhow};

use super::ip::{ip, program};
use super::network::Network;
use super::stale::{self, PREFIX};

/// Why there is no lab.
#[derive(Debug)]
pub enum LabError {
    /// This machine does not allow it: the run is skipped, and says so.
    NotPermitted(String),
    /// Something broke.
    Broken(anyhow::Error),
}

/// Namespaces and a bridge; removed when dropped, with every process in them.
#[derive(Debug)]
pub struct Lab {
    slot: u8,
    hosts: usize,
}

impl Lab {
    /// Makes `hosts` hosts. First removes what dead owners left.
    ///
    /// # Errors
    /// No root, no `ip`, no namespaces: [`LabError::NotPermitted`].
    pub fn new(hosts: usize) -> Result<Self, LabError> {
        if program().is_none() {
            let reason = "there is no `ip` program (package iproute2)";
            return Err(LabError::NotPermitted(reason.into()));
        }
        // One at a time: another start must not take a half-made lab for a dead one.
        let lock = std::env::temp_dir().join("krakend-jepsen.lock");
        let lock = File::create(&lock)
            .with_context(|| format!("open {}", lock.display()))
            .and_then(|file| file.lock().map(|()| file).map_err(Into::into))
            .map_err(LabError::Broken)?;
        stale::unmount_dead();
        for slot in stale::remove_dead() {
            eprintln!("removed the hosts {PREFIX}{slot}* of an earlier run that died");
        }
        let lab = Self {
            slot: claim()?,
            hosts,
        };
        lab.build().map_err(LabError::Broken)?;
        drop(lock);
        Ok(lab)
    }

    fn build(&self) -> Result<()> {
        let bridge = self.bridge();
        ip(&format!(
            "link set dev {bridge} alias {}",
            stale::owner_mark()
        ))?;
        ip(&format!("addr add {}/24 dev {bridge}", self.outside()))?;
        ip(&format!("link set {bridge} up"))?;
        for host in 0..self.hosts {
            self.add_host(host)?;
        }
        let network = self.network();
        network.heal()?;
        let outside = std::fs::read_to_string(format!("/sys/class/net/{bridge}/address"))?;
        for host in 0..self.hosts {
            // No address resolution: on a busy machine it is a fault of its own.
            let (name, mac) = (self.namespace(host), network.mac(host));
            ip(&format!(
                "neigh replace {} lladdr {mac} dev {bridge} nud permanent",
                self.address(host)
            ))?;
            ip(&format!(
                "-n {name} neigh replace {} lladdr {} dev eth0 nud permanent",
                self.outside(),
                outside.trim()
            ))?;
        }
        Ok(())
    }

    fn add_host(&self, host: usize) -> Result<()> {
        let (name, cable) = (
            self.namespace(host),
            format!("{PREFIX}{}v{host}", self.slot),
        );
        ip(&format!("netns add {name}"))?;
        ip(&format!(
            "link add {cable} type veth peer name eth0 address {} netns {name}",
            self.network().mac(host)
        ))?;
        ip(&format!("link set {cable} master {} up", self.bridge()))?;
        ip(&format!(
            "-n {name} addr add {}/24 dev eth0",
            self.address(host)
        ))?;
        ip(&format!("-n {name} link set lo up"))?;
        ip(&format!("-n {name} link set eth0 up")).map(drop)
    }

    fn bridge(&self) -> String {
        format!("{PREFIX}{}b", self.slot)
    }

    /// The namespace of a host.
    pub fn namespace(&self, host: usize) -> String {
        format!("{PREFIX}{}h{host}", self.slot)
    }

    /// A host's address, in the block that is set aside for tests of network devices (RFC 2544).
    pub fn address(&self, host: usize) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.slot, u8::try_from(host + 1).unwrap_or(253))
    }

    /// Where clients are: on the bridge itself, so that no partition cuts them off.
    pub fn outside(&self) -> Ipv4Addr {
        Ipv4Addr::new(198, 18, self.slot, 254)
    }

    /// The cables between the hosts.
    pub fn network(&self) -> Network {
        let names = (0..self.hosts).map(|host| self.namespace(host)).collect();
        let addresses = (0..self.hosts).map(|host| self.address(host)).collect();
        Network::new(self.slot, names, addresses)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        stale::remove(self.slot);
    }
}

/// The first free slot: making the bridge is what takes it.
fn claim() -> Result<u8, LabError> {
    let mut last = anyhow!("no slot was tried");
    for slot in 0..=u8::MAX {
        match ip(&format!("link add {PREFIX}{slot}b type bridge")) {
            Ok(_) => match ip(&format!("netns add {PREFIX}{slot}hx")) {
                Ok(_) => {
                    let _ = ip(&format!("netns del {PREFIX}{slot}hx"));
                    return Ok(slot);
                }
                Err(error) => {
                    stale::remove(slot);
                    return Err(LabError::NotPermitted(format!("{error:#}")));
                }
            },
            Err(error) => {
                let text = format!("{error:#}");
                if text.contains("not permitted") || text.contains("not supported") {
                    return Err(LabError::NotPermitted(text));
                }
                last = error;
            }
        }
    }
    Err(LabError::Broken(
        last.context("every slot for hosts is taken"),
    ))
}
