//! Both groups' figures side by side, for people and for programs.

use comfy_table::Table;
use serde::Serialize;

use crate::load::Kind;
use crate::summary::{Failover, Summary};

/// Figures of one group.
#[derive(Clone, Debug)]
pub struct Side {
    /// With the number of clients.
    pub writes: Vec<(usize, Summary)>,
    pub reads: Vec<(usize, Summary)>,
    pub memory: Memory,
    pub failover: Failover,
}

/// Resident memory of each member in MiB.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Memory {
    pub at_start_mb: Vec<f64>,
    /// After all writes and reads. Neither group forgets old versions in a run, so the faster one holds more.
    pub after_load_mb: Vec<f64>,
}

/// One of each.
#[derive(Clone, Debug, Serialize)]
pub struct Both<T> {
    pub ours: T,
    pub etcd: T,
}

/// One number of clients.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub clients: usize,
    #[serde(flatten)]
    pub both: Both<Summary>,
}

/// The whole run.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    pub writes: Vec<Row>,
    pub reads: Vec<Row>,
    pub failover: Both<Failover>,
    pub memory: Both<Memory>,
}

impl Report {
    /// Puts the two side by side; both must have been asked the same.
    pub fn new(ours: Side, etcd: Side) -> Self {
        let rows = |ours: Vec<(usize, Summary)>, etcd: Vec<(usize, Summary)>| {
            let pairs = ours.into_iter().zip(etcd);
            pairs
                .map(|((clients, ours), (_, etcd))| Row {
                    clients,
                    both: Both { ours, etcd },
                })
                .collect()
        };
        Self {
            writes: rows(ours.writes, etcd.writes),
            reads: rows(ours.reads, etcd.reads),
            failover: Both {
                ours: ours.failover,
                etcd: etcd.failover,
            },
            memory: Both {
                ours: ours.memory,
                etcd: etcd.memory,
            },
        }
    }

    /// Tables.
    pub fn text(&self) -> String {
        let mut failover = Table::new();
        failover.set_header(["kill -9 of the leader", "ours", "etcd"]);
        let Both { ours, etcd } = &self.failover;
        failover.add_row(cells("median, s", ours.median_s, etcd.median_s, 3));
        failover.add_row(cells("maximum, s", ours.max_s, etcd.max_s, 3));
        failover.add_row([
            "kills".to_owned(),
            ours.kills.to_string(),
            etcd.kills.to_string(),
        ]);
        let mut memory = Table::new();
        memory.set_header(["memory of each member, MiB", "ours", "etcd"]);
        let Both { ours, etcd } = &self.memory;
        for (what, ours, etcd) in [
            ("at the start", &ours.at_start_mb, &etcd.at_start_mb),
            ("after all load", &ours.after_load_mb, &etcd.after_load_mb),
        ] {
            memory.add_row([what.to_owned(), listed(ours), listed(etcd)]);
        }
        format!(
            "{}\n{}\n{failover}\n{memory}",
            table(Kind::Write, &self.writes),
            table(Kind::Read, &self.reads)
        )
    }
}

fn table(kind: Kind, rows: &[Row]) -> Table {
    let mut table = Table::new();
    let what = match kind {
        Kind::Write => "writers",
        Kind::Read => "readers",
    };
    table.set_header([
        what,
        "ours/s",
        "etcd/s",
        "ratio",
        "ours p50, ms",
        "etcd p50, ms",
        "ours p99, ms",
        "etcd p99, ms",
        "errors",
    ]);
    for Row { clients, both } in rows {
        let Both { ours, etcd } = both;
        table.add_row([
            clients.to_string(),
            format!("{:.0}", ours.per_s),
            format!("{:.0}", etcd.per_s),
            format!("{:.2}", ours.per_s / etcd.per_s),
            format!("{:.2}", ours.p50_ms),
            format!("{:.2}", etcd.p50_ms),
            format!("{:.2}", ours.p99_ms),
            format!("{:.2}", etcd.p99_ms),
            format!("{} / {}", ours.errors, etcd.errors),
        ]);
    }
    table
}

fn cells(what: &str, ours: f64, etcd: f64, places: usize) -> [String; 3] {
    [
        what.to_owned(),
        format!("{ours:.places$}"),
        format!("{etcd:.places$}"),
    ]
}

fn listed(figures: &[f64]) -> String {
    let shown: Vec<String> = figures.iter().map(|mb| format!("{mb:.0}")).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn side(per_s: f64) -> Side {
        let summary = Summary {
            per_s,
            p50_ms: 1.5,
            p99_ms: 2.5,
            errors: 0,
        };
        Side {
            writes: vec![(1, summary), (64, summary)],
            reads: vec![(1, summary)],
            memory: Memory {
                at_start_mb: vec![10.0, 11.0, 12.0],
                after_load_mb: vec![20.0, 21.0, 22.0],
            },
            failover: Failover {
                median_s: 0.2,
                max_s: 0.4,
                kills: 5,
            },
        }
    }

    #[test]
    fn the_json_has_rows_by_clients_with_both_groups_and_the_failover() {
        let report = Report::new(side(100.0), side(50.0));
        let value = serde_json::to_value(&report).expect("json");
        let figures = |per_s| json!({"per_s": per_s, "p50_ms": 1.5, "p99_ms": 2.5, "errors": 0});
        assert_eq!(
            value["writes"][1],
            json!({"clients": 64, "ours": figures(100.0), "etcd": figures(50.0)})
        );
        assert_eq!(value["reads"].as_array().map(Vec::len), Some(1));
        assert_eq!(value["failover"]["etcd"]["median_s"], 0.2);
        assert_eq!(value["failover"]["ours"]["max_s"], 0.4);
        assert_eq!(value["memory"]["ours"]["after_load_mb"][2], 22.0);
        assert!(!serde_json::to_string(&report).expect("json").contains('\n'));
    }

    #[test]
    fn the_tables_show_the_ratio_of_both() {
        let text = Report::new(side(100.0), side(50.0)).text();
        assert!(text.contains("2.00"), "{text}");
        assert!(text.contains("20, 21, 22"), "{text}");
    }
}
