//! The operator's command line against the HTTP API.

mod audit;
mod bundle;
mod client;
mod clock;
mod commands;
mod configuration;
mod connect;
mod feature_level;
mod issue;
mod keyring;
mod manual;
mod members;
mod nearest;
mod nodes;
mod offline;
mod output;
mod profile;
mod rollout;
mod secret;
mod snapshot;
mod status;
mod table;
mod tables;
mod watch;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{
    Args, CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind, parser::ValueSource,
};

use crate::{duration::parse_duration, settings::Partial};
use output::{Ended, Output};

const EXIT_CODES: &str = "\
Commands find their manager by --server, then KRAKEND_CM_SERVER, then a profile of ~/.config/krakend-cm/config.yml \
(`current: NAME`, and below `profiles:` for each name `servers`, `token_file` and `ca_file`), and try the next when one does \
not answer. The token comes from KRAKEND_CM_TOKEN, --token-file or the profile.

Exit codes: 0 done, for `status` healthy; 1 trouble, no manager reached; 2 wrong use, for `status` degraded; \
for `config wait`: 3 a gateway refuses the version, 4 time is over. A manager: 74 damaged files, 78 wrong settings.";

/// Control plane for fleets of KrakenD API gateways.
///
/// Without a command it runs one manager: web interface and HTTP API on port 9897, nodes on 7000, other managers on
/// 7001. With a command it asks a running manager.
#[derive(Parser)]
#[command(version, about, after_help = EXIT_CODES)]
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
#[command(next_help_heading = "Which manager, and how its answers are printed")]
pub struct Client {
    /// URLs of managers; the next is tried when one does not answer [default: http://127.0.0.1:9897]
    #[arg(
        long,
        global = true,
        env = "KRAKEND_CM_SERVER",
        value_delimiter = ',',
        value_name = "URL"
    )]
    pub server: Vec<String>,
    /// File with the API token [default: /var/lib/krakend-cluster-manager/admin-token]
    #[arg(
        long,
        global = true,
        env = "KRAKEND_CM_TOKEN_FILE",
        value_name = "FILE"
    )]
    pub token_file: Option<PathBuf>,
    /// File with the authorities that certify the managers' HTTPS [default: those that this machine trusts]
    #[arg(long, global = true, env = "KRAKEND_CM_CA_FILE", value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Profile to use [default: the file's `current`]
    #[arg(long, global = true, env = "KRAKEND_CM_PROFILE", value_name = "NAME")]
    pub profile: Option<String>,
    /// File with the profiles [default: ~/.config/krakend-cm/config.yml]
    #[arg(long, global = true, env = "KRAKEND_CM_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How answers are printed
    #[arg(
        short,
        long,
        global = true,
        env = "KRAKEND_CM_OUTPUT",
        default_value = "table"
    )]
    pub output: Output,
}

#[derive(Subcommand)]
pub enum Command {
    /// Is the group healthy and if not why, who leads, how many managers can be lost, nodes, rollout, licence, alarms
    ///
    /// Ends with 0 when it is healthy, with 2 when something wants an operator, with 1 when no manager is reached.
    Status(watch::Watch),
    /// Managers of the group: list, add, remove, promote, transfer the leadership
    Managers {
        #[command(subcommand)]
        command: Option<Managers>,
    },
    /// Fleets: named sets of nodes that share one configuration
    #[command(subcommand)]
    Fleets(Fleets),
    /// Nodes, by name or id: list, show, drain, undrain, restart, remove, log
    #[command(args_conflicts_with_subcommands = true)]
    Nodes {
        #[command(subcommand)]
        command: Option<nodes::Nodes>,
        #[command(flatten)]
        list: nodes::List,
    },
    /// Configuration versions: publish, check, list, show, diff, rollback, export, wait
    #[command(subcommand)]
    Config(configuration::Config),
    /// How far each node is with its fleet's newest version
    Rollout(rollout::RolloutOf),
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
    /// Who changed what: list, export, verify
    #[command(subcommand)]
    Audit(audit::Audit),
    /// The newest log lines of the manager that is asked
    Log {
        /// The newest so many, at most 2,000
        #[arg(short = 'n', long, default_value_t = 200)]
        lines: u32,
    },
    /// What the manager that is asked logs, or a node; with a level it is changed until the next start
    LogLevel {
        /// error, warn, info, debug, trace, or a list of target=level
        level: Option<String>,
        /// A node, by name or id; without a level it goes back to its settings
        #[arg(long, value_name = "NODE")]
        node: Option<String>,
    },
    /// For somebody who helps: a bundle of everything but secrets
    #[command(subcommand)]
    Debug(bundle::Debug),
    /// Print the completion script of a shell, for instance `completion bash > /etc/bash_completion.d/krakend-cm`
    Completion { shell: clap_complete::Shell },
    /// Write manual pages, one for each command
    Man {
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
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

/// Runs one command and ends as [`EXIT_CODES`] says, with the reason on standard error.
pub fn run(command: Command, options: &Client) -> ExitCode {
    let command = match command {
        Command::Completion { shell } => {
            manual::completion(shell);
            return ExitCode::SUCCESS;
        }
        Command::Man { directory } => return finish(manual::pages(&directory)),
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
            let text = format!("{error:#}");
            if !text.is_empty() {
                eprintln!("krakend-cluster-manager: {text}");
            }
            match error.downcast_ref::<Ended>() {
                Some(ended) => ExitCode::from(ended.code),
                None => ExitCode::FAILURE,
            }
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
