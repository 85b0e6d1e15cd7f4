//! The table of nodes: which rows, in which order, and their sums.

use std::cmp::Ordering;

use krakend_api::{Node, NodeState};

use super::clock;
pub use super::columns::Column;
use super::rollout::{self, Step};

/// Columns to sort by, the first one first; true descends.
pub type Order = Vec<(Column, bool)>;

/// Trouble first, then the slowest.
#[must_use]
pub fn default_order() -> Order {
    vec![(Column::State, true), (Column::P99, true)]
}

/// The order after a click on a head: it leads, and what led comes second. A click on the leader turns it.
#[must_use]
pub fn clicked(order: &Order, column: Column) -> Order {
    match order.first() {
        Some((first, descends)) if *first == column => {
            let mut turned = order.clone();
            turned[0] = (column, !descends);
            turned
        }
        first => {
            let mut out = vec![(column, column.descends_first())];
            out.extend(first.copied());
            out
        }
    }
}

/// What the reader wants to see.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// In id, host or address; lower case.
    pub text: String,
    pub state: Option<NodeState>,
    pub configuration: Configuration,
}

/// Where a node stands with the newest version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Configuration {
    #[default]
    Any,
    Newest,
    Behind,
    Refused,
    Drifted,
}

impl Configuration {
    /// All choices with their words.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Any, "any"),
        (Self::Newest, "newest"),
        (Self::Behind, "behind"),
        (Self::Refused, "refused"),
        (Self::Drifted, "drifted"),
    ];
}

impl Filter {
    /// True when the node is to be shown.
    #[must_use]
    pub fn takes(&self, node: &Node) -> bool {
        self.state.is_none_or(|state| state == node.state)
            && self.takes_configuration(node)
            && (self.text.is_empty() || self.takes_text(node))
    }

    fn takes_text(&self, node: &Node) -> bool {
        let id = format!("krakend_{}", node.id);
        [&id, &node.name, &node.gateway_address, &node.gossip_address]
            .into_iter()
            .any(|field| field.to_lowercase().contains(&self.text))
    }

    fn takes_configuration(&self, node: &Node) -> bool {
        let step = rollout::step(node);
        match self.configuration {
            Configuration::Any => true,
            Configuration::Newest => step == Step::Applied,
            Configuration::Behind => matches!(step, Step::Applying | Step::Pending),
            Configuration::Refused => step == Step::Refused,
            Configuration::Drifted => node.drift.is_some(),
        }
    }
}

/// Positions of the rows to show, in order.
#[must_use]
pub fn rows(nodes: &[Node], filter: &Filter, order: &Order) -> Vec<usize> {
    let mut out: Vec<usize> = (0..nodes.len())
        .filter(|at| filter.takes(&nodes[*at]))
        .collect();
    super::order::sort_by(&mut out, |a, b| {
        let (a, b) = (&nodes[*a], &nodes[*b]);
        order
            .iter()
            .map(|(column, descends)| compare(a, b, *column, *descends))
            .find(|o| *o != Ordering::Equal)
            .unwrap_or_else(|| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)))
    });
    out
}

fn compare(a: &Node, b: &Node, column: Column, descends: bool) -> Ordering {
    let turn = |o: Ordering| if descends { o.reverse() } else { o };
    match column {
        Column::State => turn(trouble(a).cmp(&trouble(b))),
        Column::Node => turn(a.id.cmp(&b.id)),
        Column::Host => turn(a.name.cmp(&b.name)),
        Column::Configuration => turn(a.applied_version.cmp(&b.applied_version)),
        Column::Generation => turn(a.applied_generation.cmp(&b.applied_generation)),
        Column::Requests => numbers(a.requests_per_s, b.requests_per_s, descends),
        Column::Errors => numbers(error_ratio(a), error_ratio(b), descends),
        Column::P99 => numbers(a.latency_p99_ms, b.latency_p99_ms, descends),
        Column::Cpu => numbers(a.cpu_percent, b.cpu_percent, descends),
        Column::Memory => turn(a.memory_bytes.cmp(&b.memory_bytes)),
        Column::Runtime => turn(a.gateway_version.cmp(&b.gateway_version)),
        Column::Lease => turn(a.lease_expires_at.cmp(&b.lease_expires_at)),
        Column::Connections => turn(a.connections.cmp(&b.connections)),
        Column::Address => turn(a.gateway_address.cmp(&b.gateway_address)),
        Column::Program => turn(a.version.cmp(&b.version)),
        Column::Manager => turn(a.session_manager.cmp(&b.session_manager)),
        Column::Joined => turn(a.joined_at.cmp(&b.joined_at)),
    }
}

