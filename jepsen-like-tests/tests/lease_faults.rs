//! Leases under faults: three managers and ten nodes on hosts of their own, nodes cut off from managers, paused and killed
//! processes, clocks that jump, all managers dead for a while. What nodes say of themselves is held against what managers had
//! committed. The command that is printed does the same again.

mod common;

use std::time::Duration;

use jepsen_like_tests::options::sibling_bin_dir;
use jepsen_like_tests::robustness::nemesis::Kind;
use jepsen_like_tests::robustness::workload::Workload;
use jepsen_like_tests::robustness::{Ended, RunOptions, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_node_is_licensed_after_its_lease_and_none_is_degraded_before() {
    let dir = tempfile::Builder::new()
        .prefix("krakend-jepsen-")
        .tempdir()
        .expect("a temporary directory");
    let options = RunOptions {
        time: Duration::from_secs(90),
        seed: rand::random_range(1..1_000_000),
        workloads: vec![Workload::Lease],
        nemeses: vec![
            Kind::Kill,
            Kind::Pause,
            Kind::Leader,
            Kind::Blackout,
            Kind::Packets,
        ],
        managers: 3,
        keys: 1,
        dir: dir.path().join("run"),
        program: sibling_bin_dir()
            .expect("the target directory")
            .join("krakend-cluster-manager"),
        planted: None,
        progress: true,
    };
    println!("{}", options.command());
    let outcome = match run(&options).await.expect("the run is carried out") {
        Ended::Skipped(reason) => {
            common::say_skipped(&format!("leases under faults: {reason}"));
            return;
        }
        Ended::NotFormed(reason) => panic!("{reason}\nfiles kept in {}", dir.keep().display()),
        Ended::Done(outcome) => outcome,
    };
    println!("{}{}", outcome.lines(), outcome.json());
    let looks = std::fs::read_to_string(options.dir.join("lease-looks.jsonl")).expect("the looks");
    let free = looks.lines().filter(|it| it.contains("\"licensed\":false"));
    let (all, free) = (looks.lines().count(), free.count());
    assert!(
        outcome.ok() && all - free > 100 && free > 10,
        "{free} of {all} looks without a lease: with none, nothing was tested\nagain: {}\nfiles kept in {}\n{}",
        outcome.command,
        dir.keep().display(),
        outcome.lines()
    );
}
