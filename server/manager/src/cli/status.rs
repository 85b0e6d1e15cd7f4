//! `status`: the group in one screen, and in the exit code.

use krakend_api as api;
use serde::Serialize;

use super::{
    Output,
    client::ApiClient,
    nodes,
    output::{DEGRADED, Ended},
    table::{Paint, has_colours, painted},
    tables::{plural, word},
    watch::Watch,
};

/// How far a fleet's living nodes are with its newest version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rollout {
    pub fleet: String,
    pub version: Option<u64>,
    pub nodes: u32,
    pub applied: u32,
    pub refused: u32,
}

/// The whole answer.
#[derive(Serialize)]
struct Summary {
    healthy: bool,
    /// Why not.
    problems: Vec<String>,
    #[serde(flatten)]
    status: api::GroupStatus,
    nodes_draining: u32,
    rollouts: Vec<Rollout>,
    license: api::License,
}

pub async fn run(client: &ApiClient, watch: Watch, output: Output) -> anyhow::Result<()> {
    if watch.watch.is_some() {
        return watch
            .show(output, || async {
                let summary = ask(client).await?;
                output.text(&summary, shown)
            })
            .await;
    }
    let summary = ask(client).await?;
    output.print(&summary, shown)?;
    match summary.healthy {
        true => Ok(()),
        false => Err(Ended::with(DEGRADED, "")),
    }
}

/// From whichever manager answers, also without a leader.
async fn ask(client: &ApiClient) -> anyhow::Result<Summary> {
    let status: api::GroupStatus = client.get("/v1/status?consistency=stale").await?;
    let license: api::License = client.get("/v1/license?consistency=stale").await?;
    let fleets: api::FleetList = client.get("/v1/fleets?consistency=stale").await?;
    let nodes = nodes::all_stale(client).await?;
    let rollouts: Vec<_> = fleets.fleets.iter().map(|it| rollout(it, &nodes)).collect();
    let problems = problems(&status, &license, &rollouts);
    let draining = nodes
        .iter()
        .filter(|it| lives(it) && it.draining_since.is_some());
    Ok(Summary {
        healthy: problems.is_empty(),
        problems,
        status,
        nodes_draining: draining.count() as u32,
        rollouts,
        license,
    })
}

fn lives(node: &api::Node) -> bool {
    matches!(
        node.state,
        api::NodeState::Active | api::NodeState::Unreachable
    )
}

pub fn rollout(fleet: &api::Fleet, nodes: &[api::Node]) -> Rollout {
    let mut rollout = Rollout {
        fleet: fleet.name.clone(),
        version: fleet.version,
        ..Rollout::default()
    };
    for node in nodes
        .iter()
        .filter(|it| it.fleet == fleet.name && lives(it))
    {
        rollout.nodes += 1;
        if node.applied_version >= fleet.version && fleet.version.is_some() {
            rollout.applied += 1;
        } else if node.refusal.is_some() {
            rollout.refused += 1;
        }
    }
    rollout
}

fn problems(
    status: &api::GroupStatus,
    license: &api::License,
    rollouts: &[Rollout],
) -> Vec<String> {
    let mut problems = Vec::new();
    let mut add = |wrong: bool, text: String| {
        if wrong {
            problems.push(text);
        }
    };
    add(
        status.leader_id.is_none(),
        "there is no leader, so nothing can be written; nodes go on serving".into(),
    );
    let silent = status.voters.saturating_sub(status.reachable_voters);
    add(
        silent > 0 && status.leader_id.is_some(),
        format!(
            "{} of {} {} not answer",
            plural(silent, "manager"),
            status.voters,
            if silent == 1 { "does" } else { "do" }
        ),
    );
    add(
        status.nodes_unreachable > 0,
        format!("{} unreachable", plural(status.nodes_unreachable, "node")),
    );
    add(
        status.nodes_down > 0,
        format!("{} down", plural(status.nodes_down, "node")),
    );
    for rollout in rollouts.iter().filter(|it| it.refused > 0) {
        let (fleet, version) = (&rollout.fleet, rollout.version.unwrap_or(0));
        add(
            true,
            format!(
                "{} of {fleet} refuse v{version}",
                plural(rollout.refused, "node")
            ),
        );
    }
    let ended = license.subscriber.is_some() && license.state == api::LicenseState::Free;
    add(ended, "the licence has ended".into());
    add(
        license.state == api::LicenseState::Grace,
        "the licence has expired and is in its time of grace".into(),
    );
    add(
        license.over_by > 0,
        format!(
            "{} over the licence's limit",
            plural(license.over_by, "node")
        ),
    );
    for alarm in &status.alarms {
        add(true, format!("alarm {} (below)", alarm.kind));
    }
    problems
}

