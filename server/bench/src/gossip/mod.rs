//! `gossip`: the protocol itself in virtual time, then real UDP on loopback beside hashicorp's memberlist.

mod real;
mod simulate;
mod world;

use std::path::PathBuf;

use anyhow::Result;
use serde_json::json;

/// Of `gossip`.
#[derive(Clone, Debug, clap::Args)]

pub struct GossipArguments {
    /// Smaller pools and shorter runs: under two minutes together
    #[arg(long)]
    pub quick: bool,
    /// End with one line of JSON
    #[arg(long)]
    pub json: bool,
    /// Leave the simulated pools out
    #[arg(long)]
    pub real_only: bool,
    /// Seed of the simulated pools
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// The pool of memberlist members to compare with
    #[arg(long)]
    pub memberlist: PathBuf,
}

/// Pool sizes and losses that are simulated.
const MEMBERS: [usize; 4] = [10, 100, 1_000, 5_000];
const LOSSES: [f64; 4] = [0.0, 0.05, 0.2, 0.3];
/// Further pools, of the sizes that are usual, at the loss at which an hour must go by without a false down.
const USUAL: [(usize, f64); 2] = [(12, 0.2), (30, 0.2)];
/// Pools on real sockets.
const REAL: [usize; 2] = [30, 100];

/// Runs everything and prints what came of it.
///
/// # Errors
/// A pool does not form, or memberlist does not run.
pub async fn run(arguments: &GossipArguments) -> Result<()> {
    let sizes = match (arguments.real_only, arguments.quick) {
        (true, _) => 0,
        (false, true) => 3,
        (false, false) => MEMBERS.len(),
    };
    let mut simulated = Vec::new();
    println!("virtual time, seed {}", arguments.seed);
    println!(
        "members  loss  first p50  all p50  all max  false downs  bytes/s  packets/s  probes failed"
    );
    let usual = if sizes > 0 { &USUAL[..] } else { &[] };
    let all = MEMBERS[..sizes].iter();
    let all = all.flat_map(|members| LOSSES.map(|loss| (*members, loss)));
    for (members, loss) in usual.iter().copied().chain(all) {
        let plan = simulate::Plan::of(members, arguments.quick);
        let cell = simulate::run(members, loss, arguments.seed, &plan);
        println!("{}", cell.line());
        simulated.push(cell.json());
    }
    let deaths = if arguments.quick { 2 } else { 5 };
    let mut compared = Vec::new();
    println!(
        "\nreal UDP on loopback, the slowest of {deaths} deaths, and payload sent in quiet times"
    );
    println!("members  ours all  memberlist all  ours bytes/s  memberlist bytes/s (per member)");
    for members in REAL {
        let ours = real::ours(members, deaths).await?;
        let theirs = real::memberlist(&arguments.memberlist, members, deaths).await?;
        println!(
            "{members:7}  {:6.2} s  {:12.2} s  {:12.0}  {:18.0}",
            ours.all_s, theirs.all_s, ours.bytes_per_member_s, theirs.bytes_per_member_s
        );
        compared.push(json!({
            "members": members,
            "ours_all_s": rounded(ours.all_s),
            "memberlist_all_s": rounded(theirs.all_s),
        }));
    }
    if arguments.json {
        println!("{}", json!({ "simulated": simulated, "real": compared }));
    }
    Ok(())
}

/// To milliseconds.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1_000.0).round() / 1_000.0
}
