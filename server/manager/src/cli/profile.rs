//! Where commands find their manager and token: flag, then environment, then a profile of `~/.config/krakend-cm/config.yml`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use serde::Deserialize;

use super::{Client, nearest::hint};

const DEFAULT_SERVER: &str = "http://127.0.0.1:9897";

/// The file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    /// The profile that is used when none is named.
    current: Option<String>,
    profiles: BTreeMap<String, Profile>,
}

/// One group of managers, and how to ask them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Profile {
    servers: Vec<String>,
    token_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

/// What holds for one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub servers: Vec<String>,
    pub token_file: Option<PathBuf>,
    pub ca_file: Option<PathBuf>,
}

impl Target {
    /// Reads the profile file where it is there or was named.
    pub fn of(options: &Client) -> anyhow::Result<Self> {
        let (path, named) = match (&options.config, default_file()) {
            (Some(path), _) => (path.clone(), true),
            (None, Some(path)) => (path, false),
            (None, None) => return Self::resolve(options, File::default(), None),
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if !named && error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error).with_context(|| format!("reading {}", path.display()));
            }
        };
        let file: File = match text.trim().is_empty() {
            true => File::default(),
            false => serde_yaml_ng::from_str(&text).with_context(|| {
                format!(
                    "{} is wrong; write `profiles:`, below it a name, below that `servers: [URL]`, `token_file: FILE`, `ca_file: FILE`",
                    path.display()
                )
            })?,
        };
        Self::resolve(options, file, Some(&path))
    }

    fn resolve(options: &Client, mut file: File, path: Option<&Path>) -> anyhow::Result<Self> {
        let name = options.profile.clone().or(file.current.take());
        let profile = match name {
            None => Profile::default(),
            Some(name) => match file.profiles.remove(&name) {
                Some(profile) => profile,
                None => {
                    let known = file.profiles.keys().map(String::as_str);
                    let hint = hint(&name, known.collect::<Vec<_>>());
                    let path = path.map_or_else(String::new, |path| path.display().to_string());
                    bail!("there is no profile {name:?} in {path}{hint}");
                }
            },
        };
        let beside = |file: PathBuf| match path.and_then(Path::parent) {
            Some(dir) => dir.join(from_home(file)),
            None => file,
        };
        let servers = match options.server.is_empty() {
            false => options.server.clone(),
            true if profile.servers.is_empty() => vec![DEFAULT_SERVER.to_owned()],
            true => profile.servers,
        };
        let token_file = options.token_file.clone();
        let ca_file = options.ca_file.clone();
        Ok(Self {
            servers,
            token_file: token_file.or_else(|| profile.token_file.map(beside)),
            ca_file: ca_file.or_else(|| profile.ca_file.map(beside)),
        })
    }
}

fn from_home(path: PathBuf) -> PathBuf {
    match (path.strip_prefix("~"), home()) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from)
}

fn default_file() -> Option<PathBuf> {
    let config = std::env::var_os("XDG_CONFIG_HOME")
        .filter(|dir| !dir.is_empty())
        .map(PathBuf::from)
        .or_else(|| home().map(|home| home.join(".config")))?;
    Some(config.join("krakend-cm/config.yml"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "current: prod\nprofiles:\n  prod:\n    servers: [https://a:9897, https://b:9897]\n    token_file: prod.token\n  lab:\n    servers: [http://lab:9897]\n";

    fn options(profile: Option<&str>, server: &[&str]) -> (tempfile::TempDir, Client) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("config.yml");
        std::fs::write(&path, FILE).expect("written");
        let client = Client {
            server: server.iter().map(|it| (*it).to_owned()).collect(),
            token_file: None,
            ca_file: None,
            profile: profile.map(str::to_owned),
            config: Some(path),
            output: super::super::Output::Table,
        };
        (dir, client)
    }

    #[test]
    fn a_flag_wins_over_the_profile_and_the_profile_over_the_default() {
        let (dir, client) = options(None, &[]);
        let target = Target::of(&client).expect("read");
        assert_eq!(target.servers, ["https://a:9897", "https://b:9897"]);
        assert_eq!(target.token_file, Some(dir.path().join("prod.token")));
        let (_dir, client) = options(Some("lab"), &[]);
        let target = Target::of(&client).expect("read");
        assert_eq!(target.servers, ["http://lab:9897"]);
        let (_dir, client) = options(Some("lab"), &["http://x:1"]);
        assert_eq!(Target::of(&client).expect("read").servers, ["http://x:1"]);
    }

    #[test]
    fn a_profile_that_is_not_there_and_a_file_that_is_wrong_are_named() {
        let (_dir, client) = options(Some("prdo"), &[]);
        let text = Target::of(&client).expect_err("unknown").to_string();
        assert!(text.contains("did you mean prod?"), "{text}");
        let (_dir, client) = options(None, &[]);
        let path = client.config.clone().expect("named");
        std::fs::write(&path, "profils: {}").expect("written");
        let text = format!("{:#}", Target::of(&client).expect_err("wrong"));
        assert!(
            text.contains("profils") && text.contains("config.yml"),
            "{text}"
        );
    }
}
