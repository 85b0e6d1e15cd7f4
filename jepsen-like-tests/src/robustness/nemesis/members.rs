//! Managers that come, go, and lose their disks.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use rand::seq::IndexedRandom;
use serde_json::{Value, json};
use tokio::sync::OwnedMutexGuard;

use super::hands::Hands;
use crate::http::Ask;
use crate::robustness::checker::Finding;
use crate::robustness::history::Clock;
use crate::robustness::host::{EndedByItself, Way};
use crate::robustness::workload::Reply;

const LOOK: Duration = Duration::from_secs(2);
/// A change of the membership may take the manager half a minute.
const CHANGE: Duration = Duration::from_secs(35);
const AGAIN_AFTER: Duration = Duration::from_millis(400);
const JOINS_WITHIN: Duration = Duration::from_secs(90);
const LEAVES_WITHIN: Duration = Duration::from_secs(60);
/// Clients may speak to a manager that was removed, as long as nobody has told them.
const LINGERS: Duration = Duration::from_millis(1_500);
/// At the end, with everything healed.
const WHOLE_WITHIN: Duration = Duration::from_secs(90);

/// A line of the list of managers.
#[derive(Clone, Debug)]
struct Listed {
    id: String,
    name: String,
    voter: bool,
}

impl Hands {
    /// The right to take one disk or vote away: nobody else does, and everybody else has theirs. Nothing when that does not
    /// come about in time.
    pub async fn may_take_one(&self, limit: Duration) -> Option<OwnedMutexGuard<()>> {
        let start = Instant::now();
        let alone = tokio::time::timeout(limit, self.delicate.clone().lock_owned());
        let alone = alone.await.ok()?;
        let left = limit.saturating_sub(start.elapsed());
        self.is_whole(left).await.then_some(alone)
    }

    /// Waits until every manager is ready and votes, and nobody else belongs to the group; whether that came about.
    pub async fn is_whole(&self, limit: Duration) -> bool {
        let start = Instant::now();
        loop {
            match self.not_whole().await {
                None => return true,
                Some(_) if start.elapsed() > limit => return false,
                Some(_) => tokio::time::sleep(AGAIN_AFTER).await,
            }
        }
    }

    /// What is missing, if anything.
    async fn not_whole(&self) -> Option<String> {
        let deployed = self.deployed().await;
        for number in &deployed {
            let server = self.clients.servers[*number].http;
            let answer = Ask::get("/readyz").send(server, LOOK).await;
            let said = match answer {
                Ok(answer) if answer.status.is_success() => continue,
                Ok(answer) => answer.excerpt(),
                Err(error) => format!("{error:#}"),
            };
            return Some(format!("manager-{} is not ready: {said}", number + 1));
        }
        let Some(listed) = self.listed().await else {
            return Some("no leader lists the managers".into());
        };
        let names: BTreeSet<String> = deployed.iter().map(|number| name(*number)).collect();
        let voters = listed.iter().filter(|listed| listed.voter);
        let voters: BTreeSet<String> = voters.map(|listed| listed.name.clone()).collect();
        let whole = voters == names && listed.len() == names.len();
        (!whole).then(|| format!("{names:?} should be all and vote: {listed:?}"))
    }

    /// The managers as the leader lists them.
    async fn listed(&self) -> Option<Vec<Listed>> {
        let leader = self.leader().await?;
        let reply = self.clients.send(leader, Ask::get("/v1/managers"), LOOK);
        let list = reply.await.json()?;
        let one = |it: &Value| {
            Some(Listed {
                id: it["id"].as_str()?.to_owned(),
                name: it["name"].as_str()?.to_owned(),
                voter: it["voter"].as_bool()?,
            })
        };
        list["managers"].as_array()?.iter().map(one).collect()
    }

    /// A host without a manager.
    pub async fn spare(&self) -> Option<usize> {
        let machines = self.machines.lock().await;
        machines.iter().position(|machine| !machine.deployed)
    }

