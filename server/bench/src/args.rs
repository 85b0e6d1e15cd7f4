//! The command line, and what it means.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::gossip::GossipArguments;

/// Clients at a time that write.
pub const WRITERS: [usize; 4] = [1, 64, 256, 1_000];
/// Clients at a time that read.
pub const READERS: [usize; 3] = [1, 64, 256];

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "krakend-bench", about = "Measures against peers, side by side")]
pub struct Arguments {
    #[command(subcommand)]
    pub what: What,
}

/// What is measured.
#[derive(Debug, Subcommand)]
pub enum What {
    /// Three managers against three etcd members: writes, linearizable reads, memory, failover
    Group(GroupArguments),
    /// Simulated nodes against three managers: joins, memory and processor time
    Nodes(NodesArguments),
    /// How soon a death is known, false alarms and traffic: simulated, and on loopback beside memberlist
    Gossip(GossipArguments),
    /// A month of a large fleet's statistics: what the state takes, and how long questions take
    Statistics(StatisticsArguments),
    /// Serves HTTP and keeps the last body of each fleet in memory
    #[command(hide = true)]
    Bare(BareArguments),
    /// Registers nodes with a running group and measures nothing; they stay silent
    #[command(hide = true)]
    Fill(FillArguments),
}

/// Of `bare`.
#[derive(Clone, Debug, Args)]
pub struct BareArguments {
    #[arg(long)]
    pub port: u16,
}

/// Of `fill`.
#[derive(Clone, Debug, Args)]
pub struct FillArguments {
    /// How many nodes
    #[arg(long, value_parser = nodes)]
    pub nodes: usize,
    /// `host:port` of the leader's node port
    #[arg(long)]
    pub leader: String,
    /// File with a join token that is good for so many
    #[arg(long)]
    pub join_token_file: PathBuf,
}

/// Of `statistics`.
#[derive(Clone, Debug, Args)]
pub struct StatisticsArguments {
    /// How many nodes
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub nodes: u32,
    /// How many endpoints each of them serves
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub endpoints: u32,
    /// Days of which windows are there
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=60))]
    pub days: u32,
    /// End with one line of JSON instead of text
    #[arg(long)]
    pub json: bool,
}

/// Of `nodes`.
#[derive(Clone, Debug, Args)]
pub struct NodesArguments {
    /// How many nodes
    #[arg(long, default_value_t = 300, value_parser = nodes)]
    pub nodes: usize,
    /// Seconds for which they are left alone while the managers are measured
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub rest_s: u64,
    /// End with one line of JSON instead of text
    #[arg(long)]
    pub json: bool,
    /// Where data and logs go; removed again after success
    #[arg(long)]
    pub dir: PathBuf,
    /// The program krakend-cluster-manager
    #[arg(long)]
    pub manager: PathBuf,
}

fn nodes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(nodes @ 1..=10_000) => Ok(nodes),
        _ => Err("1 to 10000".into()),
    }
}

fn registered(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(nodes @ 0..=10_000) => Ok(nodes),
        _ => Err("0 to 10000".into()),
    }
}

/// Of `group`.
#[derive(Clone, Debug, Args)]
pub struct GroupArguments {
    /// Three seconds a measurement and five kills: under five minutes together
    #[arg(long)]
    pub quick: bool,
    /// End with one line of JSON instead of tables
    #[arg(long)]
    pub json: bool,
    /// Length of each measurement in seconds, warm-up not included [default: 10; 3 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds_each: Option<u64>,
    /// How often the leader is killed [default: 30; 5 with --quick]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub kills: Option<u32>,
    /// Nodes that our group holds in its state meanwhile, registered and then silent
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = registered)]
    pub nodes: usize,
    /// First ask a server that does nothing, to see what HTTP and the clients cost; about half a minute with --quick
    #[arg(long)]
    pub floor: bool,
    /// Which member the clients ask, in both groups
    #[arg(long, value_enum, default_value_t = Target::Leader)]
    pub to: Target,
    /// Where data and logs go, on a real disk; removed again after success
    #[arg(long)]
    pub dir: PathBuf,
    /// The program krakend-cluster-manager, built for release
    #[arg(long)]
    pub manager: PathBuf,
    /// The program etcd, version 3.6
    #[arg(long)]
    pub etcd: PathBuf,
}

/// Which member clients ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// All of them the leader
    Leader,
    /// Client after client the next of the three
    Each,
}

/// How much is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Load that is not counted, before each measurement.
    pub warm_up: Duration,
    pub window: Duration,
    pub kills: u32,
    pub to: Target,
}

impl GroupArguments {
    /// What the flags add up to.
    pub fn plan(&self) -> Plan {
        let (warm_up_s, window_s, kills) = if self.quick { (1, 3, 5) } else { (2, 10, 30) };
        Plan {
            warm_up: Duration::from_secs(warm_up_s),
            window: Duration::from_secs(self.seconds_each.unwrap_or(window_s)),
            kills: self.kills.unwrap_or(kills),
            to: self.to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(line: &str) -> Result<GroupArguments, clap::Error> {
        let fixed = "krakend-bench group --dir d --manager m --etcd e";
        let words = fixed.split(' ').chain(line.split_whitespace());
        match Arguments::try_parse_from(words)?.what {
            What::Group(arguments) => Ok(arguments),
            _ => unreachable!("the line says group"),
        }
    }

    #[test]
    fn without_flags_each_measurement_takes_ten_seconds_and_the_leader_dies_thirty_times() {
        let plan = group("").expect("parsed").plan();
        assert_eq!((plan.window.as_secs(), plan.kills), (10, 30));
        assert_eq!(plan.to, Target::Leader);
    }

    #[test]
    fn quick_is_shorter_and_a_given_length_wins_over_it() {
        let plan = group("--quick").expect("parsed").plan();
        assert_eq!((plan.window.as_secs(), plan.kills), (3, 5));
        let plan = group("--quick --seconds-each 7 --kills 2")
            .expect("parsed")
            .plan();
        assert_eq!((plan.window.as_secs(), plan.kills), (7, 2));
    }

    #[test]
    fn quick_with_both_groups_leaves_time_for_kills_in_five_minutes() {
        let plan = group("--quick").expect("parsed").plan();
        let cells = (WRITERS.len() + READERS.len()) as u32;
        let load = (plan.warm_up + plan.window) * cells * 2;
        assert!(load.as_secs() <= 60, "{load:?}");
    }

    #[test]
    fn lengths_out_of_bounds_and_unknown_targets_are_refused() {
        for bad in [
            "--seconds-each 0",
            "--seconds-each 601",
            "--kills 0",
            "--to follower",
        ] {
            assert!(group(bad).is_err(), "{bad}");
        }
        assert_eq!(group("--to each").expect("parsed").to, Target::Each);
    }
}
