//! Managers among themselves: 7001/tcp.

mod book;
mod channel;
mod client;
mod clocks;
mod factory;
mod freshness;
mod local;
mod message;
mod peers;
mod release;
mod room;
mod secrets;
mod server;

pub use server::{PeerService, PeerVerify};

pub(crate) use book::AddressBook;
pub(crate) use channel::{Dialer, Transport};
pub(crate) use client::{PIECE_BYTES, envelope};
pub(crate) use clocks::{Clock, Clocks};
pub(crate) use factory::NetworkFactory;
pub(crate) use local::Local;
pub(crate) use message::{
    ChangeReply, DeathQuestion, DeathReply, FetchRequest, GrantReply, GrantRequest, HashReply,
    HashRequest, JoinReply, JoinRequest, MembershipChange, ObserveReply, ProbeReply, ProbeRequest,
    ProposeReply, ProposeRequest, ReadIndexReply, ReadIndexRequest, RelayReply, RelayRequest,
    ReplaceReply, Replacement, Run, SeenMember,
};
pub(crate) use peers::{AskError, Peers};
pub(crate) use secrets::Said;

/// Largest command, encoded. Larger documents are proposed in pieces.
pub const MAX_COMMAND_BYTES: usize = 3 * 1024 * 1024;
/// Largest message on the wire: a batch of entries may exceed its aim of 1 MiB by one entry.
pub(crate) const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Version of this protocol; both ends must speak the same.
pub(crate) const PROTOCOL: u32 = 1;
