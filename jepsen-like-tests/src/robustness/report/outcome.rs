use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::page;
use crate::robustness::checker::{Finding, Stream};
use crate::robustness::history::{Operation, write_lines};
use crate::robustness::host::EndedByItself;
use crate::robustness::nemesis::{Band, Damaged, Kind};

/// How a run went.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Does the same again.
    pub command: String,
    pub findings: Vec<Finding>,
    /// Operations that ended well, did nothing, and are open.
    pub counts: [usize; 3],
    pub longest_unavailable_ms: u64,
    pub ended_by_themselves: Vec<EndedByItself>,
    pub bands: Vec<Band>,
    /// Faults that were asked for and that this machine does not allow.
    pub skipped: Vec<Kind>,
    pub damaged: Vec<Damaged>,
    pub dir: PathBuf,
}

impl Outcome {
    /// Whether every check passed.
    pub fn ok(&self) -> bool {
        self.findings.iter().all(|finding| finding.ok)
    }

    /// Names of the checks that failed.
    pub fn failed(&self) -> Vec<&'static str> {
        let failed = self.findings.iter().filter(|finding| !finding.ok);
        failed.map(|finding| finding.check).collect()
    }

    /// The page with the timeline; written when something failed.
    pub fn page(&self) -> PathBuf {
        self.dir.join("report.html")
    }

    /// One line for programs.
    pub fn json(&self) -> Value {
        let [ok, failed, indeterminate] = self.counts;
        json!({
            "ok": self.ok(),
            "operations": {"ok": ok, "failed": failed, "indeterminate": indeterminate},
            "faults": self.bands.len(),
            "longest_unavailable_ms": self.longest_unavailable_ms,
            "failed_checks": self.failed(),
            "skipped": self.skipped,
            "ended_by_themselves": self.ended_by_themselves.len(),
        })
    }

    /// One line a check for people.
    pub fn lines(&self) -> String {
        let line = |finding: &Finding| {
            let mark = if finding.ok { "ok    " } else { "FAILED" };
            format!("{mark} {:<16} {}\n", finding.check, finding.detail)
        };
        self.findings.iter().map(line).collect()
    }

    /// Writes `history.jsonl`, `events.jsonl` and `faults.jsonl`, and the page when something failed.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn write(&self, operations: &[Operation], streams: &[Stream]) -> Result<()> {
        write_lines(&self.dir.join("history.jsonl"), operations)?;
        write_lines(&self.dir.join("faults.jsonl"), &self.bands)?;
        write_lines(&self.dir.join("damaged.jsonl"), &self.damaged)?;
        write_lines(&self.dir.join("events.jsonl"), streams)?;
        if self.ok() {
            return Ok(());
        }
        let page = page::render(self, operations);
        write_page(&self.page(), &page)
    }
}

fn write_page(file: &Path, page: &str) -> Result<()> {
    std::fs::write(file, page).with_context(|| format!("write {}", file.display()))
}
