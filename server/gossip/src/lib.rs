//! SWIM membership over UDP for managers and nodes: who is alive, who is
//! suspected, who is down and who has left, plus one small *hint* (leader,
//! managers, newest generation) that rides along.
//!
//! The protocol is SWIM (Das, Gupta, Motivala 2002) with Lifeguard
//! (arXiv:1707.00788): local health, suspicions that confirmations shorten, and
//! suspects that hear of it first. It is written here and not taken from a
//! crate: foca, the one for Rust, has none of Lifeguard and no hook for
//! confirmations, sends both identities in every packet (125 bytes a ping
//! against 90) and looks members up by a linear search, which does not
//! simulate 5,000 of them.
//!
//! Beside it: authentication and encryption, replay windows, joining by
//! address, clean leaving, a full state exchange by digests, partitions of any
//! length that heal, and protection against pauses of the own process.
//!
//! Two layers:
//! - [`Engine`] is pure: packets, time and commands in; packets and events
//!   out. It reads no clock, opens no socket, draws from a seeded generator.
//! - [`Gossip`] drives one engine on a UDP socket.
//!
//! Everything learnt here is a hint. Nothing in this crate knows what a
//! leader or a generation is for.
#![forbid(unsafe_code)]

mod config;
mod counters;
mod engine;
mod error;
mod gossip;
mod health;
mod hint;
mod identity;
mod keys;
mod member;
mod message;
mod peers;
mod queue;
mod record;
mod replay;
mod seal;
mod suspicion;
mod timers;

pub use config::Config;
pub use counters::Counters;
pub use engine::{Engine, Output, Start};
pub use error::GossipError;
pub use gossip::Gossip;
pub use hint::{Hint, LeaderHint, MAX_HINT_BYTES, MAX_MANAGERS};
pub use identity::{Identity, Role};
pub use keys::{Key, KeyRing};
pub use member::{Duplicate, Member, MemberEvent, MemberState};
pub use peers::MAX_MEMBERS;
pub use seal::MAX_PACKET_BYTES;

/// Whether these bytes are the body of a packet: for the fuzzer, which cannot
/// make authentic ones.
#[doc(hidden)]
pub fn decodes(body: &[u8]) -> bool {
    message::Body::parse(body).is_some()
}
