//! Three minutes of every workload under every fault that needs no special program. The seed changes from run to run and
//! is printed; the command that is printed with a failure does the same again.

mod common;

use std::time::Duration;

use jepsen_like_tests::options::sibling_bin_dir;
use jepsen_like_tests::robustness::nemesis::Kind;
use jepsen_like_tests::robustness::workload::Workload;
use jepsen_like_tests::robustness::{Ended, RunOptions, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_minutes_of_faults_break_no_promise() {
    let dir = tempfile::Builder::new()
        .prefix("krakend-jepsen-")
        .tempdir()
        .expect("a temporary directory");
    let bin_dir = sibling_bin_dir().expect("the target directory");
    let workloads = vec![Workload::Register, Workload::Idempotent, Workload::Watch];
    let options = RunOptions {
        time: Duration::from_secs(180),
        seed: rand::random_range(1..1_000_000),
        nemeses: Kind::usual(&workloads),
        workloads,
        managers: 3,
        keys: 4,
        dir: dir.path().join("run"),
        program: bin_dir.join("krakend-cluster-manager"),
        planted: None,
        progress: true,
    };
    assert!(
        options.program.is_file(),
        "no {}: build it with `cargo xtask build`",
        options.program.display()
    );
    println!("{}", options.command());
    let outcome = match run(&options).await.expect("the run is carried out") {
        Ended::Skipped(reason) => {
            let what =
                "three minutes of faults: hosts in network namespaces are not permitted here";
            common::say_skipped(&format!("{what} ({reason})"));
            return;
        }
        Ended::NotFormed(reason) => panic!("{reason}\nfiles kept in {}", dir.keep().display()),
        Ended::Done(outcome) => outcome,
    };
    for kind in &outcome.skipped {
        common::say_skipped(&format!(
            "faults of the kind {kind:?} are not permitted here"
        ));
    }
    println!("{}{}", outcome.lines(), outcome.json());
    assert!(
        outcome.ok(),
        "again: {}\nfiles kept in {}\n{}",
        outcome.command,
        dir.keep().display(),
        outcome.lines()
    );
}
