use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result};

use super::{Action, Operation, Outcome};

/// The run's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at 0.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Nanoseconds since the start.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Collects operations. Clones share it.
#[derive(Clone, Debug)]
pub struct Recorder {
    pub clock: Clock,
    operations: Arc<Mutex<Vec<Operation>>>,
}

impl Recorder {
    /// Empty.
    pub fn new(clock: Clock) -> Self {
        Self {
            clock,
            operations: Arc::default(),
        }
    }

    /// Notes that a client asks now. As long as nothing completes it, it counts as indeterminate.
    pub fn invoke(&self, client: usize, manager: usize, action: Action) -> usize {
        let mut operations = self.lock();
        let id = operations.len();
        operations.push(Operation {
            id,
            client,
            manager,
            action,
            // Read under the lock, so that ids follow the order of invocation.
            invoked_ns: self.clock.now_ns(),
            completed_ns: u64::MAX,
            outcome: Outcome::Indeterminate("never answered".into()),
        });
        id
    }

    /// Notes how it ended, now.
    pub fn complete(&self, id: usize, manager: usize, outcome: Outcome) {
        let now = self.clock.now_ns();
        if let Some(operation) = self.lock().get_mut(id) {
            operation.manager = manager;
            operation.completed_ns = now;
            operation.outcome = outcome;
        }
    }

    /// Everything so far.
    pub fn operations(&self) -> Vec<Operation> {
        self.lock().clone()
    }

    /// How many ended well, definitely did nothing, and are open or may have happened.
    pub fn counts(&self) -> [usize; 3] {
        let mut counts = [0; 3];
        for operation in self.lock().iter() {
            let at = match operation.outcome {
                Outcome::Ok(_) => 0,
                Outcome::Conflict | Outcome::Failed(_) => 1,
                Outcome::Indeterminate(_) | Outcome::Unexpected(_) => 2,
            };
            counts[at] += 1;
        }
        counts
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Operation>> {
        self.operations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes one JSON document a line.
///
/// # Errors
/// The file cannot be written.
pub fn write_lines<T: serde::Serialize>(file: &Path, items: &[T]) -> Result<()> {
    let made = std::fs::File::create(file).with_context(|| format!("make {}", file.display()))?;
    let mut out = std::io::BufWriter::new(made);
    for item in items {
        serde_json::to_writer(&mut out, item)?;
        out.write_all(b"\n")?;
    }
    out.flush()
        .with_context(|| format!("write {}", file.display()))
}
