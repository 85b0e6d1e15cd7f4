use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

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
    cuts: Arc<Mutex<Cuts>>,
}

/// Who wants what cut. What one heals stays cut for the other.
#[derive(Debug, Default)]
struct Cuts {
    managers: BTreeSet<Cut>,
    nodes: BTreeSet<Cut>,
    /// What the kernel was told; `None` before the first time.
    told: Option<BTreeSet<Cut>>,
}

impl Network {
    pub(super) fn new(slot: u8, names: Vec<String>, addresses: Vec<Ipv4Addr>) -> Self {
        Self {
            slot,
            names,
            addresses,
            cuts: Arc::default(),
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

    /// Lets through everything but `cuts` and those of [`Self::set_nodes`].
    ///
    /// # Errors
    /// The kernel refuses; which part holds then is unknown.
    pub fn set(&self, cuts: &BTreeSet<Cut>) -> Result<()> {
        self.change(|all| all.managers.clone_from(cuts))
    }

    /// Lets through everything but `cuts` and those of [`Self::set`].
    ///
    /// # Errors
    /// The kernel refuses; which part holds then is unknown.
    pub fn set_nodes(&self, cuts: &BTreeSet<Cut>) -> Result<()> {
        self.change(|all| all.nodes.clone_from(cuts))
    }

    fn change(&self, change: impl FnOnce(&mut Cuts)) -> Result<()> {
        let mut all = self.cuts.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut all);
        let cuts = &all.managers | &all.nodes;
        // Unknown while it is being told, so that a failure is told anew.
        let told = all.told.take();
        self.tell(&cuts, told.as_ref())?;
        all.told = Some(cuts);
        Ok(())
    }

    fn tell(&self, cuts: &BTreeSet<Cut>, told: Option<&BTreeSet<Cut>>) -> Result<()> {
        for (from, name) in self.names.iter().enumerate() {
            for (to, address) in self.addresses.iter().enumerate() {
                let cut = (from, to);
                let known = told.is_some_and(|told| told.contains(&cut) == cuts.contains(&cut));
                if from == to || known {
                    continue;
                }
                let mac = if cuts.contains(&cut) {
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
