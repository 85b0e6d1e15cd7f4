//! Where settings come from beside the command line: the file, and the environment.

use std::path::Path;

use super::{DEFAULT_FILE, KEYS, Partial, SettingsError};

const ENVIRONMENT_PREFIX: &str = "KRAKEND_CM_";

pub(super) fn read_file(named: Option<&Path>) -> Result<Partial, SettingsError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(Partial::default());
        }
        Err(source) => {
            return Err(SettingsError::Unreadable {
                path: path.into(),
                source,
            });
        }
    };
    if text.trim().is_empty() {
        return Ok(Partial::default());
    }
    serde_yaml_ng::from_str(&text).map_err(|error| SettingsError::File {
        path: path.into(),
        reason: error.to_string(),
    })
}

pub(super) fn read_environment(
    variables: impl IntoIterator<Item = (String, String)>,
) -> Result<Partial, SettingsError> {
    let mut map = serde_yaml_ng::Mapping::new();
    for (name, value) in variables {
        let Some(key) = name.strip_prefix(ENVIRONMENT_PREFIX) else {
            continue;
        };
        let key = key.to_ascii_lowercase();
        // The command line's own variables share the prefix.
        if [
            "server",
            "token",
            "token_file",
            "ca_file",
            "profile",
            "config",
            "output",
            "settings",
            "secret",
            "join_token",
        ]
        .contains(&key.as_str())
        {
            continue;
        }
        let wrong = |reason: String| SettingsError::Environment {
            name: name.clone(),
            reason,
        };
        let parsed = match key.as_str() {
            "peers" | "join" => value
                .split(',')
                .map(|peer| serde_yaml_ng::Value::String(peer.trim().into()))
                .collect(),
            "bootstrap_expect"
            | "promote_after_s"
            | "dead_manager_after_s"
            | "grace_s"
            | "reap_s"
            | "lease_s"
            | "certificate_life_s"
            | "metrics_open"
            | "backup_keep"
            | "disk_reserve_bytes"
            | "statistics_max_bytes"
            | "max_document_bytes" => {
                serde_yaml_ng::from_str(&value).map_err(|error| wrong(error.to_string()))?
            }
            _ => serde_yaml_ng::Value::String(value),
        };
        let mut one = serde_yaml_ng::Mapping::new();
        one.insert(key.clone().into(), parsed.clone());
        serde_yaml_ng::from_value::<Partial>(one.into())
            .map_err(|error| wrong(format!("{error}; keys: {}", KEYS.join(", "))))?;
        map.insert(key.into(), parsed);
    }
    // Each key parsed alone, so they parse together.
    Ok(serde_yaml_ng::from_value(map.into()).unwrap_or_default())
}
