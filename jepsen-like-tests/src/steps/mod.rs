//! The scenario's steps. Each gives what it measured, or says what it saw instead.

pub mod browse;
pub mod form;
pub mod join;
pub mod lose_all;
pub mod lose_leader;
pub mod lose_nodes;
pub mod publish_first;
pub mod publish_under_traffic;
pub mod reconcile;

use std::time::Duration;

/// For what takes a second or two on an idle machine: two busy cores in a test run must not fail it.
pub(crate) const SOON: Duration = Duration::from_secs(40);
