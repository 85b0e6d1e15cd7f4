//! What the command line does to a data directory while no manager runs on it.

use std::{io::IsTerminal, path::PathBuf};

use anyhow::{Context, bail};
use krakend_raft::{Founded, Survey};
use serde_json::json;
use uuid::Uuid;

use super::Output;
use crate::{
    clock,
    settings::{Partial, Settings},
};

/// Which manager's directory is meant.
#[derive(clap::Args, Clone)]
pub struct Place {
    /// The manager's data directory [default: what its settings say]
    #[arg(long)]
    pub data_dir: Option<PathBuf>,
    /// The manager's settings file: name and addresses of the restored manager are read there [default: /etc/krakend/cluster-manager.yml, which may be missing]
    #[arg(long, env = "KRAKEND_CM_SETTINGS")]
    pub settings: Option<PathBuf>,
}

impl Place {
    /// The manager's settings, with this directory.
    pub fn settings(&self) -> anyhow::Result<Settings> {
        let flags = Partial {
            data_dir: self.data_dir.clone(),
            ..Partial::default()
        };
        Ok(Settings::load(
            flags,
            std::env::vars(),
            self.settings.as_deref(),
        )?)
    }
}

/// Makes one manager a group of its own after the quorum was lost for good. The manager must not run.
#[derive(clap::Args)]
pub struct Recover {
    #[command(flatten)]
    pub place: Place,
    /// Only say what would happen
    #[arg(long)]
    pub dry_run: bool,
    /// The group's id, instead of typing it when asked
    #[arg(long, value_name = "ID")]
    pub group_id: Option<String>,
}

impl Recover {
    pub async fn run(&self, output: Output) -> anyhow::Result<()> {
        let settings = self.place.settings()?;
        let survey = krakend_raft::survey(&settings.data_dir).await?;
        if self.dry_run {
            return output.print(&as_json(&survey), |_| {
                format!("{}\n\nNothing was changed.", plan(&survey))
            });
        }
        eprintln!("{}", plan(&survey));
        let group_id = match &self.group_id {
            Some(given) => given.clone(),
            None => ask()?,
        };
        let group_id: Uuid = group_id
            .trim()
            .parse()
            .with_context(|| format!("{group_id:?} is no group id; nothing was changed"))?;
        let founded = krakend_raft::recover(&settings.data_dir, group_id, clock::now_ms()).await?;
        tell("recovered", &founded, &settings, output)
    }
}

fn ask() -> anyhow::Result<String> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        bail!("nothing was changed: repeat it with --group-id ID, or from a terminal");
    }
    eprint!("\nType the group's id to go on: ");
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(line)
}

fn plan(survey: &Survey) -> String {
    let state = &survey.state;
    let committed = match survey.committed_index {
        Some(index) => format!("known committed up to {index}"),
        None => "none is known committed".into(),
    };
    let mut lines = vec![
        format!("Directory   {}", survey.data_dir.display()),
        format!("Group       {}, epoch {}", survey.group_id, survey.epoch),
        format!("Manager     {}", survey.manager_id),
        format!(
            "Log         last entry {} of term {}; {committed}",
            survey.last_index, survey.last_term
        ),
        format!(
            "Kept        {} entries of which a quorum is not known here; they count as committed",
            survey.uncertain()
        ),
        format!(
            "State       {} nodes, {} fleets, {} tokens, generation {}",
            state.nodes().count(),
            state.fleets().count(),
            state.tokens().count(),
            survey.generation
        ),
    ];
    for member in survey.dropped() {
        let voter = if member.voter { "voter" } else { "learner" };
        lines.push(format!(
            "Dropped     {} ({}, {voter}, {})",
            member.node.name, member.id, member.node.raft_address
        ));
    }
    lines.push(
        "Lost        entries that a quorum acknowledged and that never reached this directory: run --dry-run on every directory that is left, and recover the one with the highest term, then the last entry".into(),
    );
    lines.push(format!(
        "Afterwards  a group of one under a new id, epoch {}: nodes obey it, the dropped managers are refused by name and join again with empty directories",
        survey.epoch + 1
    ));
    lines.join("\n")
}

fn as_json(survey: &Survey) -> serde_json::Value {
    let dropped: Vec<_> = survey
        .dropped()
        .map(|it| {
            json!({
                "id": it.id,
                "name": it.node.name,
                "raft_address": it.node.raft_address,
                "voter": it.voter,
            })
        })
        .collect();
    json!({
        "data_dir": survey.data_dir.display().to_string(),
        "group_id": survey.group_id,
        "manager_id": survey.manager_id,
        "epoch": survey.epoch,
        "generation": survey.generation,
        "last_index": survey.last_index,
        "last_term": survey.last_term,
        "committed_index": survey.committed_index,
        "uncertain_entries": survey.uncertain(),
        "dropped": dropped,
        "nodes": survey.state.nodes().count(),
        "changed": false,
    })
}

/// Says what was done, and what is left to do.
pub fn tell(
    done: &str,
    founded: &Founded,
    settings: &Settings,
    output: Output,
) -> anyhow::Result<()> {
    if output != Output::Table {
        let value = json!({
            "data_dir": settings.data_dir.display().to_string(),
            "group_id": founded.group_id,
            "former_group_id": founded.former_group_id,
            "epoch": founded.epoch,
            "index": founded.index,
            "manager_id": founded.manager_id,
            "archive": founded.archive.as_ref().map(|path| path.display().to_string()),
            "changed": true,
        });
        return output.print(&value, |_| String::new());
    }
    println!(
        "{done} into {}: group {}, epoch {} (before: group {})",
        settings.data_dir.display(),
        founded.group_id,
        founded.epoch,
        founded.former_group_id
    );
    if let Some(archive) = &founded.archive {
        println!(
            "The former content is kept in {}; remove it when all is well.",
            archive.display()
        );
    }
    println!("What is left to do:");
    println!("  1. Start this manager, with the same group secret as before.");
    println!(
        "  2. Move the data directories of all other managers away, keeping the group secret, and start them: they join it empty."
    );
    println!(
        "  3. Nodes find it under an address that they know; otherwise name it in their `seed`."
    );
    Ok(())
}
