//! The operator's command line against the HTTP API.

mod client;
mod clock;
mod commands;
mod connect;
mod feature_level;
mod issue;
mod keyring;
mod members;
mod offline;
mod secret;
mod snapshot;
mod tables;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum, error::ErrorKind,
    parser::ValueSource,
};

use crate::{duration::parse_duration, settings::Partial};

/// Control plane for fleets of KrakenD API gateways.
///
/// Without a command it runs one manager: web interface and HTTP API on port 9897, nodes on 7000, other managers on
/// 7001. With a command it asks a running manager.
#[derive(Parser)]
#[command(version, about)]
pub struct Arguments {
    /// Settings file of the manager [default: /etc/krakend/cluster-manager.yml, which may be missing]
    #[arg(long, env = "KRAKEND_CM_SETTINGS")]
    pub settings: Option<PathBuf>,
    #[command(flatten)]
    pub settings_flags: Box<Partial>,
    #[command(flatten)]
    pub client: Client,
    #[command(subcommand)]
    pub command: Option<Command>,
}

impl Arguments {
    /// Reads the command line. Ends the process with a message when it is wrong.
    pub fn from_command_line() -> Self {
        Self::read(std::env::args_os()).unwrap_or_else(|error| error.exit())
    }

    /// A flag that starts a manager makes no sense with a command, and is refused rather than ignored. In the
    /// environment such a setting may stand: a container's commands have it, too.
    fn read(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut definition = Self::command();
        let matches = definition.try_get_matches_from_mut(line)?;
        if let Some(command) = matches.subcommand_name() {
            let given = definition.get_arguments().find(|it| {
                let id = it.get_id().as_str();
                !it.is_global_set() && matches.value_source(id) == Some(ValueSource::CommandLine)
            });
            if let Some(flag) = given.and_then(|it| it.get_long()) {
                let text = format!(
                    "`--{flag}` is for starting a manager; `{command}` asks one that runs: leave the flag or the command away"
                );
                return Err(definition.error(ErrorKind::ArgumentConflict, text));
            }
        }
        Self::from_arg_matches(&matches)
    }
}

/// Which manager a command asks, and as whom.
#[derive(Args, Clone)]
pub struct Client {
    /// URLs of managers; the next is tried when one does not answer
    #[arg(
        long,
        global = true,
        env = "KRAKEND_CM_SERVER",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:9897"
    )]
    pub server: Vec<String>,
    /// File with the API token [default: /var/lib/krakend-cluster-manager/admin-token]
    #[arg(long, global = true, env = "KRAKEND_CM_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// File with the certificate authorities to trust over https://, in PEM [default: the system's]
    #[arg(long, global = true, env = "KRAKEND_CM_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// How answers are printed
    #[arg(long, global = true, default_value = "table")]
    pub output: Output,
}

/// How answers are printed.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    Json,
}

