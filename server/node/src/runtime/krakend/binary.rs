//! The KrakenD program: where it is, which version, what its check says.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;

use crate::runtime::{ApplyError, Refusal, StartError};

/// `version` and `check` answer within milliseconds; a program that does not
/// is not a KrakenD.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(20);

/// A KrakenD program that answered `version`.
#[derive(Debug, Clone)]
pub(crate) struct Binary {
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

impl Binary {
    /// Asks the program at `path` for its version.
    pub(crate) async fn open(path: &Path) -> Result<Self, StartError> {
        let refuse = |reason: String| StartError::Krakend {
            path: path.to_path_buf(),
            reason,
        };
        let mut command = scrubbed(path);
        command.arg("version");
        let output = run(command).await.map_err(|e| refuse(e.to_string()))?;
        // KrakenD prints its version to standard error.
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        let version = version_in(&text)
            .ok_or_else(|| refuse(format!("`version` said {:?}", text.trim())))?
            .to_owned();
        Ok(Self {
            path: path.to_path_buf(),
            version,
        })
    }

    /// The first that answers: `preferred`, then `krakend` on the `PATH`.
    pub(crate) async fn find(preferred: Option<&Path>) -> Option<Self> {
        let on_path: Vec<PathBuf> = std::env::var_os("PATH")
            .map(|path| {
                std::env::split_paths(&path)
                    .map(|d| d.join("krakend"))
                    .collect()
            })
            .unwrap_or_default();
        let candidates = preferred.map(Path::to_path_buf).into_iter().chain(on_path);
        for path in candidates.filter(|p| p.is_file()) {
            match Self::open(&path).await {
                Ok(binary) => return Some(binary),
                Err(error) => tracing::warn!(%error, "passing over a krakend program"),
            }
        }
        None
    }

    /// Runs `krakend check -c file`; its words come back unchanged.
    pub(crate) async fn check(&self, file: &Path) -> Result<(), ApplyError> {
        let mut command = scrubbed(&self.path);
        command.arg("check").arg("-c").arg(file);
        let what = format!("running {} check", self.path.display());
        let output = run(command).await.map_err(ApplyError::io(what))?;
        if output.status.success() {
            return Ok(());
        }
        let text = [output.stdout, output.stderr].concat();
        Err(Refusal {
            text: String::from_utf8_lossy(&text).trim_end().to_owned(),
        }
        .into())
    }
}

/// A command without what would change KrakenD behind our back: `KRAKEND_*`
/// overrides root keys (and holds the node's own settings), `FC_*` turns the
/// file into a template.
pub(crate) fn scrubbed(path: &Path) -> Command {
    let mut command = Command::new(path);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("KRAKEND_") || text.starts_with("FC_") {
            command.env_remove(&name);
        }
    }
    command
        .env("USAGE_DISABLE", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn run(mut command: Command) -> std::io::Result<Output> {
    tokio::time::timeout(COMMAND_TIMEOUT, command.output())
        .await
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer within 20 s"))?
}

fn version_in(text: &str) -> Option<&str> {
    let rest = text
        .lines()
        .find_map(|l| l.strip_prefix("KrakenD Version:"))?;
    Some(rest.trim()).filter(|v| !v.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_its_line() {
        let text = "KrakenD Version: 2.13.8\nGo Version: 1.26\n";
        assert_eq!(version_in(text), Some("2.13.8"));
        assert_eq!(version_in("usage: krakend"), None);
    }
}
