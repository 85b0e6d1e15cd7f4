//! The tool behind `cargo xtask`.

mod axe;
mod bench;
mod build;
mod contract;
mod debian;
mod demo;
mod golang;
mod jepsen;
mod krakend;
mod run;
mod setup;
mod sim;
mod test;
mod web;

use anyhow::Result;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "cargo xtask",
    about = "Builds, runs and tests the cluster manager"
)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Install what is missing, and build the reference KrakenD where there is Go
    Setup,
    /// Build the dashboard and the programs
    Build,
    /// Build the dashboard into web/dist
    Web(web::WebArgs),
    /// Build everything, start managers, nodes and traffic, and say what to try; with --once go through the scenario
    Demo(demo::DemoArgs),
    /// Build everything and treat a group of real managers badly: partitions, kills, pauses; exit 0 or 1
    Jepsen(jepsen::JepsenArgs),
    /// Live through seeds in a simulated world: managers in one process, with partitions, crashes and power losses
    Sim(sim::SimArgs),
    /// Build for release and measure against peers: `bench group` for three managers against three etcd members
    Bench(bench::BenchArgs),
    /// Run every test, the formatter's and the linter's included
    Test,
    /// Format all code
    Fmt,
    /// Run the linter; a warning is an error
    Lint,
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Task::Setup => setup::run(),
        Task::Build => build::run(),
        Task::Web(args) => web::run(&args),
        Task::Demo(args) => demo::run(&args),
        Task::Jepsen(args) => jepsen::run(&args),
        Task::Sim(args) => sim::run(&args),
        Task::Bench(args) => bench::run(&args),
        Task::Test => test::run(),
        Task::Fmt => run::cargo(&["fmt", "--all"]),
        Task::Lint => test::lint(),
    }
}
