//! How answers are printed, and how a command ends.

use clap::ValueEnum;
use serde::Serialize;

/// How answers are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people: aligned columns, cut only where a terminal is too narrow
    Table,
    /// The API's own shapes
    Json,
    /// The same as YAML
    Yaml,
}

impl Output {
    /// The value as text; `table` says it for people.
    pub fn text<T: Serialize + ?Sized>(
        self,
        value: &T,
        table: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<String> {
        Ok(match self {
            Self::Table => table(value),
            Self::Json => serde_json::to_string_pretty(value)?,
            Self::Yaml => serde_yaml_ng::to_string(value)?.trim_end().to_owned(),
        })
    }

    pub fn print<T: Serialize + ?Sized>(
        self,
        value: &T,
        table: impl FnOnce(&T) -> String,
    ) -> anyhow::Result<()> {
        println!("{}", self.text(value, table)?);
        Ok(())
    }
}

/// An end that programs tell apart from other trouble.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub struct Ended {
    pub code: u8,
    /// On standard error; nothing where it is empty.
    pub text: String,
}

impl Ended {
    pub fn with(code: u8, text: impl Into<String>) -> anyhow::Error {
        let text = text.into();
        Self { code, text }.into()
    }
}

/// `status`: the group is reached, and something wants an operator.
pub const DEGRADED: u8 = 2;
/// `config wait`: a gateway refuses the version.
pub const REFUSED: u8 = 3;
/// `config wait`: not all nodes have it within the time.
pub const LATE: u8 = 4;
