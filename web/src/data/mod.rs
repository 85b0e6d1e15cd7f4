//! What comes from the managers: requests, the event stream, and the signals that the page reads.

pub mod api;
pub mod browser;
mod model;
pub mod store;
pub mod stream;
