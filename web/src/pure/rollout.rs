//! How far the nodes are with the newest version.

use krakend_api::{Node, NodeState, RolloutProgress};

/// What a node does about the version that it should run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// There is nothing to run yet.
    None,
    Applied,
    Applying,
    /// Cannot be told while the node is silent.
    Pending,
    Refused,
}

impl Step {
    /// The word beside the mark.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::None => "no version",
            Self::Applied => "applied",
            Self::Applying => "applying",
            Self::Pending => "pending",
            Self::Refused => "refused",
        }
    }
}

/// Where `node` stands with its desired version.
#[must_use]
pub fn step(node: &Node) -> Step {
    match node.desired_version {
        None => Step::None,
        desired if node.applied_version == desired => Step::Applied,
        _ if node.refusal.is_some() => Step::Refused,
        _ if node.state == NodeState::Active => Step::Applying,
        _ => Step::Pending,
    }
}

/// `v42`, `to v42`, or nothing.
#[must_use]
pub fn version_text(node: &Node) -> String {
    match (step(node), node.applied_version, node.desired_version) {
        (Step::Applying, _, Some(v)) => format!("to v{v}"),
        (_, Some(v), _) => format!("v{v}"),
        _ => "no version".to_owned(),
    }
}

/// True while some node that could apply the version has not.
#[must_use]
pub fn is_running(progress: &RolloutProgress) -> bool {
    progress.total > 0 && progress.applied + progress.refused < progress.total
}

/// `7 of 12 applied`.
#[must_use]
pub fn progress_text(progress: &RolloutProgress) -> String {
    format!("{} of {} applied", progress.applied, progress.total)
}

/// Nodes with trouble first, then by name.
pub fn sort_trouble_first(nodes: &mut Vec<Node>) {
    super::order::sort_by(nodes, |a, b| {
        rank(a).cmp(&rank(b)).then_with(|| a.name.cmp(&b.name))
    });
}

fn rank(node: &Node) -> u8 {
    match (node.state, step(node)) {
        (NodeState::Down, _) => 0,
        (NodeState::Unreachable, _) => 1,
        (NodeState::Active, Step::Refused) => 2,
        (NodeState::Active, _) if node.ready == Some(false) => 3,
        (NodeState::Active, _) => 4,
        (NodeState::Removed, _) => 5,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use krakend_api::GatewayKind;

    /// An active node that runs version 1.
    pub(crate) fn node(name: &str) -> Node {
        Node {
            id: format!("{name}-id"),
            name: name.to_owned(),
            fleet: "default".to_owned(),
            state: NodeState::Active,
            state_since: "2026-11-17T13:00:00Z".to_owned(),
            down_at: None,
            gateway_address: "127.0.0.1:8080".to_owned(),
            gossip_address: "127.0.0.1:7000".to_owned(),
            gateway: GatewayKind::Embedded,
            gateway_version: "0.1.0".to_owned(),
            version: "0.1.0".to_owned(),
            joined_at: "2026-11-17T12:00:00Z".to_owned(),
            desired_version: Some(1),
            applied_version: Some(1),
            applied_digest: None,
            applied_generation: Some(1),
            applied_at: None,
            refusal: None,
            ready: Some(true),
            holds_seat: true,
            gossip_blocked_since: None,
            lease_expires_at: None,
            free_version_since: None,
            requests_per_s: Some(10.0),
            errors_per_s: Some(0.0),
            latency_p99_ms: Some(5.0),
            recent_requests_per_s: Vec::new(),
            memory_bytes: None,
            cpu_percent: None,
            connections: None,
            draining_since: None,
            drift: None,
            duplicate_since: None,
            session_manager: None,
            heard_at: None,
        }
    }

    #[test]
    fn a_node_behind_is_applying_only_while_it_answers() {
        let mut behind = node("a");
        behind.desired_version = Some(2);
        assert_eq!(step(&behind), Step::Applying);
        assert_eq!(version_text(&behind), "to v2");
        behind.state = NodeState::Unreachable;
        assert_eq!(step(&behind), Step::Pending);
        assert_eq!(version_text(&behind), "v1");
        behind.refusal = Some("port in use".to_owned());
        assert_eq!(step(&behind), Step::Refused);
    }

    #[test]
    fn trouble_sorts_first_and_then_the_name() {
        let mut nodes = vec![node("b"), node("a"), node("z"), node("y")];
        nodes[2].state = NodeState::Unreachable;
        nodes[3].state = NodeState::Down;
        sort_trouble_first(&mut nodes);
        let names: Vec<_> = nodes.iter().map(|n| n.name.as_str()).collect();
        assert_eq!(names, ["y", "z", "a", "b"]);
    }

    #[test]
    fn a_rollout_that_some_refused_is_not_running() {
        let progress = RolloutProgress {
            applied: 2,
            refused: 1,
            total: 3,
            ..Default::default()
        };
        assert!(!is_running(&progress));
        assert!(is_running(&RolloutProgress {
            total: 3,
            ..Default::default()
        }));
        assert!(!is_running(&RolloutProgress::default()));
    }
}
