use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use krakend_gateway::{Strictness, parse};

use super::{KRAKEND_USAGE, fail};
use crate::listen::address_of;
use crate::log::{self, LogFormat};
use crate::node::Signals;
use crate::runtime::{self, RuntimeChoice, RuntimeOptions};

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
    if let Err(report) = parse(&document, Strictness::Strict) {
        return unreadable(path, &report.to_string());
    }
    log::init(
        LogFormat::Text,
        if arguments.debug { "debug" } else { "info" },
    );
    match serve(&arguments, &document).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error),
    }
}

async fn serve(arguments: &Arguments, document: &[u8]) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let mut listen = address_of(Some(document));
    if let Some(port) = arguments.port {
        listen.set_port(port);
    }
    // The embedded engine writes nothing there.
    let work_dir = std::env::temp_dir();
    let options = RuntimeOptions::new(RuntimeChoice::Embedded, listen, work_dir);
    let gateway = runtime::start(options).await?;
    gateway.apply(document).await?;
    let name = signals.next().await;
    tracing::info!("{name}: ending");
    tokio::select! {
        () = gateway.shutdown(GRACE) => {}
        _ = signals.next() => anyhow::bail!("a second signal: ended at once"),
    }
    Ok(())
}

fn unreadable(path: &std::path::Path, reason: &str) -> ExitCode {
    eprintln!(
        "ERROR parsing the configuration file:\t'{}': {reason}",
        path.display()
    );
    ExitCode::from(KRAKEND_USAGE)
}
