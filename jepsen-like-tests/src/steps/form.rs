//! 1. Three managers form one group.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::SOON;
use crate::stage::{MANAGERS, Stage};
use crate::wait::{Seen, ms_since, until};

/// What was measured.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub managers: usize,
    /// From the start of the first process until all three say the same leader.
    pub formed_ms: u64,
    pub group_id: String,
    pub leader: String,
}

/// Starts the managers and waits until all say the same group and leader.
///
/// # Errors
/// They do not within the time, or show other than three voters.
pub async fn run(stage: &mut Stage) -> Result<Figures> {
    let start = Instant::now();
    for manager in &mut stage.managers {
        manager.start()?;
    }
    stage.find_token(SOON).await?;
    let (group_id, leader) = until("all managers agree on group and leader", SOON, || {
        agreed(stage)
    })
    .await?;
    let formed_ms = ms_since(start);
    let list = stage.api.get("/v1/managers").await?;
    let voters = list["managers"].as_array().map_or(0, |all| {
        all.iter()
            .filter(|manager| manager["voter"] == true)
            .count()
    });
    ensure!(
        voters == MANAGERS,
        "{voters} voters instead of {MANAGERS}: {list}"
    );
    for manager in &stage.managers {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(manager.admin_token())?
            .permissions()
            .mode()
            & 0o777;
        ensure!(
            mode == 0o600,
            "{} has mode {mode:o} instead of 600",
            manager.admin_token().display()
        );
    }
    Ok(Figures {
        managers: voters,
        formed_ms,
        group_id,
        leader,
    })
}

async fn agreed(stage: &Stage) -> Result<Seen<(String, String)>> {
    let mut seen = Vec::new();
    for manager in &stage.managers {
        let status = stage
            .api
            .get_from(manager.http, "/v1/status?consistency=stale")
            .await?;
        let text = |key: &str| status[key].as_str().unwrap_or_default().to_owned();
        seen.push((text("group_id"), text("leader_name")));
    }
    let same = seen.windows(2).all(|pair| pair[0] == pair[1]) && !seen[0].1.is_empty();
    Ok(if same {
        Seen::Yes(seen.remove(0))
    } else {
        Seen::No(format!("{seen:?}"))
    })
}