/// What is missing comes last, whichever way the rest goes.
fn numbers(a: Option<f64>, b: Option<f64>, descends: bool) -> Ordering {
    match (a, b) {
        (Some(a), Some(b)) if descends => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => Ordering::Equal,
    }
}

/// How much a node wants an operator; a removed one least of all.
#[must_use]
pub fn trouble(node: &Node) -> u8 {
    match (node.state, rollout::step(node)) {
        (NodeState::Down, _) => 6,
        (NodeState::Unreachable, _) => 5,
        (NodeState::Active, Step::Refused) => 4,
        (NodeState::Active, _) if node.ready == Some(false) || node.duplicate_since.is_some() => 3,
        (NodeState::Active, _) if node.drift.is_some() || node.draining_since.is_some() => 2,
        (NodeState::Active, _) => 1,
        (NodeState::Removed, _) => 0,
    }
}

/// Share of requests that failed. Without a request there is no share.
#[must_use]
pub fn error_ratio(node: &Node) -> Option<f64> {
    let requests = node.requests_per_s.filter(|r| *r > 0.0)?;
    Some((node.errors_per_s? / requests).clamp(0.0, 1.0))
}

/// The row above the rows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    /// Not removed.
    pub total: usize,
    /// With a figure of this moment.
    pub reporting: usize,
    pub requests_per_s: Option<f64>,
    pub error_ratio: Option<f64>,
    pub cpu_percent: Option<f64>,
    pub memory_bytes: Option<u64>,
    /// Milliseconds of the shortest lease.
    pub lease_left_ms: Option<i64>,
    pub applied: usize,
    pub desired: Option<u64>,
}

/// Adds up what can be added; the percentiles of the fleet come from merged sketches, not from here.
#[must_use]
pub fn sums(nodes: &[Node], now_ms: i64) -> Sums {
    let living: Vec<&Node> = nodes
        .iter()
        .filter(|n| n.state != NodeState::Removed)
        .collect();
    let known = |of: fn(&Node) -> Option<f64>| -> Vec<f64> {
        living.iter().filter_map(|n| of(n)).collect()
    };
    let requests = known(|n| n.requests_per_s);
    let errors: f64 = known(|n| n.errors_per_s).iter().sum();
    let cpu = known(|n| n.cpu_percent);
    let memory: Vec<u64> = living.iter().filter_map(|n| n.memory_bytes).collect();
    let total_rate: f64 = requests.iter().sum();
    let leases = living
        .iter()
        .filter_map(|n| n.lease_expires_at.as_deref().and_then(clock::parse));
    Sums {
        total: living.len(),
        reporting: requests.len(),
        requests_per_s: (!requests.is_empty()).then_some(total_rate),
        error_ratio: (total_rate > 0.0).then(|| (errors / total_rate).clamp(0.0, 1.0)),
        cpu_percent: (!cpu.is_empty()).then(|| cpu.iter().sum::<f64>() / cpu.len() as f64),
        memory_bytes: (!memory.is_empty()).then(|| memory.iter().sum()),
        lease_left_ms: leases.map(|at| at - now_ms).min(),
        applied: living
            .iter()
            .filter(|n| rollout::step(n) == Step::Applied)
            .count(),
        desired: living.iter().filter_map(|n| n.desired_version).max(),
    }
}

