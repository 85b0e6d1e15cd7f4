//! The Raft log: one thread owns it, appends at once, and keeps one fsync in flight; the next covers everything since.

mod engine;
mod meter;
mod position;
mod store;
mod tail;
#[cfg(test)]
mod tests;
mod thread;
mod vote_file;
mod watermark;

pub use meter::SyncFigures;
pub use position::{LogPosition, LogRecord, LogSummary, VoteRecord};
pub use store::{LogSettings, LogStore};
pub use thread::SyncFault;