    /// kill -9, and the data directory is emptied. It will come back through the others.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn wipe(&self, number: usize) -> Result<()> {
        let mut machines = self.machines.lock().await;
        let others = machines.iter().filter(|machine| machine.deployed);
        let peers = others.map(|machine| machine.manager_address().to_string());
        let way = Way::Rejoin {
            peers: peers.collect(),
            secret: self.secret.clone(),
        };
        let machine = &mut machines[number];
        machine.kill().await?;
        machine.wipe()?;
        machine.configure(&way)
    }

    /// Lets one more manager in, with a new token where an earlier one was used up by an enrolment that came to nothing.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn join(&self, number: usize, by_hand: bool, clock: &Clock) -> Result<()> {
        let start = Instant::now();
        let mut begun = false;
        while start.elapsed() < JOINS_WITHIN {
            if !begun {
                begun = self.begin_join(number).await?;
            } else if self.enrolment_failed(number, clock).await? {
                begun = false;
                continue;
            } else if self.has_joined(number, by_hand).await {
                break;
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        self.machines.lock().await[number].unsettled = false;
        Ok(())
    }

    /// Whether there was a token for it.
    async fn begin_join(&self, number: usize) -> Result<bool> {
        let ask = Ask::json("POST", "/v1/managers", &json!({"ttl_s": 600}));
        let Some(invitation) = self.ask_somebody(ask, number).await.json() else {
            return Ok(false);
        };
        let texts = |list: &Value| -> Option<Vec<String>> {
            let list = list.as_array()?.iter();
            list.map(|it| Some(it.as_str()?.to_owned())).collect()
        };
        let (Some(token), Some(managers)) =
            (invitation["token"].as_str(), texts(&invitation["join"]))
        else {
            return Ok(false);
        };
        let mut machines = self.machines.lock().await;
        let machine = &mut machines[number];
        machine.configure(&Way::Join {
            managers,
            token: token.to_owned(),
        })?;
        (machine.deployed, machine.unsettled) = (true, true);
        machine.start()?;
        Ok(true)
    }

    /// A token is good once: an enrolment whose answer was lost has used it up, and the program says so and ends.
    async fn enrolment_failed(&self, number: usize, clock: &Clock) -> Result<bool> {
        let mut machines = self.machines.lock().await;
        let machine = &mut machines[number];
        let Some(how) = machine.take_end() else {
            return Ok(false);
        };
        if !machine.has_enrolled() {
            machine.wipe()?;
            machine.deployed = false;
            return Ok(true);
        }
        self.ended.lock().await.push(EndedByItself {
            machine: machine.name.clone(),
            how,
            at_ns: clock.now_ns(),
        });
        machine.start()?;
        Ok(false)
    }

    /// Whether it votes. As soon as it is a member, clients are told.
    async fn has_joined(&self, number: usize, by_hand: bool) -> bool {
        let Some(listed) = self.listed().await else {
            return false;
        };
        let Some(new) = listed.iter().find(|listed| listed.name == name(number)) else {
            return false;
        };
        self.clients.set_member(number, true);
        if !new.voter && by_hand {
            let ask = Ask {
                method: "POST",
                path: format!("/v1/managers/{}/promote", new.id),
                ..Ask::default()
            };
            // One that is not ready for it is asked about again.
            self.ask_somebody(ask, number).await;
        }
        new.voter
    }

    /// Removes a manager and empties its host. When nobody can say whether it is removed, it is asked again at the end.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn leave(&self, number: usize) -> Result<()> {
        self.machines.lock().await[number].unsettled = true;
        let start = Instant::now();
        while start.elapsed() < LEAVES_WITHIN {
            if self.is_gone(number).await {
                tokio::time::sleep(LINGERS).await;
                return self.retire(number).await;
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
        Ok(())
    }

    /// Asks for the removal as long as the leader lists it.
    async fn is_gone(&self, number: usize) -> bool {
        let Some(listed) = self.listed().await else {
            return false;
        };
        let Some(found) = listed.iter().find(|listed| listed.name == name(number)) else {
            return true;
        };
        let ask = Ask {
            method: "DELETE",
            path: format!("/v1/managers/{}", found.id),
            ..Ask::default()
        };
        self.ask_somebody(ask, number).await.status() == Some(204)
    }

    async fn retire(&self, number: usize) -> Result<()> {
        self.clients.set_member(number, false);
        let mut machines = self.machines.lock().await;
        let machine = &mut machines[number];
        machine.kill().await?;
        // One that has ended by itself, being no member any more, did well.
        machine.take_end();
        machine.wipe()?;
        (machine.deployed, machine.unsettled) = (false, false);
        Ok(())
    }

    /// Hands the lead over, if the group will.
    pub async fn lead(&self, to: usize) {
        let ask = Ask::json("POST", "/v1/leadership", &json!({"to": name(to)}));
        self.ask_somebody(ask, to).await;
    }

    /// Asks one of the managers that clients speak to, another one than `not` where there is one.
    async fn ask_somebody(&self, ask: Ask, not: usize) -> Reply {
        let mut members = self.clients.members();
        if members.len() > 1 {
            members.retain(|number| *number != not);
        }
        let somebody = members.choose(&mut rand::rng()).copied().unwrap_or(0);
        self.clients.send(somebody, ask, CHANGE).await
    }

    /// With everything healed: who was to go goes, and the group must become whole.
    ///
    /// # Errors
    /// The system refuses.
    pub async fn settle(&self) -> Result<Finding> {
        for number in self.deployed().await {
            if self.machines.lock().await[number].unsettled {
                self.leave(number).await?;
            }
        }
        let whole = self.is_whole(WHOLE_WITHIN).await;
        Ok(match self.not_whole().await {
            Some(missing) if !whole => Finding::fail("members", missing, Vec::new()),
            _ => Finding::pass(
                "members",
                format!("{} managers", self.deployed().await.len()),
            ),
        })
    }
}

fn name(number: usize) -> String {
    format!("manager-{}", number + 1)
}
