//! The command line.

mod ask;
mod check;
mod run;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::settings::{Partial, Settings, SettingsError};
use crate::{control, log, node};

/// Beyond the grace time: KrakenD's own stop limit, goodbye, gossip.
const LEAVE_WITHIN: Duration = Duration::from_secs(30);
/// Run time trouble.
const FAILED: u8 = 1;
const USAGE: u8 = 2;
const SETTINGS: u8 = 78;
/// What KrakenD ends with after a bad flag or an unreadable configuration.
const KRAKEND_USAGE: u8 = 255;

/// A KrakenD node: runs this machine's gateway, alone or in a cluster.
///
/// Without a command it reads /etc/krakend/service.yml and runs. With a `seed` there (a manager's address) it joins the
/// cluster, gets its configuration from there, and goes on serving when every manager is gone; it needs a join token,
/// once: `krakend-cluster-manager token create-join`. Without a `seed` it needs a `config`, and stands alone.
///
/// Every key of the file is also a flag (below) and a variable (KRAKEND_NODE_<KEY>); a flag wins over a variable, a variable
/// over the file. SIGTERM and SIGINT end open requests, say goodbye to the cluster, and keep the seat for five minutes.
#[derive(Parser)]
#[command(
    name = "krakend-node",
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit codes: 0 ended as asked, 1 trouble while running, 2 wrong use, 78 wrong settings; `run` and `check` \
                  end like KrakenD's."
)]
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
    /// Run one gateway from a file, without cluster or settings: KrakenD's own flags; the embedded engine, or KrakenD
    Run(run::Arguments),
    /// Check a configuration file, as `krakend check` does
    Check(check::Arguments),
    /// Show who this machine's node sees in the cluster; needs no manager
    Members(Ask),
    /// Show this machine's node: managers, lease, limits, what it serves
    Status(Ask),
    /// Leave the cluster for good and end: frees the seat at once
    ///
    /// Asks the node that runs on this machine. It ends its gateway like after SIGTERM, tells the leader, and ends; the seat
    /// is free at once instead of after five minutes. When no leader answers, the other members hear of it through gossip,
    /// and the next leader writes it: then the seat is free five minutes later. Started again, the node comes back under
    /// its id if there is a seat for it.
    Leave(Leave),
    /// Show the version
    Version,
}

#[derive(clap::Args)]
struct Leave {
    /// The settings file of the node that is to leave [default: /etc/krakend/service.yml]
    #[arg(long, value_name = "FILE", env = "KRAKEND_NODE_SETTINGS")]
    settings: Option<PathBuf>,
    /// Its data directory, whatever the file says
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Ask {
    /// The node's own port [default: the `api_listen` of its settings, or 127.0.0.1:7080]
    #[arg(long, value_name = "HOST:PORT")]
    api: Option<SocketAddr>,
    /// The node's settings file [default: /etc/krakend/service.yml]
    #[arg(long, value_name = "FILE", env = "KRAKEND_NODE_SETTINGS")]
    settings: Option<PathBuf>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Ask {
    fn address(&self) -> Result<SocketAddr, SettingsError> {
        if let Some(api) = self.api {
            return Ok(api);
        }
        let file = self.settings.as_deref();
        let mut api = Settings::load(Partial::default(), environment(), file)?.api_listen;
        // One that listens everywhere is here as well.
        if api.ip().is_unspecified() {
            api.set_ip(Ipv4Addr::LOCALHOST.into());
        }
        Ok(api)
    }
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
        Some(Command::Members(ask)) => match ask.address() {
            Ok(api) => tokio.block_on(ask::members(api, ask.json)),
            Err(error) => refuse(&error.to_string()),
        },
        Some(Command::Status(ask)) => match ask.address() {
            Ok(api) => tokio.block_on(ask::status(api, ask.json)),
            Err(error) => refuse(&error.to_string()),
        },
        Some(Command::Leave(leave)) => tokio.block_on(leave_cluster(leave)),
        Some(Command::Version) => {
            println!("krakend-node {}", env!("CARGO_PKG_VERSION"));
            ExitCode::SUCCESS
        }
    };
    // Tasks that still wait for somebody must not hold the end up.
    tokio.shutdown_background();
    code
}

async fn leave_cluster(arguments: Leave) -> ExitCode {
    let flags = Partial {
        data_dir: arguments.data_dir,
        ..Partial::default()
    };
    let settings = match Settings::load(flags, environment(), arguments.settings.as_deref()) {
        Ok(settings) => settings,
        Err(error) => return refuse(&error.to_string()),
    };
    let within = settings.shutdown_grace + LEAVE_WITHIN;
    match control::ask_to_leave(&settings.data_dir, within).await {
        Ok(outcome) => {
            print!("{outcome}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error.into()),
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

async fn serve(flags: Partial, file: Option<PathBuf>) -> ExitCode {
    let settings = match Settings::load(flags, environment(), file.as_deref()) {
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