#[derive(Subcommand)]
pub enum Command {
    /// Is the group healthy, who leads, how many managers can be lost, nodes by state, licence
    Status,
    /// Managers of the group: list, add, remove, promote, transfer the leadership
    Managers {
        #[command(subcommand)]
        command: Option<Managers>,
    },
    /// Fleets: named sets of nodes that share one configuration
    #[command(subcommand)]
    Fleets(Fleets),
    /// Nodes with state, version and rate
    Nodes {
        /// Free this node's seat
        #[arg(long, value_name = "NODE")]
        remove: Option<String>,
    },
    /// Configuration versions
    #[command(subcommand)]
    Config(Config),
    /// The licence
    #[command(subcommand)]
    License(License),
    /// Backups: save, inspect, restore
    #[command(subcommand)]
    Snapshot(snapshot::Snapshot),
    /// Make one manager a group of its own after the quorum was lost for good
    Recover(offline::Recover),
    /// Tokens for people, programs and nodes
    #[command(subcommand)]
    Token(Token),
    /// What time it is for the group, and whose clock says otherwise
    #[command(subcommand)]
    Clock(clock::Clock),
    /// Which commands and formats the group may use
    #[command(subcommand)]
    FeatureLevel(feature_level::FeatureLevel),
    /// The group's secrets: who holds and uses which, and the change to a new one
    #[command(subcommand)]
    Secret(secret::Secret),
    /// The keys that authenticate gossip: list, install, use, remove, while everything runs
    #[command(subcommand)]
    Keyring(keyring::Keyring),
    /// What happened, newest last
    Events {
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Requests and backend calls of the last hour
    Stats {
        #[arg(long, default_value = "default")]
        fleet: String,
        /// Seconds to look back
        #[arg(long, default_value_t = 3600)]
        range_s: u64,
    },
}

#[derive(Subcommand)]
pub enum Managers {
    /// Who is in the group, who leads, how far each is behind
    List,
    /// Invite a new manager: prints what to put on its machine
    Add {
        /// How long the invitation is valid, for instance 1h
        #[arg(long, default_value = "1h", value_parser = parse_duration)]
        ttl: u64,
    },
    /// Take a manager out of the group, by name or id
    Remove { manager: String },
    /// Give a learner its vote now, without waiting until it was stable
    Promote { manager: String },
    /// Make another manager the leader [default: the one that is furthest]
    TransferLeadership { manager: Option<String> },
}

#[derive(Subcommand)]
pub enum Fleets {
    /// Fleets with their newest version and number of nodes
    List,
    /// Make a fleet; nodes join it by a join token that names it
    Create { name: String },
}

#[derive(Subcommand)]
pub enum Config {
    /// Publish a KrakenD configuration as the fleet's next version
    Publish {
        file: PathBuf,
        #[arg(long, default_value = "default")]
        fleet: String,
        /// Why
        #[arg(short, long, default_value = "")]
        message: String,
        /// Digest of the version that you started from [default: the newest one]
        #[arg(long)]
        parent: Option<String>,
    },
    /// Check a configuration without publishing it
    Check {
        file: PathBuf,
        #[arg(long, default_value = "default")]
        fleet: String,
    },
    /// Versions of a fleet, newest first
    List {
        #[arg(long, default_value = "default")]
        fleet: String,
    },
    /// Print a version's document
    Show {
        number: u64,
        #[arg(long, default_value = "default")]
        fleet: String,
    },
}

#[derive(Subcommand)]
pub enum License {
    /// Issue a licence, with the issuer's key file; needs no running manager
    Issue(issue::Issue),
    /// Make an issuer's key file and print the line that managers verify with; needs no running manager
    NewKey(issue::NewKey),
    /// Verify a licence: with a key file and no manager, or else as the asked manager would at its installation
    Verify(issue::Verify),
    /// Install a licence; `-` reads standard input
    Install { file: PathBuf },
    /// What is installed, and where it stands
    Show,
    /// Remove it: the free limits hold
    Remove,
}

#[derive(Subcommand)]
pub enum Token {
    /// Make an API token; it is printed this once
    Create {
        name: String,
        #[arg(long, default_value = "viewer", value_parser = ["viewer", "operator", "admin"])]
        role: String,
        /// How long it is valid, for instance 24h or 30d [default: until revoked]
        #[arg(long, value_parser = parse_duration)]
        ttl: Option<u64>,
    },
    /// Make a join token for nodes and print it: `… > /etc/krakend/join-token`
    CreateJoin {
        #[arg(long, default_value = "default")]
        fleet: String,
        /// How long nodes may enrol with it, for instance 1h or 7d
        #[arg(long, default_value = "1h", value_parser = parse_duration)]
        ttl: u64,
        /// How many nodes may enrol with it
        #[arg(long, default_value_t = 1)]
        uses: u32,
    },
    /// API tokens
    List,
    /// Revoke an API or join token
    Revoke { id: String },
}

/// Runs one command and ends with 0, or 1 and the reason on standard error.
pub fn run(command: Command, options: &Client) -> ExitCode {
    let command = match command {
        Command::License(License::Issue(issue)) => return finish(issue.run()),
        Command::License(License::NewKey(new_key)) => return finish(new_key.run()),
        Command::License(License::Verify(verify)) if verify.is_offline() => {
            return finish(verify.run(options.output));
        }
        command => command,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => finish(runtime.block_on(run_async(command, options))),
        Err(error) => finish(Err(error.into())),
    }
}

async fn run_async(command: Command, options: &Client) -> anyhow::Result<()> {
    use snapshot::Snapshot;
    match command {
        Command::Snapshot(Snapshot::Inspect { file }) => snapshot::inspect(&file, options.output),
        Command::Snapshot(Snapshot::Restore { file, place, epoch }) => {
            snapshot::restore((&file, epoch), &place, options.output).await
        }
        Command::Recover(recover) => recover.run(options.output).await,
        command => commands::run(command, options).await,
    }
}

fn finish(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("krakend-cluster-manager: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::read(line.split(' ').map(OsString::from))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn options_of_a_command_may_stand_before_it_and_those_of_a_manager_may_not() {
        for line in [
            "m --server http://a:1 --output json status",
            "m status --server http://a:1 --output json",
        ] {
            let arguments = read(line).expect("taken");
            assert_eq!(arguments.client.server, ["http://a:1"]);
            assert!(arguments.client.output == Output::Json);
        }
        let error = read("m --data-dir /d status").err().expect("refused");
        assert!(error.to_string().contains("`--data-dir` is for starting"));
        assert!(read("m --data-dir /d").is_ok());
    }
}
