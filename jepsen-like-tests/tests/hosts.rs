//! Hosts that a dead owner left are gone after the next start.

mod common;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use jepsen_like_tests::robustness::host::{Lab, LabError};
use jepsen_like_tests::wait;

/// The slot whose bridge says that this process owns it.
fn slot_of(pid: u32) -> Option<u8> {
    (0..=u8::MAX).find(|slot| {
        let mark = std::fs::read_to_string(format!("/sys/class/net/kj{slot}b/ifalias"));
        mark.is_ok_and(|mark| mark.contains(&format!("/{pid}/")))
    })
}

#[tokio::test]
async fn hosts_of_an_owner_that_was_killed_are_removed_at_the_next_start() {
    match Lab::new(1) {
        Ok(lab) => drop(lab),
        Err(LabError::NotPermitted(reason)) => {
            common::say_skipped(&format!("hosts in network namespaces: {reason}"));
            return;
        }
        Err(LabError::Broken(error)) => panic!("{error:#}"),
    }
    let dir = tempfile::tempdir().expect("a directory");
    // Its managers never become ready, so it waits for them until it is killed.
    let mut owner = Command::new(env!("CARGO_BIN_EXE_jepsen"))
        .args(["--program", "/bin/sleep", "--dir"])
        .arg(dir.path().join("run"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("started");
    let pid = owner.id();
    let limit = Duration::from_secs(60);
    let slot = wait::until("it has its last host", limit, async || {
        let slot = slot_of(pid).filter(|slot| is_there(*slot, 2));
        Ok(slot.map_or(wait::Seen::No("not yet".into()), wait::Seen::Yes))
    })
    .await;
    owner.kill().expect("killed");
    owner.wait().expect("ended");
    let slot = slot.expect("it made hosts");
    assert!(is_there(slot, 2), "a killed owner cleans up nothing");

    let Ok(lab) = Lab::new(1) else {
        panic!("a second lab was not made");
    };
    assert_eq!(slot_of(pid), None);
    assert!(!is_there(slot, 2) && !is_there(slot, 1));
    drop(lab);
}

fn is_there(slot: u8, host: usize) -> bool {
    Path::new(&format!("/run/netns/kj{slot}h{host}")).exists()
}
