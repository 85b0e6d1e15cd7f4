//! The end: everything is healed, some nodes are left dead or stopped, and what the group says must come to be true.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::seq::SliceRandom;

use super::{Fleet, NODES, lane};
use crate::http::Ask;
use crate::robustness::checker::Finding;
use crate::wait;

const CHECK: &str = "converged";
/// Grace, a new leader's silence, the longest patience with a node that flapped, and debug builds on a busy machine.
const WITHIN: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_secs(3);

/// What became of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Truth {
    Runs,
    Killed,
    Stopped,
}

impl Fleet {
    /// Leaves some nodes dead, and waits until every manager shows what is true.
    ///
    /// # Errors
    /// The system refuses to end a process.
    pub async fn converge(&self) -> Result<Finding> {
        let mut order: Vec<_> = (0..NODES).collect();
        // After the plan's own numbers.
        let mut rng = lane(self.seed ^ 0x5eed);
        order.shuffle(&mut rng);
        let mut truth = vec![Truth::Runs; NODES];
        // Nobody is judged by what the faults left: first all of them must have come back.
        if let Err(error) = self.until_true(&truth).await {
            return Ok(Finding::fail(
                CHECK,
                format!("after the last fault: {error:#}"),
                Vec::new(),
            ));
        }
        let (killed, stopped) = (&order[..2], &order[2..4]);
        self.kill(killed).await?;
        killed.iter().for_each(|it| truth[*it] = Truth::Killed);
        if self.may_stop {
            let mut nodes = self.nodes.lock().await;
            for number in stopped {
                nodes[*number].terminate()?;
                nodes[*number].ended().await?;
                truth[*number] = Truth::Stopped;
            }
        }
        let began = Instant::now();
        Ok(match self.until_true(&truth).await {
            Ok(()) => Finding::pass(
                CHECK,
                format!("{} ms after the last deaths", began.elapsed().as_millis()),
            ),
            Err(error) => Finding::fail(
                CHECK,
                format!("after the last deaths: {error:#}"),
                Vec::new(),
            ),
        })
    }

    async fn until_true(&self, truth: &[Truth]) -> Result<()> {
        wait::until("states are true on every manager", WITHIN, async || {
            for manager in self.clients.members() {
                let ask = Ask::get("/v1/nodes?consistency=stale");
                let reply = self.clients.send(manager, ask, LOOK).await;
                let Some(list) = reply.json() else {
                    return Ok(wait::Seen::No(format!("manager-{} is silent", manager + 1)));
                };
                let nodes = list["nodes"].as_array().cloned().unwrap_or_default();
                let states: BTreeMap<_, _> = nodes
                    .iter()
                    .map(|it| {
                        (
                            it["name"].as_str().unwrap_or_default(),
                            it["state"].as_str().unwrap_or_default(),
                        )
                    })
                    .collect();
                // A node that said goodbye and was killed before it came back keeps its seat for five minutes.
                let held = nodes.iter().filter(|it| it["state"] == "removed");
                let held = held.filter(|it| it["holds_seat"] == true).count() as u64;
                let free = self.limit.saturating_sub(held);
                if let Some(wrong) = untrue(&states, truth, free) {
                    return Ok(wait::Seen::No(format!(
                        "manager-{}: {wrong}: {states:?}",
                        manager + 1
                    )));
                }
            }
            Ok(wait::Seen::Yes(()))
        })
        .await
    }
}

/// What is not true. Who runs and has no seat is not in the list, or as it was when it lost it.
fn untrue(states: &BTreeMap<&str, &str>, truth: &[Truth], limit: u64) -> Option<String> {
    let running = truth.iter().filter(|it| **it == Truth::Runs).count() as u64;
    let active = states.values().filter(|it| **it == "active").count() as u64;
    for (number, truth) in truth.iter().enumerate() {
        let name = format!("node-{}", number + 1);
        let state = states.get(name.as_str()).copied().unwrap_or("");
        let fits = match truth {
            Truth::Runs => state != "unreachable",
            Truth::Killed => matches!(state, "" | "down" | "removed"),
            Truth::Stopped => matches!(state, "" | "removed"),
        };
        if !fits {
            return Some(format!("{name} is {state:?} and {truth:?}"));
        }
    }
    let due = running.min(limit);
    (active != due).then(|| format!("{active} are active of {due}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_true_is_found() {
        let truth = [Truth::Runs, Truth::Killed, Truth::Stopped];
        let of = |states: [&'static str; 3]| {
            let names = ["node-1", "node-2", "node-3"];
            let states = names.into_iter().zip(states).collect();
            untrue(&states, &truth, 3)
        };
        assert_eq!(of(["active", "down", "removed"]), None);
        for bad in [
            ["unreachable", "down", "removed"],
            ["down", "down", "removed"],
            ["active", "unreachable", "removed"],
            ["active", "active", "removed"],
            ["active", "down", "down"],
        ] {
            assert!(of(bad).is_some(), "{bad:?}");
        }
        let two = [("node-1", "active"), ("node-2", "active")].into();
        assert!(untrue(&two, &[Truth::Runs; 3], 1).is_some(), "one too many");
        assert!(untrue(&two, &[Truth::Runs; 3], 3).is_some(), "one is lost");
        assert_eq!(untrue(&two, &[Truth::Runs; 3], 2), None);
    }
}
