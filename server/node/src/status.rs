//! What the node says about itself on its loopback port.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use krakend_gossip::{Gossip, MemberState, Role};
use serde_json::{Value, json};

use crate::applier::Applier;
use crate::lease::Lease;
use crate::runtime::{Runtime, RuntimeKind};
use crate::settings::Settings;
use crate::statistics::Spool;
use crate::store::{Enrolled, Store};

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
    pub lease: Option<Lease>,
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
}

impl StatusBoard {
    pub fn new(
        settings: Settings,
        runtime: Arc<dyn Runtime>,
        applier: Arc<Applier>,
        spool: Arc<Spool>,
    ) -> Self {
        let status = Status {
            connection: Connection::Standalone,
            node: None,
            lease: None,
            gossip: None,
            trouble: None,
        };
        Self {
            status: Mutex::new(status),
            settings,
            runtime,
            applier,
            spool,
        }
    }

    pub fn update(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.lock());
    }

    pub fn enrolled(&self, enrolled: &Enrolled, store: &Store) {
        let lease = Lease::load(store, enrolled);
        self.update(|status| {
            status.node = Some((enrolled.node_id, enrolled.fleet.to_string()));
            status.lease = lease;
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
            "lease": status.lease.map(|lease| json!({
                "level": lease.claims.level, "max_nodes": lease.claims.max_nodes,
                "remaining_ms": lease.remaining_ms(),
            })),
            "samples_waiting": *self.spool.waiting().borrow(),
        })
    }

    /// `/v1/members`.
    pub fn members(&self) -> Value {
        let gossip = self.lock().gossip.clone();
        let mut members = gossip.map(|gossip| gossip.members()).unwrap_or_default();
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
        json!({"members": members.collect::<Vec<_>>()})
    }

    /// `/metrics`, Prometheus' text form.
    pub fn metrics(&self) -> String {
        let status = self.json();
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let lines = [
            ("ready", u64::from(status["ready"] == true)),
            ("joined", u64::from(status["state"] == "joined")),
            (
                "applied_generation",
                number(&status["applied"]["generation"]),
            ),
            ("applied_version", number(&status["applied"]["number"])),
            (
                "lease_remaining_seconds",
                number(&status["lease"]["remaining_ms"]) / 1000,
            ),
            ("samples_waiting", number(&status["samples_waiting"])),
        ];
        let lines = lines.map(|(name, value)| {
            format!("# TYPE krakend_node_{name} gauge\nkrakend_node_{name} {value}\n")
        });
        lines.concat()
    }
}
