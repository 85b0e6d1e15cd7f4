//! Finding the leader and following it.

mod back_off;
mod gossip;
mod route;

pub use back_off::BackOff;
pub use gossip::{Membership, local_ip_towards};
pub use route::{Route, should_move};
