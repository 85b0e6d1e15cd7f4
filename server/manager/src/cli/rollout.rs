//! `rollout`: how far each node is.

use anyhow::bail;
use krakend_api as api;

use super::{
    Output,
    client::ApiClient,
    nearest::hint,
    nodes,
    status::{Rollout, rollout, rollout_line},
    table::{Cell, Paint, Table},
    tables,
    watch::Watch,
};

#[derive(clap::Args)]
pub struct RolloutOf {
    /// Only this fleet
    #[arg(long)]
    fleet: Option<String>,
    #[command(flatten)]
    watch: Watch,
}

#[derive(serde::Serialize)]
struct RolloutShown {
    #[serde(flatten)]
    rollout: Rollout,
    by_node: Vec<NodeShown>,
}

#[derive(serde::Serialize)]
struct NodeShown {
    node: String,
    state: String,
    applied_version: Option<u64>,
    desired_version: Option<u64>,
    applied_at: Option<String>,
    refusal: Option<String>,
}

impl RolloutOf {
    pub async fn run(self, client: &ApiClient, output: Output) -> anyhow::Result<()> {
        let wanted = self.fleet;
        self.watch
            .show(output, || async {
                let fleets: api::FleetList = client.get("/v1/fleets").await?;
                let names: Vec<_> = fleets.fleets.iter().map(|it| it.name.clone()).collect();
                if let Some(wanted) = wanted.as_ref().filter(|it| !names.contains(it)) {
                    let names: Vec<_> = names.iter().map(String::as_str).collect();
                    bail!("there is no fleet {wanted}{}", hint(wanted, names));
                }
                let nodes = nodes::all(client).await?;
                let fleets = fleets.fleets.iter();
                let chosen =
                    fleets.filter(|it| wanted.as_ref().is_none_or(|name| *name == it.name));
                let rollouts: Vec<_> = chosen.map(|fleet| rollout_shown(fleet, &nodes)).collect();
                output.text(&rollouts, |rollouts| {
                    let texts = rollouts.iter().map(rollout_table);
                    texts.collect::<Vec<_>>().join("\n\n")
                })
            })
            .await
    }
}

fn rollout_shown(fleet: &api::Fleet, nodes: &[api::Node]) -> RolloutShown {
    let own = nodes.iter().filter(|node| {
        let lives = matches!(
            node.state,
            api::NodeState::Active | api::NodeState::Unreachable
        );
        node.fleet == fleet.name && lives
    });
    let by_node = own.map(|node| NodeShown {
        node: node.name.clone(),
        state: tables::word(node.state),
        applied_version: node.applied_version,
        desired_version: node.desired_version,
        applied_at: node.applied_at.clone(),
        refusal: node.refusal.clone(),
    });
    RolloutShown {
        by_node: by_node.collect(),
        rollout: rollout(fleet, nodes),
    }
}

fn rollout_table(shown: &RolloutShown) -> String {
    let mut table = Table::new(&["node", "state", "applied", "desired", "at", "says"]);
    for node in &shown.by_node {
        let applied = node.applied_version == node.desired_version;
        let paint = match (applied, &node.refusal) {
            (true, _) => Paint::Good,
            (false, Some(_)) => Paint::Bad,
            (false, None) => Paint::Warning,
        };
        table.add_row::<Cell>([
            node.node.as_str().into(),
            node.state.as_str().into(),
            Cell::painted(tables::or_dash(node.applied_version), Some(paint)),
            tables::or_dash(node.desired_version).into(),
            tables::or_dash(node.applied_at.clone()).into(),
            node.refusal
                .clone()
                .filter(|_| !applied)
                .unwrap_or_default()
                .into(),
        ]);
    }
    format!("{}\n{table}", rollout_line(&shown.rollout))
}
