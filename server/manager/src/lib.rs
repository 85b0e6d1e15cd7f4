//! `krakend-cluster-manager`: one manager of the group that keeps a fleet of KrakenD gateways.

pub mod app;
pub mod cli;
pub mod clock;
pub mod control;
pub mod http;
mod join;
pub mod license;
pub mod log;
pub mod nodes;
pub mod settings;
pub mod trust;