fn shown(summary: &Summary) -> String {
    let (status, license) = (&summary.status, &summary.license);
    let colours = has_colours();
    let verdict = match summary.healthy {
        true => painted("healthy", Paint::Good, colours),
        false => format!(
            "{}: {}",
            painted("degraded", Paint::Bad, colours),
            summary.problems.join("; ")
        ),
    };
    let leader = match &status.leader_name {
        Some(name) => format!("{name} leads, term {}", status.term),
        None => "no leader: no writes; nodes go on serving".into(),
    };
    let lose = match status.can_lose {
        0 if status.reachable_voters < status.voters / 2 + 1 => "writes do not go on".into(),
        0 => "no manager can be lost".into(),
        n => format!("can lose {}", plural(n, "manager")),
    };
    let mut nodes = format!(
        "{} active, {} unreachable, {} down",
        status.nodes_active, status.nodes_unreachable, status.nodes_down
    );
    if summary.nodes_draining > 0 {
        nodes.push_str(&format!("; {} draining", summary.nodes_draining));
    }
    let left = license
        .days_left
        .map_or(String::new(), |days| format!(", {days} days left"));
    let mut lines = vec![
        format!("Group      {verdict}"),
        format!("           {}, epoch {}", status.group_id, status.epoch),
        format!("Leader     {leader}"),
        format!(
            "Managers   {} of {} answer, {lose}",
            status.reachable_voters, status.voters
        ),
        format!("Nodes      {nodes}"),
    ];
    for (at, rollout) in summary.rollouts.iter().enumerate() {
        let head = if at == 0 { "Rollout" } else { "" };
        lines.push(format!("{head:<11}{}", rollout_line(rollout)));
    }
    lines.push(format!(
        "Licence    {}, {} of {} seats in use{left}",
        word(license.state),
        license.seats_used,
        license.max_nodes
    ));
    if status.alarms.is_empty() {
        lines.push("Alarms     none".into());
    }
    for (at, alarm) in status.alarms.iter().enumerate() {
        let head = if at == 0 { "Alarms" } else { "" };
        lines.push(format!("{head:<11}{}: {}", alarm.kind, alarm.message));
    }
    if let Some(backup) = &status.last_backup {
        lines.push(format!(
            "Backup     {}, index {}, {} on {}",
            backup.at, backup.index, backup.file, backup.manager
        ));
    }
    lines.push(format!(
        "Index      {} applied on {}, generation {}",
        status.applied_index, status.answered_by_name, status.generation
    ));
    lines.join("\n")
}

pub fn rollout_line(rollout: &Rollout) -> String {
    let fleet = &rollout.fleet;
    let Some(version) = rollout.version else {
        return format!("{fleet}: no version yet, {}", plural(rollout.nodes, "node"));
    };
    let pending = rollout.nodes - rollout.applied - rollout.refused;
    let mut line = format!(
        "{fleet}: v{version} on {} of {}",
        rollout.applied,
        plural(rollout.nodes, "node")
    );
    if pending > 0 {
        line.push_str(&format!(", {pending} pending"));
    }
    if rollout.refused > 0 {
        line.push_str(&format!(", {} refuse it", rollout.refused));
    }
    line
}
