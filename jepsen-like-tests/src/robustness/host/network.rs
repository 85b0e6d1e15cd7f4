use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use anyhow::Result;

use super::ip::ip;

/// A cut from one host to another; what flows back is another cut.
pub type Cut = (usize, usize);

/// The cables between hosts. A cut is a neighbour entry that points to a hardware address which nobody has: packets leave
/// and vanish without a word, in one direction, and the kernel needs no packet filter for it.
#[derive(Clone, Debug)]
pub struct Network {
    slot: u8,
    names: Vec<String>,
    addresses: Vec<Ipv4Addr>,
}

impl Network {
    pub(super) fn new(slot: u8, names: Vec<String>, addresses: Vec<Ipv4Addr>) -> Self {
        Self {
            slot,
            names,
            addresses,
        }
    }

    /// The hardware address of a host.
    pub fn mac(&self, host: usize) -> String {
        format!("02:6b:6a:{:02x}:00:{host:02x}", self.slot)
    }

    /// The hardware address that nobody has.
    fn nowhere(&self) -> String {
        format!("02:6b:6a:{:02x}:ff:ff", self.slot)
    }

    /// Lets through everything but `cuts`.
    ///
    /// # Errors
    /// The kernel refuses; which part holds then is unknown.
    pub fn set(&self, cuts: &BTreeSet<Cut>) -> Result<()> {
        for (from, name) in self.names.iter().enumerate() {
            for (to, address) in self.addresses.iter().enumerate() {
                if from == to {
                    continue;
                }
                let mac = if cuts.contains(&(from, to)) {
                    self.nowhere()
                } else {
                    self.mac(to)
                };
                ip(&format!(
                    "-n {name} neigh replace {address} lladdr {mac} dev eth0 nud permanent"
                ))?;
            }
        }
        Ok(())
    }

    /// Lets everything through.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn heal(&self) -> Result<()> {
        self.set(&BTreeSet::new())
    }
}
