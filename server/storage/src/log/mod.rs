//! The Raft log: entries are appended at once, one fsync is in flight, and the next covers everything since.

mod engine;
mod fault;
mod meter;
mod opened;
mod owner;
mod position;
mod store;
mod tail;
#[cfg(test)]
mod tests;
mod thread;
mod vote_file;
mod watermark;

pub use fault::SyncFault;
pub use meter::SyncFigures;
pub use position::{LogPosition, LogRecord, LogSummary, VoteRecord};
pub use store::{LogSettings, LogStore};
