use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use krakend_gateway::{Strictness, parse};

use super::FAILED;
use crate::listen::address_of;

#[derive(clap::Args)]
pub struct Arguments {
    /// The configuration file
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Try to take the port as well
    #[arg(short, long)]
    test_gin_routes: bool,
    /// Say what would be ignored or done differently, too
    #[arg(short = 'n', long)]
    lint: bool,
}

/// As `krakend check`: everything on standard error, 0 or 1.
pub fn check(arguments: &Arguments) -> ExitCode {
    let Some(path) = &arguments.config else {
        eprintln!(
            "Please, provide the path to the configuration file with --config or see all the options with --help"
        );
        return ExitCode::from(FAILED);
    };
    eprintln!("Parsing configuration file: {}", path.display());
    match judge(path, arguments) {
        Ok(()) => {
            eprintln!("Syntax OK!");
            ExitCode::SUCCESS
        }
        Err((doing, reason)) => {
            eprintln!(
                "ERROR {doing} the configuration file:\t'{}': {reason}",
                path.display()
            );
            ExitCode::from(FAILED)
        }
    }
}

fn judge(path: &Path, arguments: &Arguments) -> Result<(), (&'static str, String)> {
    let document = std::fs::read(path).map_err(|error| ("parsing", error.to_string()))?;
    let (_, report) = parse(&document, Strictness::Strict).map_err(|report| {
        let broken = report
            .errors()
            .any(|finding| finding.code == "invalid-json");
        (
            if broken { "parsing" } else { "validating" },
            report.to_string(),
        )
    })?;
    if arguments.lint && !report.findings.is_empty() {
        return Err(("linting", report.to_string()));
    }
    if arguments.test_gin_routes {
        let address = address_of(Some(&document));
        TcpListener::bind(address)
            .map_err(|error| ("testing", format!("cannot listen on {address}: {error}")))?;
    }
    Ok(())
}
