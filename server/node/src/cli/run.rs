use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use krakend_gateway::{Strictness, parse};

use super::{KRAKEND_USAGE, fail};
use crate::listen::address_of;
use crate::log::{self, LogFormat};
use crate::node::Signals;
use crate::runtime::{self, ApplyError, RuntimeOptions};
use crate::settings::GatewayChoice;

const GRACE: Duration = Duration::from_secs(30);

#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Listen here, whatever the file says
    #[arg(short, long)]
    port: Option<u16>,
    /// Log more
    #[arg(short, long)]
    debug: bool,
    /// Which gateway to run
    #[arg(long, env = "KRAKEND_NODE_GATEWAY", default_value = "embedded")]
    gateway: GatewayChoice,
    /// The KrakenD program, where it is not on the PATH
    #[arg(long, value_name = "FILE", env = "KRAKEND_NODE_KRAKEND_BIN")]
    krakend_bin: Option<PathBuf>,
}

/// One gateway from a file, until a signal ends it.
pub async fn run(arguments: Arguments) -> ExitCode {
    let Some(path) = &arguments.config else {
        // KrakenD ends with 0 here.
        eprintln!(
            "Please, provide the path to the configuration file with --config or see all the options with --help"
        );
        return ExitCode::SUCCESS;
    };
    let document = match std::fs::read(path) {
        Ok(document) => document,
        Err(error) => return unreadable(path, &error.to_string()),
    };
    // Of a KrakenD's file its own check judges, before it is used.
    if arguments.gateway == GatewayChoice::Embedded
        && let Err(report) = parse(&document, Strictness::Strict)
    {
        return unreadable(path, &report.to_string());
    }
    log::init(
        LogFormat::Text,
        if arguments.debug { "debug" } else { "info" },
    );
    match serve(&arguments, path, &document).await {
        Ok(Ended::AsAsked) => ExitCode::SUCCESS,
        Ok(Ended::Refused(words)) => {
            eprintln!("{words}");
            ExitCode::from(KRAKEND_USAGE)
        }
        Err(error) => fail(&error),
    }
}

enum Ended {
    AsAsked,
    /// KrakenD's own words about the file.
    Refused(String),
}

async fn serve(arguments: &Arguments, path: &Path, document: &[u8]) -> anyhow::Result<Ended> {
    let mut signals = Signals::new()?;
    let mut listen = address_of(Some(document));
    if let Some(port) = arguments.port {
        listen.set_port(port);
    }
    let work_dir = WorkDir::make()?;
    let kind = arguments.gateway.with(arguments.krakend_bin.as_deref());
    let mut options = RuntimeOptions::new(kind, listen, work_dir.0.clone());
    options.krakend_path.clone_from(&arguments.krakend_bin);
    options.drain_timeout = GRACE;
    let gateway = runtime::start(options).await?;
    match gateway.apply(document).await {
        Ok(_) => {}
        Err(ApplyError::Refused(refusal)) => {
            gateway.shutdown(Duration::ZERO).await;
            // It was shown a copy, which nobody knows who has not written this.
            let copy = work_dir.0.join("gateway-candidate-0.json");
            let words = refusal.text;
            let words = words.replace(&copy.display().to_string(), &path.display().to_string());
            return Ok(Ended::Refused(words));
        }
        Err(error) => return Err(error.into()),
    }
    let name = signals.next().await;
    tracing::info!("{name}: ending");
    tokio::select! {
        () = gateway.shutdown(GRACE) => {}
        _ = signals.next() => anyhow::bail!("a second signal: ended at once"),
    }
    Ok(Ended::AsAsked)
}

/// Where a KrakenD's files are while this runs: a directory of our own, because what lies in it is cleared.
struct WorkDir(PathBuf);

impl WorkDir {
    fn make() -> anyhow::Result<Self> {
        let name = format!("krakend-node-{:016x}", rand::random::<u64>());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn unreadable(path: &Path, reason: &str) -> ExitCode {
    eprintln!(
        "ERROR parsing the configuration file:\t'{}': {reason}",
        path.display()
    );
    ExitCode::from(KRAKEND_USAGE)
}
