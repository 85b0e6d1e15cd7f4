//! Hosts of our own: each manager in a network namespace with an address and a data directory, all joined by one bridge.
//!
//! What is made here is named after a slot (`kj7b` is the bridge, `kj7h1` a host, `kj7v1` its cable), carries its owner's
//! process id and start time, and is removed at the end, or at the next start when the owner died.

mod damage;
mod ip;
mod lab;
mod machine;
mod network;
mod stale;

pub use damage::{Damage, damage};
pub use ip::program as ip_program;
pub use lab::{Lab, LabError};
pub use machine::{EndedByItself, Machine, Way};
pub use network::{Cut, Network};
pub use stale::owner_mark;
