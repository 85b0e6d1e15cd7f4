//! SWIM membership over UDP for managers and nodes: who is alive, who is
//! suspected, who is down and who has left, plus one small *hint* (leader,
//! managers, newest generation) that rides along.
//!
//! The protocol is foca's SWIM (Das, Gupta, Motivala 2002, with suspicion);
//! this crate adds authentication, replay protection, joining by address,
//! clean leaving, healing of partitions and protection against pauses of the
//! own process.
//!
//! Two layers:
//! - [`Engine`] is pure: packets, time and commands in; packets and events
//!   out. It reads no clock, opens no socket, draws from a seeded generator.
//! - [`Gossip`] drives one engine on a UDP socket.
//!
//! Everything learnt here is a hint. Nothing in this crate knows what a
//! leader or a generation is for.
#![forbid(unsafe_code)]

mod board;
mod config;
mod counters;
mod engine;
mod error;
mod gossip;
mod hint;
mod identity;
mod keys;
mod message;
mod outbox;
mod replay;
mod roster;
mod seal;
mod timers;

pub use config::Config;
pub use counters::Counters;
pub use engine::{Engine, Output, Start};
pub use error::GossipError;
pub use gossip::Gossip;
pub use hint::{Hint, LeaderHint, MAX_HINT_BYTES, MAX_MANAGERS};
pub use identity::{Identity, Role};
pub use keys::{Key, KeyRing};
pub use roster::{MAX_MEMBERS, Member, MemberEvent, MemberState};
pub use seal::MAX_PACKET_BYTES;
