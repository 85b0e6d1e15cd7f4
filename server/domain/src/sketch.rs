use serde::{Deserialize, Serialize};
use sketches_ddsketch::{Config, DDSketch};

/// Latencies in milliseconds that can be merged over nodes and windows (DDSketch, arXiv:1908.10693): quantiles within 1 %.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sketch(DDSketch);

impl std::fmt::Debug for Sketch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sketch({} values)", self.0.count())
    }
}

impl Default for Sketch {
    fn default() -> Self {
        Self(DDSketch::new(Config::defaults()))
    }
}

impl From<DDSketch> for Sketch {
    fn from(inner: DDSketch) -> Self {
        Self(inner)
    }
}

impl Sketch {
    pub fn add(&mut self, milliseconds: f64) {
        self.0.add(milliseconds);
    }

    /// Adds the other's values. A sketch of another resolution (a newer node's) is left out: its counters still count.
    pub fn merge(&mut self, other: &Sketch) {
        let _ = self.0.merge(&other.0);
    }

    pub fn count(&self) -> u64 {
        self.0.count() as u64
    }

    /// The `q`-quantile (0 to 1) in milliseconds; `None` when empty.
    pub fn quantile(&self, q: f64) -> Option<f64> {
        self.0.quantile(q).ok().flatten()
    }
}
