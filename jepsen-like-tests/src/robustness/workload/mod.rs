//! What clients do while the managers are treated badly.

mod client;
mod final_read;
mod idempotent;
mod register;
mod watch;

pub use client::{Client, Clients, Reply, Server};
pub use final_read::{barrier_write, make_fleets, read_everywhere, tokens, versions};
pub use watch::Reader;

use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Workload {
    /// Reads and compare-and-sets on the newest versions of several fleets.
    Register,
    /// Writes with an Idempotency-Key, resent until they are decided.
    Idempotent,
    /// Readers of the event stream, over something that writes.
    Watch,
    /// More nodes than seats: never one seat too many, and none lost. Only when it is named.
    Seats,
    /// Nodes that die, stop, come back and flap: their states come to be true. Only when it is named.
    Lifecycle,
    /// Nodes with leases of seconds, whose clocks jump: none is licensed after its lease, and none is degraded while it has one.
    /// Only when it is named.
    Lease,
}

const REGISTER_CLIENTS: usize = 5;
const IDEMPOTENT_CLIENTS: usize = 3;

/// Starts the clients of `workloads`; they end when `stop` is cancelled.
pub fn start(
    workloads: &[Workload],
    clients: &Clients,
    seed: u64,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let has = |workload| workloads.contains(&workload);
    let registers = match (has(Workload::Register), has(Workload::Watch)) {
        (true, _) => REGISTER_CLIENTS,
        // Readers of events need something that happens.
        (false, true) => 2,
        (false, false) => 0,
    };
    for _ in 0..registers {
        let client = clients.next();
        let rng = rng(seed, client.id);
        tasks.spawn(register::run(client, rng, stop.clone()));
    }
    if has(Workload::Idempotent) {
        for _ in 0..IDEMPOTENT_CLIENTS {
            let client = clients.next();
            let rng = rng(seed, client.id);
            tasks.spawn(idempotent::run(client, rng, stop.clone()));
        }
    }
    tasks
}

/// One seed makes all randomness; each user of it has a lane of its own.
pub fn rng(seed: u64, lane: usize) -> StdRng {
    let lane = (lane as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    StdRng::seed_from_u64(seed ^ lane)
}
