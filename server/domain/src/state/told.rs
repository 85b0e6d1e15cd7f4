//! What a command does, in words: the subject before and after it, in one line each and without secrets.

use super::ClusterState;
use crate::{
    Applied, Claims, Command, FleetName, JoinRole, ManagerChange, Millis, NodeId, NodeRecord, Role,
    TokenRecord, VersionRecord, day,
};

/// One write in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub action: String,
    pub subject: String,
    pub fleet: Option<FleetName>,
    pub before: Option<String>,
    pub after: Option<String>,
}

impl Told {
    fn new(action: &str, subject: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            subject: subject.into(),
            ..Self::default()
        }
    }

    fn fleet(mut self, fleet: &FleetName) -> Self {
        self.fleet = Some(fleet.clone());
        self
    }

    fn before(mut self, text: Option<String>) -> Self {
        self.before = text;
        self
    }

    fn then(mut self, text: impl Into<String>) -> Self {
        self.after = Some(text.into());
        self
    }

    /// Adds what can be said only when it is done.
    pub fn after(
        mut self,
        state: &ClusterState,
        command: &Command,
        applied: &Applied,
        now: Millis,
    ) -> Self {
        match (command, applied) {
            (
                Command::Publish(publication) | Command::PublishStaged { publication, .. },
                Applied::Published { number, .. },
            ) => {
                self.subject = format!("v{number}");
                let version = state.version(&publication.fleet, *number);
                self.after = version.map(|it| version_line(it));
            }
            (_, Applied::ClockSet { from_ms, to_ms }) => {
                self.before = Some(time_line(*from_ms));
                self.after = Some(time_line(*to_ms));
            }
            (Command::RegisterNode(registration), _) => {
                self.after = state.node(registration.node_id).map(node_line);
            }
            (
                Command::LeaveNode { node_id, .. }
                | Command::SetNodeState { node_id, .. }
                | Command::NodeLeft { node_id, .. },
                _,
            ) => self.after = state.node(*node_id).map(node_line),
            (Command::RaiseFeatureLevel { .. }, _) => {
                self.after = Some(format!("level {}", state.meta.feature_level));
            }
            (Command::BeginEpoch(_), _) => self.after = Some(group_line(state)),
            (Command::UseSecret { id, .. }, _) => {
                self.after = Some(format!("{id} since {}", day(now)));
            }
            _ => {}
        }
        self
    }
}

/// What a command is about to do.
pub(super) fn before(state: &ClusterState, command: &Command) -> Told {
    match command {
        Command::Publish(publication) | Command::PublishStaged { publication, .. } => {
            let newest = state.newest_version(&publication.fleet);
            Told::new("publish", "")
                .fleet(&publication.fleet)
                .before(newest.map(|it| version_line(it)))
        }
        Command::CreateFleet { name, .. } => Told::new("create-fleet", name.as_str())
            .fleet(name)
            .then("a fleet without a version"),
        Command::InstallLicense(record) => {
            Told::new("install-license", record.claims.subscriber.as_str())
                .before(license_line(state))
                .then(claims_line(&record.claims))
        }
        Command::RemoveLicense { .. } => Told::new("remove-license", "licence")
            .before(license_line(state))
            .then("the free version"),
        Command::CreateToken(record) | Command::CreateScopedToken { record, .. } => {
            let scope = match command {
                Command::CreateScopedToken { scope, .. } => scope.to_string(),
                _ => String::new(),
            };
            Told::new("create-token", record.name.as_str())
                .then(format!("{}{scope}", token_line(record)))
        }
        Command::RevokeToken { id, .. } => match state.tokens.get(id) {
            Some(token) => {
                Told::new("revoke-token", token.name.as_str()).before(Some(token_line(token)))
            }
            None => Told::new("revoke-join-token", id.to_string()),
        },
        Command::CreateJoinToken(record) => {
            let uses = record.max_uses;
            let until = day(record.expires_ms);
            match record.role {
                JoinRole::Node => Told::new("create-join-token", record.id.to_string())
                    .fleet(&record.fleet)
                    .then(format!("for {uses} node(s), until {until}")),
                JoinRole::Manager => Told::new("invite-manager", record.id.to_string())
                    .then(format!("for one manager, until {until}")),
            }
        }
        Command::ConfirmClock { .. } => Told::new("confirm-clock", "the group's time"),
        Command::ResetClock { .. } => Told::new("reset-clock", "the group's time"),
        Command::RaiseFeatureLevel { .. } => Told::new("raise-feature-level", "feature level")
            .before(Some(format!("level {}", state.meta.feature_level))),
        Command::UseSecret { .. } => Told::new("rotate-secret", "group secret")
            .before(state.secret.in_use.map(|id| id.to_string())),
        Command::InstallGossipKey(record) => {
            Told::new("install-gossip-key", record.id.to_string()).then("accepted, not in use")
        }
        Command::UseGossipKey { id, .. } => {
            Told::new("use-gossip-key", key_name(*id)).then("in use")
        }
        Command::RemoveGossipKey { id, .. } => {
            Told::new("remove-gossip-key", key_name(*id)).then("not accepted any more")
        }
        Command::ChangeManager { name, change, .. } => {
            let (action, after) = match change {
                ManagerChange::Promoted => ("promote-manager", "a voter"),
                ManagerChange::Removed => ("remove-manager", "no member"),
                ManagerChange::Moved => ("move-manager", "reached elsewhere"),
                ManagerChange::Led => ("transfer-leadership", "the leader"),
            };
            Told::new(action, name.as_str()).then(after)
        }
        Command::BeginEpoch(new) => {
            let action = match new.cause {
                crate::EpochCause::Restored => "restore-group",
                crate::EpochCause::Recovered => "recover-group",
            };
            Told::new(action, "group").before(Some(group_line(state)))
        }
        Command::RecordAction {
            action,
            subject,
            after,
        } => {
            let mut told = Told::new(action, subject.as_str());
            told.after.clone_from(after);
            told
        }
        command => before_of_nodes(state, command),
    }
}

