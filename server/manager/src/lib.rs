//! `krakend-cluster-manager`: one manager of the group that keeps a fleet of KrakenD gateways.

pub mod app;
pub mod backups;
pub mod cli;
pub mod clock;
pub mod control;
mod diff;
pub mod dns;
pub mod duration;
pub mod epoch;
pub mod http;
mod influx;
mod join;
pub mod license;
mod licensing;
pub mod log;
pub mod nodes;
pub mod settings;
pub mod trust;
