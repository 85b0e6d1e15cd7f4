//! The command line.

mod ask;
mod check;
mod run;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::settings::{Partial, Settings};
use crate::{log, node};

/// Run time trouble.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const SETTINGS: u8 = 78;
/// What KrakenD ends with after a bad flag or an unreadable configuration.
const KRAKEND_USAGE: u8 = 255;

/// A KrakenD node: runs the gateway and joins the cluster.
///
/// Without a command it reads its settings and runs. With a `seed` it joins the cluster there; without one it needs a
/// `config` and stands alone. Every key is also a variable: KRAKEND_NODE_<KEY>.
#[derive(Parser)]
#[command(name = "krakend-node", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Settings file [default: /etc/krakend/service.yml]
    #[arg(long, value_name = "FILE", env = "KRAKEND_NODE_SETTINGS")]
    settings: Option<PathBuf>,
    #[command(flatten)]
    keys: Partial,
}

#[derive(Subcommand)]
enum Command {
    /// Run one gateway from a file, without a cluster (the embedded engine)
    Run(run::Arguments),
    /// Check a configuration file
    Check(check::Arguments),
    /// Show the members that this machine's node sees in gossip
    Members(Ask),
    /// Show this machine's node
    Status(Ask),
    /// Show the version
    Version,
}

#[derive(clap::Args)]
struct Ask {
    /// The node's own API
    #[arg(
        long,
        default_value = "127.0.0.1:7080",
        env = "KRAKEND_NODE_API_LISTEN"
    )]
    api: SocketAddr,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Parses, runs, and says how it ended.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    let tokio = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(tokio) => tokio,
        Err(error) => return fail(&anyhow::anyhow!("the runtime does not start: {error}")),
    };
    let code = match cli.command {
        None => tokio.block_on(serve(cli.keys, cli.settings)),
        Some(Command::Run(arguments)) => tokio.block_on(run::run(arguments)),
        Some(Command::Check(arguments)) => check::check(&arguments),
        Some(Command::Members(ask)) => tokio.block_on(ask::members(ask.api, ask.json)),
        Some(Command::Status(ask)) => tokio.block_on(ask::status(ask.api, ask.json)),
        Some(Command::Version) => {
            println!("krakend-node {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    };
    // Tasks that still wait for somebody must not hold the end up.
    tokio.shutdown_background();
    code
}

async fn serve(flags: Partial, file: Option<PathBuf>) -> ExitCode {
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let settings = match Settings::load(flags, environment, file.as_deref()) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error.to_string()),
    };
    if settings.seeds.is_empty() && settings.config.is_none() {
        let advice = "there is neither a `seed` nor a `config`: write `seed: HOST:7000` with a manager's address into \
            /etc/krakend/service.yml to join a cluster, or `config: FILE` to stand alone";
        return refuse(advice);
    }
    log::init(settings.log_format, &settings.log_level);
    match node::run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

fn usage(error: &clap::Error) -> ExitCode {
    // Nothing can be done when even this is not printed.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let like_krakend = std::env::args()
        .nth(1)
        .is_some_and(|name| name == "run" || name == "check");
    ExitCode::from(if like_krakend { KRAKEND_USAGE } else { USAGE })
}

fn refuse(reason: &str) -> ExitCode {
    eprintln!("krakend-node: {reason}");
    ExitCode::from(SETTINGS)
}

fn fail(error: &anyhow::Error) -> ExitCode {
    eprintln!("krakend-node: {error:#}");
    ExitCode::from(FAILED)
}