fn before_of_nodes(state: &ClusterState, command: &Command) -> Told {
    match command {
        Command::RegisterNode(registration) => {
            Told::new("register-node", registration.name.as_str())
                .fleet(&registration.fleet)
                .before(state.node(registration.node_id).map(node_line))
        }
        Command::EnrollNode {
            node_id, token_id, ..
        } => Told::new("enroll-node", node_id.krakend()).then(format!("with token {token_id}")),
        Command::EnrollManager { token_id, .. } => {
            Told::new("enroll-manager", "a new manager").then(format!("with token {token_id}"))
        }
        Command::LeaveNode {
            node_id,
            hold_seat: true,
        }
        | Command::NodeLeft { node_id, .. } => of_node(state, "node-left", *node_id),
        Command::LeaveNode { node_id, .. } => of_node(state, "remove-node", *node_id),
        Command::SetNodeState { node_id, to, .. } => {
            let action = format!("node-{}", format!("{to:?}").to_ascii_lowercase());
            of_node(state, &action, *node_id)
        }
        Command::DrainNode {
            node_id, draining, ..
        } => match draining {
            true => of_node(state, "drain-node", *node_id).then("takes no new traffic"),
            false => of_node(state, "undrain-node", *node_id).then("takes traffic"),
        },
        Command::ReportRestart {
            node_id, problem, ..
        } => {
            let told = of_node(state, "restart-gateway", *node_id);
            match problem {
                None => told.then("restarted"),
                Some(problem) => told.then(format!("not restarted: {problem}")),
            }
        }
        _ => Told::new("write", ""),
    }
}

fn of_node(state: &ClusterState, action: &str, id: NodeId) -> Told {
    let node = state.node(id);
    let name = node.map_or_else(|| id.krakend(), |node| node.name.clone());
    let told = Told::new(action, name).before(node.map(node_line));
    match node {
        Some(node) => told.fleet(&node.fleet),
        None => told,
    }
}

fn version_line(version: &VersionRecord) -> String {
    let (number, digest) = (version.number, version.digest);
    match version.message.as_str() {
        "" => format!("v{number} {digest:.12}"),
        message => format!("v{number} {digest:.12}: {message}"),
    }
}

fn node_line(node: &NodeRecord) -> String {
    let state = format!("{:?}", node.state).to_ascii_lowercase();
    match &node.applied {
        Some(applied) => format!("{state}, v{}", applied.number),
        None => state,
    }
}

fn license_line(state: &ClusterState) -> Option<String> {
    state.license.as_ref().map(|it| claims_line(&it.claims))
}

fn claims_line(claims: &Claims) -> String {
    let (level, nodes, until) = (&claims.level, claims.max_nodes, day(claims.expires_ms));
    format!("{level}, {nodes} node(s), until {until}")
}

fn token_line(token: &TokenRecord) -> String {
    let role = match token.role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    };
    match token.expires_ms {
        Some(expires) => format!("{role}, until {}", day(expires)),
        None => format!("{role}, until revoked"),
    }
}

fn key_name(id: Option<crate::GossipKeyId>) -> String {
    id.map_or("initial".into(), |id| id.to_string())
}

fn time_line(at: Millis) -> String {
    let of_day = at % 86_400_000 / 1_000;
    let (hours, minutes, seconds) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{}T{hours:02}:{minutes:02}:{seconds:02}Z", day(at))
}

fn group_line(state: &ClusterState) -> String {
    let group = state.meta.group_id.unwrap_or_default();
    format!("group {group}, epoch {}", state.meta.epoch)
}
