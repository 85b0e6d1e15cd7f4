use std::sync::Arc;
use std::time::Duration;

use krakend_domain::{Millis, Sample, WINDOW_MS};
use tokio::sync::Mutex;
use uuid::Uuid;

use super::boundary::{interval, next_boundary};
use super::{Spool, Totals, convert};
use crate::clock;
use crate::runtime::process::read_use;
use crate::runtime::{Runtime, RuntimeKind};

/// Turns the gateway's counters into samples. Empty ones too: they prove that nothing happened.
pub struct Sampler {
    runtime: Arc<dyn Runtime>,
    spool: Arc<Spool>,
    wanted: Box<dyn Fn() -> Wanted + Send + Sync>,
    totals: Arc<Totals>,
    period_ms: u64,
    state: Mutex<State>,
}

/// Groups below this feature level do not know of bytes.
pub const BYTES_LEVEL: u32 = 6;

/// What managers take of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// There are none, or they are none of ours: samples only count here.
    Nothing,
    /// They do not know of bytes.
    WithoutBytes,
    Everything,
}

struct State {
    /// One run of the program.
    stream: Uuid,
    seq: u64,
    start_ms: Millis,
    used: Used,
}

/// Sums since the start of the processes.
#[derive(Clone, Copy, Default)]
struct Used {
    memory_bytes: u64,
    cpu_ms: u64,
    restarts: u32,
}

impl Sampler {
    /// `wanted` is asked for each sample.
    pub fn new(
        runtime: Arc<dyn Runtime>,
        spool: Arc<Spool>,
        period: Duration,
        totals: Arc<Totals>,
        wanted: impl Fn() -> Wanted + Send + Sync + 'static,
    ) -> Self {
        let state = State {
            stream: Uuid::new_v4(),
            seq: 0,
            start_ms: clock::wall_ms(),
            used: used(runtime.as_ref()),
        };
        Self {
            runtime,
            spool,
            wanted: Box::new(wanted),
            totals,
            period_ms: u64::try_from(period.as_millis()).unwrap_or(10_000),
            state: Mutex::new(state),
        }
    }

    /// Samples until it is dropped.
    pub async fn run(&self) {
        loop {
            let boundary = next_boundary(clock::wall_ms(), self.period_ms);
            // The clock may be set while we sleep: never for longer than a period at a time.
            while let Some(left) = boundary
                .checked_sub(clock::wall_ms())
                .filter(|left| *left > 0)
            {
                tokio::time::sleep(Duration::from_millis(left.min(self.period_ms))).await;
                if clock::wall_ms() + self.period_ms < boundary {
                    break;
                }
            }
            self.sample().await;
        }
    }

    /// Takes what was counted since the last sample. After the gateway's end: the final one.
    pub async fn sample(&self) {
        let mut state = self.state.lock().await;
        let counted = self.runtime.take_statistics().await;
        self.totals.add(&counted);
        let read_ms = clock::wall_ms();
        let now = used(self.runtime.as_ref());
        let (start_ms, end_ms) = interval(state.start_ms, read_ms);
        let mut sample = Sample {
            seq: state.seq + 1,
            start_ms,
            end_ms,
            endpoints: Vec::new(),
            backends: Vec::new(),
            connections: 0,
            memory_bytes: now.memory_bytes,
            cpu_ms: now.cpu_ms.saturating_sub(state.used.cpu_ms),
            restarts: now.restarts.saturating_sub(state.used.restarts),
        };
        let wanted = (self.wanted)();
        convert::fill(&mut sample, counted, wanted == Wanted::Everything);
        state.seq += 1;
        state.used = now;
        // What lies between the edge and a much later reading stays uncovered.
        state.start_ms = end_ms.max(read_ms - read_ms % WINDOW_MS);
        if wanted == Wanted::Nothing {
            return;
        }
        if let Err(error) = self.spool.put(state.stream, &sample) {
            tracing::error!("statistics sample {} is lost: {error}", sample.seq);
        }
    }
}

/// Node and gateway together; the embedded engine is part of the node's process.
fn used(runtime: &dyn Runtime) -> Used {
    let own = read_use(std::process::id());
    let mut used = own.map_or(Used::default(), |own| Used {
        memory_bytes: own.memory_bytes,
        cpu_ms: own.cpu_ms,
        restarts: 0,
    });
    if let Some(gateway) = runtime.process_sample() {
        used.restarts = gateway.restarts;
        if runtime.kind() != RuntimeKind::Embedded {
            used.memory_bytes += gateway.memory_bytes;
            used.cpu_ms += gateway.cpu_ms;
        }
    }
    used
}
