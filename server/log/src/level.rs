use std::sync::{Mutex, PoisonError};

use tracing_subscriber::{EnvFilter, Registry, filter::LevelFilter, reload};

/// Longest list that is taken.
const MAX_LEVEL: usize = 1_000;

/// A level that cannot be used. Nothing has changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LevelError {
    #[error(
        "{0:?} is no log level: write error, warn, info, debug, trace, or a list of target=level"
    )]
    Unknown(String),
    #[error("this program does not write a log yet")]
    NotStarted,
}

/// What is written, and what the settings say.
pub struct Levels {
    directives: fn(&str) -> String,
    usual: String,
    now: Mutex<String>,
    handle: reload::Handle<EnvFilter, Registry>,
}

impl Levels {
    pub fn new(
        directives: fn(&str) -> String,
        level: &str,
        handle: reload::Handle<EnvFilter, Registry>,
    ) -> Self {
        Self {
            directives,
            usual: level.to_owned(),
            now: Mutex::new(level.to_owned()),
            handle,
        }
    }

    pub fn now(&self) -> String {
        let now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        now.clone()
    }

    pub fn set(&self, level: &str) -> Result<String, LevelError> {
        let level = match level.trim() {
            "" => self.usual.as_str(),
            level => level,
        };
        let filter = filter(self.directives, level)?;
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        self.handle
            .reload(filter)
            .map_err(|_| LevelError::NotStarted)?;
        level.clone_into(&mut now);
        Ok(level.to_owned())
    }
}

/// A plain level means the program's own; libraries speak of their inner life at `info`.
pub fn filter(directives: fn(&str) -> String, level: &str) -> Result<EnvFilter, LevelError> {
    let unknown = || LevelError::Unknown(level.chars().take(100).collect());
    if level.len() > MAX_LEVEL {
        return Err(unknown());
    }
    // The library takes nothing at all for `error`.
    let is_level =
        |word: &str| !word.trim().is_empty() && word.trim().parse::<LevelFilter>().is_ok();
    let text = match is_level(level) {
        true => directives(level.trim()),
        false => level.to_owned(),
    };
    // A word that is no level would be read as a target of which everything is written.
    let mut parts = text.split(',');
    let known = parts.all(|part| match part.rsplit_once('=') {
        Some((target, level)) => !target.trim().is_empty() && is_level(level),
        None => is_level(part),
    });
    match known {
        true => EnvFilter::try_new(&text).map_err(|_| unknown()),
        false => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(level: &str) -> String {
        format!("warn,own={level}")
    }

    #[test]
    fn a_level_and_a_list_are_taken_and_a_typing_error_is_refused() {
        for level in [
            "error",
            "WARN",
            "info",
            "debug",
            "trace",
            "off",
            "a=debug,warn",
            "a::b=info",
        ] {
            assert!(filter(own, level).is_ok(), "{level}");
        }
        for level in ["debgu", "", "a=debgu", "=debug", "info,debgu"] {
            let error = filter(own, level).expect_err(level);
            assert!(error.to_string().contains("error, warn, info, debug"));
        }
    }

    #[test]
    fn a_level_changes_while_the_program_runs_and_back_to_the_settings() {
        let (_layer, handle) = reload::Layer::<EnvFilter, Registry>::new(EnvFilter::new("info"));
        let levels = Levels::new(own, "info", handle.clone());
        assert_eq!(levels.set("debug"), Ok("debug".into()));
        let text = handle.with_current(ToString::to_string).expect("alive");
        assert!(text.contains("own=debug"), "{text}");
        assert!(levels.set("debgu").is_err());
        assert_eq!(levels.now(), "debug", "a refused one changes nothing");
        assert_eq!(levels.set(" "), Ok("info".into()));
        assert_eq!(levels.now(), "info");
    }
}
