//! Managers among themselves: 7001/tcp.

mod book;
mod channel;
mod client;
mod closing;
mod factory;
mod local;
mod message;
mod peers;
mod server;

pub use channel::PeerTls;
pub use server::{PeerService, PeerVerify};

pub(crate) use book::AddressBook;
pub(crate) use channel::Dialer;
pub(crate) use client::{PIECE_BYTES, envelope};
pub(crate) use closing::Closing;
pub(crate) use factory::NetworkFactory;
pub(crate) use local::Local;
pub(crate) use message::{
    ChangeReply, FetchRequest, GrantReply, GrantRequest, HashReply, HashRequest, JoinReply,
    JoinRequest, MembershipChange, ProbeReply, ProbeRequest, ProposeReply, ProposeRequest,
    ReadIndexReply, ReadIndexRequest, ReplaceReply, Replacement,
};
pub(crate) use peers::{AskError, Peers};

/// Largest command, encoded. Larger documents are proposed in pieces.
pub const MAX_COMMAND_BYTES: usize = 3 * 1024 * 1024;
/// Largest message on the wire: a batch of entries may exceed its aim of 1 MiB by one entry.
pub(crate) const MAX_MESSAGE_BYTES: usize = 8 * 1024 * 1024;
/// Version of this protocol; both ends must speak the same.
pub(crate) const PROTOCOL: u32 = 1;
