//! The leader tells the group whose clock is off.

use std::collections::BTreeMap;

use krakend_domain::{ClusterState, Command, plan_clock_reports};

use crate::app::App;

/// What there is to write about the voters' clocks.
pub fn reports(app: &App, state: &ClusterState) -> Vec<Command> {
    let voters: Vec<_> = app
        .group
        .status()
        .members
        .into_iter()
        .filter(|member| member.voter)
        .map(|member| member.id)
        .collect();
    let read = app.group.clocks().readings;
    let mut readings: BTreeMap<_, _> = read
        .into_iter()
        .filter(|reading| voters.contains(&reading.id))
        .map(|reading| (reading.id, reading.ahead_ms))
        .collect();
    readings.insert(app.group.identity().manager_id, 0);
    let mut reports = plan_clock_reports(&readings, voters.len(), state.clocks_off());
    reports.retain(|report| report.needs_level() <= state.meta().feature_level);
    reports
}
