//! The programs' logs: lines in the form of the documents of 2017 on standard error, the newest of them kept in memory for
//! who asks from elsewhere, and a level that changes while the program runs.

mod level;
mod line;
mod ring;

use std::sync::OnceLock;

use tracing_subscriber::{
    EnvFilter, Layer, Registry, layer::SubscriberExt, reload, util::SubscriberInitExt,
};

use level::Levels;
use line::SeedForm;
use ring::{Keep, Ring};

pub use level::LevelError;
pub use ring::Line;

/// Target of lines that another program wrote, such as a supervised gateway.
pub const FOREIGN: &str = "gateway::output";

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Who writes.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// First word of a line, such as `CM `.
    pub prefix: &'static str,
    /// Source of a kept line: the program's name.
    pub name: &'static str,
    /// What a plain level means: a list of `target=level`.
    pub directives: fn(&str) -> String,
}

struct Log {
    ring: Ring,
    levels: Levels,
}

/// One process, one log.
static LOG: OnceLock<Log> = OnceLock::new();

/// Sends logs to standard error. `level` is a level or a list of `target=level`; one that cannot be read counts as `info`.
pub fn init(program: Program, format: LogFormat, level: &str) {
    let filter = level::filter(program.directives, level);
    let (level, filter) = match filter {
        Ok(filter) => (level, filter),
        Err(_) => ("info", EnvFilter::new("info")),
    };
    let (filter, handle) = reload::Layer::<EnvFilter, Registry>::new(filter);
    let log = Log {
        ring: Ring::new(program.name),
        levels: Levels::new(program.directives, level, handle),
    };
    if LOG.set(log).is_err() {
        return;
    }
    let written = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let written = match format {
        LogFormat::Text => written.event_format(SeedForm(program.prefix)).boxed(),
        LogFormat::Json => written.json().boxed(),
    };
    let keep = LOG.get().map(|log| Keep(&log.ring));
    tracing_subscriber::registry()
        .with(filter)
        .with(written)
        .with(keep)
        .init();
}

/// The newest lines that were written, oldest first; none before [`init`].
pub fn newest(lines: usize) -> Vec<Line> {
    LOG.get()
        .map_or_else(Vec::new, |log| log.ring.newest(lines))
}

/// What is written at the moment: a level or a list of `target=level`.
pub fn level() -> String {
    LOG.get().map_or_else(String::new, |log| log.levels.now())
}

/// Writes at another level from now on; an empty one is what the settings say. What holds then.
///
/// # Errors
/// It is neither a level nor a list of `target=level`.
pub fn set_level(level: &str) -> Result<String, LevelError> {
    match LOG.get() {
        Some(log) => log.levels.set(level),
        None => Err(LevelError::NotStarted),
    }
}
