//! What the node says about itself on its loopback port.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use krakend_gossip::{Gossip, Member, MemberState, Role};
use serde_json::{Value, json};

use crate::applier::Applier;
use crate::clock;
use crate::lease::{Cause, LeaseKeeper, LeaseView, Standing};
use crate::runtime::{Runtime, RuntimeKind};
use crate::settings::Settings;
use crate::statistics::{Spool, Totals};
use crate::store::Enrolled;

/// Where the node stands with the managers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Connection {
    Standalone,
    Enrolling,
    Joining,
    Joined { address: String, term: u64 },
    Refused { message: String },
}

/// What the tasks report.
#[derive(Clone)]
pub struct Status {
    pub connection: Connection,
    pub node: Option<(krakend_domain::NodeId, String)>,
    pub gossip: Option<Gossip>,
    pub trouble: Option<String>,
}

/// The newest of it, and the parts that are asked directly.
pub struct StatusBoard {
    status: Mutex<Status>,
    pub settings: Settings,
    pub runtime: Arc<dyn Runtime>,
    pub applier: Arc<Applier>,
    pub spool: Arc<Spool>,
    pub lease: Arc<LeaseKeeper>,
    pub totals: Arc<Totals>,
}

impl StatusBoard {
    pub fn new(
        settings: Settings,
        runtime: Arc<dyn Runtime>,
        applier: Arc<Applier>,
        spool: Arc<Spool>,
        lease: Arc<LeaseKeeper>,
        totals: Arc<Totals>,
    ) -> Self {
        let status = Status {
            connection: Connection::Standalone,
            node: None,
            gossip: None,
            trouble: None,
        };
        Self {
            status: Mutex::new(status),
            settings,
            runtime,
            applier,
            spool,
            lease,
            totals,
        }
    }

    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
    }

    pub fn enrolled(&self, enrolled: &Enrolled) {
        self.update(|status| {
            status.node = Some((enrolled.node_id, enrolled.fleet.to_string()));
            status.connection = Connection::Joining;
        });
    }

    /// A session is over. True when the manager had welcomed the node.
    pub fn leave_manager(&self) -> bool {
        let mut status = self.lock();
        let joined = matches!(status.connection, Connection::Joined { .. });
        if joined {
            status.connection = Connection::Joining;
        }
        joined
    }

    /// The leader refuses the node. True when it did so before.
    pub fn refuse(&self, message: &str) -> bool {
        let refused = Connection::Refused {
            message: message.to_owned(),
        };
        let mut status = self.lock();
        let again = status.connection == refused;
        status.connection = refused;
        again
    }

    pub fn trouble(&self, text: &str) {
        self.update(|status| status.trouble = Some(text.to_owned()));
    }

    fn lock(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `/v1/status`.
    pub fn json(&self) -> Value {
        let lease = self.lease.view();
        let status = self.lock().clone();
        let (state, manager, term, message) = match status.connection {
            Connection::Standalone => ("standalone", None, None, None),
            Connection::Enrolling => ("enrolling", None, None, status.trouble),
            Connection::Joining => ("joining", None, None, status.trouble),
            Connection::Joined { address, term } => ("joined", Some(address), Some(term), None),
            Connection::Refused { message } => ("refused", None, None, Some(message)),
        };
        let (kind, version) = match self.runtime.kind() {
            RuntimeKind::Krakend { version } => ("krakend", version),
            RuntimeKind::Embedded => ("embedded", krakend_gateway::GATEWAY_VERSION.to_owned()),
        };
        let refusal = self
            .applier
            .last_answer()
            .filter(|answer| !answer.refusal.is_empty());
        json!({
            "node_id": status.node.as_ref().map(|(id, _)| id.to_string()),
            "name": self.settings.name,
            "fleet": status.node.map(|(_, fleet)| fleet),
            "version": env!("CARGO_PKG_VERSION"),
            "state": state,
            "message": message,
            "manager": manager,
            "term": term,
            "ready": self.runtime.is_ready(),
            "draining": self.runtime.is_draining(),
            "gateway": {
                "kind": kind, "version": version, "address": self.runtime.local_addr().to_string(),
            },
            "applied": self.applier.applied().map(|good| json!({
                "epoch": good.epoch, "generation": good.generation, "number": good.number,
                "digest": good.digest.to_string(), "rendered_digest": good.rendered.to_string(),
            })),
            "refusal": refusal.map(|answer| json!({
                "number": answer.number, "text": answer.refusal,
            })),
            "mode": self.mode(&lease),
            "limits": {
                "level": lease.limits.level, "max_nodes": lease.limits.max_nodes,
                "features": lease.limits.features,
            },
            "free_version": self.free_version(&lease),
            "lease": lease.claims.as_ref().map(|claims| json!({
                "level": claims.level, "max_nodes": claims.max_nodes, "group_id": claims.group_id,
                "epoch": claims.epoch, "duration_ms": claims.duration_ms, "charged_ms": lease.charged_ms,
                "remaining_ms": claims.duration_ms.saturating_sub(lease.charged_ms),
                "clock_moved_ms": lease.clock_moved_ms,
            })),
            "samples_waiting": *self.spool.waiting().borrow(),
        })
    }

    /// `standalone`, `cluster` (with a valid lease) or `free`.
    fn mode(&self, lease: &LeaseView) -> &'static str {
        match lease.standing {
            _ if self.settings.seeds.is_empty() => "standalone",
            Standing::Valid { .. } => "cluster",
            _ => "free",
        }
    }

    /// Why a node that shall be in a cluster has the free version's limits.
    fn free_version(&self, lease: &LeaseView) -> Option<Value> {
        if self.mode(lease) != "free" {
            return None;
        }
        let (reason, since) = match (lease.standing, &lease.problem) {
            (
                Standing::Ended {
                    cause,
                    since_wall_ms,
                },
                _,
            ) => {
                let reason = match cause {
                    Cause::Time => "the lease has ended, and no manager has renewed it",
                    Cause::WallClock => {
                        "the lease has ended, going by how long this machine's clock says that it was off"
                    }
                };
                (reason.to_owned(), Some(clock::rfc3339(since_wall_ms)))
            }
            (_, Some(problem)) => (problem.clone(), None),
            _ => ("no manager has given a lease yet".to_owned(), None),
        };
        Some(json!({ "reason": reason, "since": since }))
    }

    /// Blocks for as long as anything does that every part of the node needs.
    pub fn is_alive(&self) -> bool {
        drop(self.lock());
        self.lease.check();
        self.applier.desired();
        true
    }

    /// One line for `systemctl status`.
    pub fn line(&self) -> String {
        let status = self.json();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut line = match text(&status["mode"]).as_str() {
            "standalone" => "standalone".to_owned(),
            "cluster" => format!("{}, licensed", text(&status["state"])),
            _ => format!("free version: {}", text(&status["free_version"]["reason"])),
        };
        match status["applied"]["number"].as_u64() {
            Some(number) => line.push_str(&format!("; serving version {number}")),
            None if self.runtime.is_ready() => line.push_str("; serving the local configuration"),
            None => line.push_str("; no configuration yet"),
        }
        if self.runtime.is_draining() {
            line.push_str("; draining: no new traffic");
        }
        line
    }

    /// Its place in the pool, while it has one.
    pub fn gossip(&self) -> Option<Gossip> {
        self.lock().gossip.clone()
    }

    /// Everybody that gossip knows.
    pub fn pool(&self) -> Vec<Member> {
        let gossip = self.gossip();
        gossip.map(|gossip| gossip.members()).unwrap_or_default()
    }

    /// `/v1/members`.
    pub fn members(&self) -> Value {
        let mut members = self.pool();
        members.sort_by_key(|member| (member.role, member.id));
        let members = members.into_iter().map(|member| {
            let state = match member.state {
                MemberState::Alive => "alive",
                MemberState::Suspect => "suspect",
                MemberState::Down => "down",
                MemberState::Left => "left",
            };
            let role = match member.role {
                Role::Manager => "manager",
                Role::Node => "node",
            };
            json!({"id": member.id, "role": role, "address": member.addr, "state": state})
        });
        let own = self.gossip().map(|gossip| gossip.identity());
        let own = own.map(|own| {
            json!({"id": own.id, "role": "node", "address": own.addr, "state": "alive", "self": true})
        });
        let free_version = self.free_version(&self.lease.view());
        json!({
            "members": own.into_iter().chain(members).collect::<Vec<_>>(),
            "free_version": free_version,
        })
    }
}
