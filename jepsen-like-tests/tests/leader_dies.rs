//! A leader whose process is killed is succeeded at once, every time. The managers wait as long as several sites need
//! (`timers: wan`), so an election by timeout could not be mistaken for it.

mod group;

use anyhow::{Result, ensure};
use group::{Group, LIMIT};
use jepsen_like_tests::{
    http::Ask,
    wait::{Seen, until},
};
use serde_json::{Value, json};

const KILLS: usize = 6;

fn successions(group: &Group) -> usize {
    let logs = group.managers.iter().map(|manager| {
        let log = std::fs::read_to_string(manager.log()).unwrap_or_default();
        log.matches("taking over without waiting").count()
    });
    logs.sum()
}

/// All three follow one leader, and nobody is behind.
async fn whole(group: &Group) -> Result<usize> {
    until("a whole group", LIMIT, || async {
        let leader = group.leader().await?;
        let managers: Value = group
            .ask(leader, Ask::get("/v1/managers"))
            .await?
            .ok()?
            .json()?;
        let managers = managers["managers"].as_array().cloned().unwrap_or_default();
        let caught_up = managers.iter().filter(|it| it["behind"] == 0).count();
        for at in 0..group.managers.len() {
            let status = group.status(at).await?;
            if status["leader_id"] != group.status(leader).await?["leader_id"] {
                return Ok(Seen::No(format!("manager {at} follows another")));
            }
        }
        Ok(if caught_up == group.managers.len() {
            Seen::Yes(leader)
        } else {
            Seen::No(format!("{caught_up} managers have everything"))
        })
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_is_succeeded_without_an_election_timeout_every_time() -> Result<()>
{
    let mut group = Group::start_saying(3, "timers: wan\n").await?;
    for kill in 1..=KILLS {
        let leader = whole(&group).await?;
        let before = successions(&group);
        group.kill(leader).await?;
        let other = (leader + 1) % 3;
        let body = json!({ "name": format!("after-kill-{kill}"), "role": "viewer" });
        let write = Ask::json("POST", "/v1/tokens", &body)
            .header("idempotency-key", format!("kill-{kill}"))
            .header("x-request-timeout-ms", "30000");
        group.ask(other, write).await?.ok()?;
        ensure!(
            successions(&group) > before,
            "kill {kill}: nobody took over from manager {leader} without waiting"
        );
        group.restart(leader)?;
    }
    Ok(())
}
