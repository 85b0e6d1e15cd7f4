//! What comes from the managers: requests, the event stream, and the signals that the page reads.

pub mod api;
pub mod browser;
pub mod choices;
pub mod follow;
mod model;
pub mod navigation;
pub mod resource;
pub mod store;
pub mod stream;
