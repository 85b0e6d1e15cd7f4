//! Holds the invariants that `server/ARCHITECTURE.md` writes as absences.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && name != "dist" {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    rust_files(&root().join(folder), &mut files);
    assert!(!files.is_empty(), "no sources in {folder}");
    let read = |path: PathBuf| (path.clone(), fs::read_to_string(path).expect("readable"));
    files.into_iter().map(read).collect()
}

/// Folder and names of the dependencies of each crate, dev-dependencies left out.
fn dependencies() -> BTreeMap<&'static str, Vec<String>> {
    const CRATES: [&str; 15] = [
        "server/domain",
        "server/api",
        "server/log",
        "proto",
        "server/storage",
        "server/gossip",
        "server/gateway",
        "server/raft",
        "server/node",
        "server/manager",
        "server/bench",
        "web",
        "web/macro",
        "jepsen-like-tests",
        "deploy/xtask",
    ];
    let read = |folder| {
        let path = root().join(folder).join("Cargo.toml");
        let text = fs::read_to_string(&path).expect("a manifest");
        let mut names = Vec::new();
        let mut inside = false;
        for line in text.lines() {
            if line.starts_with('[') {
                inside = line.contains("dependencies]") && !line.contains("dev-dependencies");
            } else if inside {
                let name = line.split(['.', ' ', '=']).next().unwrap_or_default();
                names.push(name.to_owned());
            }
        }
        (folder, names)
    };
    CRATES.into_iter().map(read).collect()
}

#[test]
fn a_crate_depends_on_lower_floors_only() {
    let floors = BTreeMap::from([
        ("krakend-domain", 0),
        ("krakend-api", 0),
        ("krakend-log", 0),
        ("krakend-proto", 1),
        ("krakend-storage", 1),
        ("krakend-gossip", 1),
        ("krakend-gateway", 1),
        ("krakend-raft", 2),
        ("krakend-node", 2),
        ("krakend-cluster-manager", 3),
    ]);
    let own = BTreeMap::from([
        ("server/domain", 0),
        ("server/api", 0),
        ("server/log", 0),
        ("proto", 1),
        ("server/storage", 1),
        ("server/gossip", 1),
        ("server/gateway", 1),
        ("server/raft", 2),
        ("server/node", 2),
        ("server/manager", 3),
    ]);
    for (folder, names) in dependencies() {
        let Some(floor) = own.get(folder) else {
            continue;
        };
        for name in names {
            if let Some(other) = floors.get(name.as_str()) {
                assert!(other < floor, "{folder} (floor {floor}) depends on {name}");
            }
        }
    }
}

#[test]
fn the_dashboard_sees_the_api_only_and_the_black_box_sees_nothing() {
    let all = dependencies();
    let ours = |folder: &str| -> Vec<String> {
        let mut names = all[folder].clone();
        names.retain(|name| name.starts_with("krakend-"));
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(ours("web"), ["krakend-api", "krakend-view-macro"]);
    assert!(ours("web/macro").is_empty());
    assert!(ours("jepsen-like-tests").is_empty());
    assert!(ours("deploy/xtask").is_empty());
}

#[test]
fn gossip_storage_and_gateway_know_nothing_of_the_cluster() {
    let all = dependencies();
    for folder in ["server/gossip", "server/storage", "server/gateway"] {
        let ours = all[folder].iter().any(|name| name.starts_with("krakend-"));
        assert!(!ours, "{folder} depends on one of our crates");
    }
}

#[test]
fn engines_are_named_in_one_place_each() {
    for (folder, names) in dependencies() {
        for (engine, owner) in [
            ("openraft", "server/raft"),
            ("sled", "server/storage"),
            ("raft-log", "server/storage"),
        ] {
            let named = names.iter().any(|name| name == engine);
            assert!(!named || folder == owner, "{folder} depends on {engine}");
        }
    }
}

#[test]
fn the_domain_reads_no_clock_no_randomness_and_does_no_io() {
    let forbidden = [
        "SystemTime",
        "Instant::now",
        "new_v4",
        "rand::",
        "std::fs",
        "std::net",
        "tokio",
        "HashMap",
    ];
    for (path, text) in sources("server/domain/src") {
        let code = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for word in forbidden {
                assert!(
                    !line.contains(word),
                    "{} names {word}: {line}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn no_source_file_is_longer_than_500_lines() {
    for folder in ["server", "proto", "web", "jepsen-like-tests", "deploy"] {
        for (path, text) in sources(folder) {
            let lines = text.lines().count();
            assert!(lines <= 500, "{} has {lines} lines", path.display());
        }
    }
}
