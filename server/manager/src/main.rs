//! `krakend-cluster-manager`: without a command one manager of the group, with one the operator's command line.

use std::process::ExitCode;

use krakend_cluster_manager::{app, cli, log, settings};

/// A manager makes and drops many small values on several threads; the system's allocator takes a third of its time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Exit code for settings that cannot hold (sysexits' EX_CONFIG).
const EXIT_SETTINGS: u8 = 78;
/// Exit code for damaged files that only an operator can give back (sysexits' EX_IOERR).
const EXIT_DAMAGED: u8 = 74;

fn main() -> ExitCode {
    let arguments = cli::Arguments::from_command_line();
    if let Some(command) = arguments.command {
        return cli::run(command, &arguments.client);
    }
    let flags = *arguments.settings_flags;
    let settings = settings::Settings::load(flags, std::env::vars(), arguments.settings.as_deref());
    let settings = match settings {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("krakend-cluster-manager: {error}");
            return ExitCode::from(EXIT_SETTINGS);
        }
    };
    log::init(settings.log_format, &settings.log_level);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("krakend-cluster-manager: the runtime cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(app::run(settings));
    // What still waits for a disk is left behind.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            if error.is::<app::WrongSettings>() {
                ExitCode::from(EXIT_SETTINGS)
            } else if error.is::<app::DamagedFiles>() {
                ExitCode::from(EXIT_DAMAGED)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
