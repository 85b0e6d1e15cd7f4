use std::path::PathBuf;
use std::time::Duration;

use super::nemesis::Kind;
use super::workload::Workload;

/// A run.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// How long faults go on. Forming, healing and checking come on top.
    pub time: Duration,
    pub seed: u64,
    pub workloads: Vec<Workload>,
    pub nemeses: Vec<Kind>,
    pub managers: usize,
    /// Registers: a fleet is one.
    pub keys: usize,
    /// Everything that the run writes; made when missing, must be empty.
    pub dir: PathBuf,
    /// The manager's program.
    pub program: PathBuf,
    /// The bug to switch on in a program that was built with `planted-bugs`.
    pub planted: Option<String>,
    /// Whether to show how far it is.
    pub progress: bool,
}

impl RunOptions {
    /// The command that does the same again.
    pub fn command(&self) -> String {
        let nemesis = if self.nemeses.is_empty() {
            "none".into()
        } else {
            names(&self.nemeses)
        };
        format!(
            "cargo xtask jepsen --time {}s --seed {} --workload {} --nemesis {nemesis} --managers {} --keys {}",
            self.time.as_secs(),
            self.seed,
            names(&self.workloads),
            self.managers,
            self.keys,
        )
    }
}

/// The names by which the command line knows values.
fn names<T: clap::ValueEnum>(values: &[T]) -> String {
    let names: Vec<_> = values
        .iter()
        .filter_map(|value| Some(value.to_possible_value()?.get_name().to_owned()))
        .collect();
    names.join(",")
}
