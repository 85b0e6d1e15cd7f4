//! Black box tests: they start the real programs, treat them badly, and check what can be seen from outside.
//!
//! - [`process`], [`managers`], [`nodes`]: the programs as processes with settings, ports and logs of their own
//! - [`backend`], [`traffic`], [`ledger`]: a sample backend, steady traffic, and the account of every request
//! - [`steps`]: the scenario, one file a step; [`scenario`] runs them in order, [`report`] says how it went
//! - [`browser`]: a real browser on the dashboard
//! - [`robustness`]: managers on hosts of their own under faults from a seed, and checkers of what clients saw
//!
//! Nothing here knows how the programs work inside: only their files, flags, HTTP, and log lines.

pub mod api;
pub mod backend;
pub mod browser;
pub mod documents;
pub mod http;
pub mod ledger;
pub mod log_lines;
pub mod managers;
pub mod nodes;
pub mod options;
pub mod ports;
pub mod process;
pub mod report;
pub mod robustness;
pub mod scenario;
pub mod stage;
pub mod statistics;
pub mod steps;
pub mod traffic;
pub mod wait;

pub use options::{Gateway, Options};
pub use report::Report;
pub use scenario::{run_interactively, run_once};
