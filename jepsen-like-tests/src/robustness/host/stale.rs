//! Removes what a lab made: its own at the end, and what owners left that are dead.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ip::ip;

/// Before every name.
pub const PREFIX: &str = "kj";
const ALIAS: &str = "krakend-jepsen";

/// What a bridge says of its owner.
pub fn owner_mark() -> String {
    let pid = std::process::id();
    format!("{ALIAS}/{pid}/{}", start_time(pid).unwrap_or_default())
}

/// Field 22 of `/proc/PID/stat`: tells a process from a later one with its id.
fn start_time(pid: u32) -> Option<u64> {
    start_in(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Nothing for a process that is dead and waits for somebody to take notice.
fn start_in(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Whether the owner that a mark names is still there. A mark that is none of ours has a living owner.
fn is_alive(mark: &str) -> bool {
    let mut parts = mark.split('/');
    if parts.next() != Some(ALIAS) {
        return true;
    }
    let mut number = || parts.next()?.parse::<u64>().ok();
    let (Some(pid), Some(started)) = (number(), number()) else {
        return true;
    };
    u32::try_from(pid).is_ok_and(|pid| start_time(pid) == Some(started))
}

/// Removes disks that dead owners left mounted.
pub fn unmount_dead() {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    for line in mounts.lines() {
        let mut words = line.split(' ');
        if let (Some(mark), Some(at)) = (words.next(), words.next())
            && mark.starts_with(ALIAS)
            && !is_alive(mark)
        {
            let _ = std::process::Command::new("umount")
                .args(["-l", at])
                .status();
        }
    }
}

/// Removes every lab whose owner is dead; returns their slots.
pub fn remove_dead() -> Vec<u8> {
    let mut removed = Vec::new();
    for slot in 0..=u8::MAX {
        let alias = format!("/sys/class/net/{PREFIX}{slot}b/ifalias");
        let Ok(mark) = std::fs::read_to_string(alias) else {
            continue;
        };
        if !is_alive(mark.trim()) {
            remove(slot);
            removed.push(slot);
        }
    }
    removed
}

/// Ends the slot's processes and removes its namespaces and bridge. What is not there is no error.
pub fn remove(slot: u8) {
    let names = ip("netns list").unwrap_or_default();
    let prefix = format!("{PREFIX}{slot}h");
    let names: Vec<&str> = names
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| name.starts_with(&prefix))
        .collect();
    for name in names {
        for pid in ip(&format!("netns pids {name}"))
            .unwrap_or_default()
            .lines()
        {
            if let Ok(pid) = pid.trim().parse() {
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        let _ = ip(&format!("netns del {name}"));
    }
    // A namespace takes its end of a cable along when the kernel gets around to it; the next start will not wait.
    for cable in interfaces(&format!("{PREFIX}{slot}v")) {
        let _ = ip(&format!("link del {cable}"));
    }
    let _ = ip(&format!("link del {PREFIX}{slot}b"));
}

fn interfaces(prefix: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/class/net") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with(prefix))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_one_of_another_start_time_is_not() {
        let mine = owner_mark();
        assert!(is_alive(&mine), "{mine}");
        let (before, started) = mine.rsplit_once('/').expect("three parts");
        let started: u64 = started.parse().expect("a number");
        assert!(!is_alive(&format!("{before}/{}", started + 1)));
    }

    #[test]
    fn a_zombie_owns_nothing() {
        let stat = |state: &str| {
            let zeros = "0 ".repeat(18);
            format!("7 (a (name) of) {state} {zeros}4711 0 0\n")
        };
        assert_eq!(start_in(&stat("S")), Some(4711));
        assert_eq!(start_in(&stat("Z")), None);
    }

    #[test]
    fn what_others_made_is_left_alone() {
        assert!(is_alive(""));
        assert!(is_alive("somebody/else"));
        assert!(is_alive("krakend-jepsen/broken"));
    }
}
