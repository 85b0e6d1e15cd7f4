//! `cargo xtask sim`: a group of managers in a simulated world, one life for each seed.

use anyhow::Result;

use crate::run;

/// What `cargo xtask sim` was asked for.
#[derive(Clone, Debug, clap::Args)]
pub struct SimArgs {
    /// How many seeds; without this 500, or one where a seed is named
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed. One seed alone is told event by event
    #[arg(long)]
    seed: Option<u64>,
    /// Show instead which seed finds each planted bug, and how
    #[arg(long, conflicts_with_all = ["seeds", "seed"])]
    planted: bool,
}

/// Builds the tests and lives through the seeds.
///
/// # Errors
/// Something does not build, or a seed fails.
pub fn run(args: &SimArgs) -> Result<()> {
    let mut cargo = run::cargo_command();
    let only = match args.planted {
        true => "simulation::tests::planted",
        false => "simulation::tests::no_seed",
    };
    // The whole workspace, as every other test run has it, so that nothing is built twice.
    cargo.args([
        "test",
        "--locked",
        "--workspace",
        "--lib",
        "--quiet",
        "--",
        "--nocapture",
    ]);
    cargo.arg(only);
    if let Some(seeds) = args.seeds {
        cargo.env("KRAKEND_SIM_SEEDS", seeds.to_string());
    }
    if let Some(seed) = args.seed {
        cargo.env("KRAKEND_SIM_SEED", seed.to_string());
    }
    run::run(&mut cargo)
}