/// First and one past the last row to draw, with some more on both sides.
#[must_use]
pub fn window(scroll_px: f64, height_px: f64, row_px: f64, rows: usize) -> (usize, usize) {
    const MORE: usize = 12;
    let first = (scroll_px / row_px).max(0.0) as usize;
    let shown = (height_px / row_px).ceil().max(1.0) as usize;
    let from = first.saturating_sub(MORE).min(rows);
    (from, (first + shown + MORE).min(rows))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pure::rollout::tests::node;

    fn names(nodes: &[Node], filter: &Filter, order: &Order) -> Vec<String> {
        let rows = rows(nodes, filter, order);
        rows.into_iter().map(|at| nodes[at].name.clone()).collect()
    }

    #[test]
    fn trouble_comes_first_then_the_slowest_and_removed_last() {
        let mut nodes = vec![node("quick"), node("slow"), node("silent"), node("gone")];
        nodes[1].latency_p99_ms = Some(900.0);
        nodes[2].state = NodeState::Unreachable;
        nodes[3].state = NodeState::Removed;
        let shown = names(&nodes, &Filter::default(), &default_order());
        assert_eq!(shown, ["silent", "slow", "quick", "gone"]);
    }

    #[test]
    fn a_missing_number_is_last_both_ways() {
        let mut nodes = vec![node("none"), node("low"), node("high")];
        nodes[0].requests_per_s = None;
        nodes[2].requests_per_s = Some(70.0);
        for (descends, expected) in [
            (true, ["high", "low", "none"]),
            (false, ["low", "high", "none"]),
        ] {
            let order = vec![(Column::Requests, descends)];
            assert_eq!(names(&nodes, &Filter::default(), &order), expected);
        }
    }

    #[test]
    fn a_second_click_turns_and_another_column_pushes_the_first_to_second() {
        let order = clicked(&default_order(), Column::Host);
        assert_eq!(order, vec![(Column::Host, false), (Column::State, true)]);
        assert_eq!(clicked(&order, Column::Host)[0], (Column::Host, true));
    }

    #[test]
    fn a_filter_looks_at_id_host_and_address() {
        let mut nodes = vec![node("gw-par-1"), node("gw-fra-1")];
        nodes[1].gateway_address = "10.0.0.7:8080".to_owned();
        for (text, expected) in [
            ("par", "gw-par-1"),
            ("10.0.0.7", "gw-fra-1"),
            ("krakend_gw-fra", "gw-fra-1"),
        ] {
            let filter = Filter {
                text: text.to_owned(),
                ..Filter::default()
            };
            assert_eq!(names(&nodes, &filter, &default_order()), [expected]);
        }
        nodes[0].refusal = Some("no".to_owned());
        nodes[0].desired_version = Some(2);
        let filter = Filter {
            configuration: Configuration::Refused,
            ..Filter::default()
        };
        assert_eq!(names(&nodes, &filter, &default_order()), ["gw-par-1"]);
    }

    #[test]
    fn sums_leave_out_who_is_removed_and_who_does_not_report() {
        let mut nodes = vec![node("a"), node("b"), node("c")];
        nodes[0].errors_per_s = Some(2.0);
        nodes[1].requests_per_s = None;
        nodes[2].state = NodeState::Removed;
        let sums = sums(&nodes, 0);
        assert_eq!((sums.total, sums.reporting, sums.applied), (2, 1, 2));
        assert_eq!(sums.requests_per_s, Some(10.0));
        assert_eq!(sums.error_ratio, Some(0.2));
    }

    #[test]
    fn a_thousand_rows_draw_some_forty() {
        let (from, to) = window(360.0 * 36.0, 700.0, 36.0, 1000);
        assert_eq!(from, 348);
        assert!((40..60).contains(&(to - from)), "{from} to {to}");
        assert_eq!(window(0.0, 700.0, 36.0, 5), (0, 5));
    }
}
