//! The embedded gateway: KrakenD configuration version 3 in, HTTP service out.
//!
//! [`check`] and [`parse`] judge a document, [`Engine`] serves it, [`Server`] brings an engine onto a port, and
//! [`Statistics`] count what happened. The crate knows nothing of a cluster: who decides which configuration runs, calls
//! [`Engine::apply`].

mod config;
mod engine;
mod server;
mod statistics;

pub use config::{
    AllowList, Backend, Encoding, Endpoint, Finding, MAX_DOCUMENT_BYTES, OutputEncoding, Report,
    ServiceConfig, Severity, Strictness, check, examine, parse, parse_duration,
};
pub use engine::{ApplyError, Body, BodyError, Engine, GATEWAY_VERSION, RouteTable};
pub use server::{BindError, Drained, Server};
pub use statistics::{
    BackendStatistics, EndpointStatistics, MAX_SERIES, NO_ROUTE, OTHER, Statistics,
    StatisticsSnapshot, new_sketch,
};
