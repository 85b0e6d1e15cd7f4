//! Benchmarks against peers, side by side in one run, each through its public interface.
//!
//! `group`: three managers against three etcd members, one group after the other, both with their default settings, both on
//! the same disk and both acknowledging a write only after a majority's fsync.
//!
//! **What a write is.** Ours is the publication of a configuration version, because it is the product's own write that takes a
//! value and has no bound on how often: a document of 256 bytes, one fleet a client, its parent the client's last version. It
//! costs more than storing the bytes: the manager parses, lints and compresses the document, takes the digest of its canonical
//! form, compares the parent and writes an event. Tokens take a value too but are bounded at 10,000; fleets take none. etcd's
//! write is a `Put` of the same 256 bytes, one key a client.
//!
//! **What a read is.** Linearizable: ours is `GET /v1/fleets/{fleet}/versions/{number}`, whose answer holds the document and
//! its summary; etcd's is `Range` of one key.
//!
//! **What bounds it.** With `--floor` the same clients first ask a server that only keeps the last body in memory (`bare`): what HTTP and
//! the clients themselves cost on this machine.
//!
//! **Who is asked.** The leader on both sides, or with `--to each` the three members in turn. Ours gets one keep-alive
//! connection a client, because HTTP/1.1 has no more than one request at a time on each; etcd multiplexes, and gets one
//! connection a client up to 100, as many as its own published measurements use.

pub mod args;
pub mod bare;
pub mod etcd;
pub mod failover;
pub mod gossip;
pub mod group;
pub mod http;
pub mod load;
pub mod managers;
pub mod nodes;
pub mod peer;
pub mod process;
pub mod report;
pub mod statistics;
pub mod summary;
pub mod value;
