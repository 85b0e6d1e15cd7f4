//! How a run went: one line a step for people, one line of JSON at the end for programs.

use serde::Serialize;
use serde_json::Value;

/// A whole run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub ok: bool,
    pub steps: Vec<Step>,
    /// Requests of the traffic program that did not end as they must.
    pub failed_requests: u64,
    pub gateway: crate::Gateway,
    pub duration_ms: u64,
}

/// One step of the scenario.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    pub number: u8,
    pub name: &'static str,
    pub ok: bool,
    /// What was measured; for a failed step `error` and the last log lines; `{"skipped": reason}` for one that could not be tried.
    pub figures: Value,
    pub took_ms: u64,
}

impl Report {
    /// The last line.
    pub fn json(&self) -> String {
        serde_json::to_string(self)
            .unwrap_or_else(|error| format!("{{\"ok\":false,\"error\":\"{error}\"}}"))
    }

    /// What went wrong, for a test's message.
    pub fn complaint(&self) -> String {
        let failed = self.steps.iter().filter(|step| !step.ok);
        let texts: Vec<String> = failed
            .map(|step| {
                format!(
                    "step {} ({}): {}",
                    step.number,
                    step.name,
                    step.figures["error"].as_str().unwrap_or("not reached")
                )
            })
            .collect();
        format!(
            "failed requests: {}\n{}",
            self.failed_requests,
            texts.join("\n")
        )
    }
}

impl Step {
    /// For people: number, verdict, name, figures.
    pub fn line(&self) -> String {
        let verdict = if !self.ok {
            "FAILED "
        } else if self.figures.get("skipped").is_some() {
            "skipped"
        } else {
            "ok     "
        };
        let shown = if self.ok {
            figures(&self.figures)
        } else {
            String::new()
        };
        format!(
            "{}. {verdict} {:<52} {:>6.1} s  {shown}",
            self.number,
            self.name,
            self.took_ms as f64 / 1000.0
        )
    }
}

fn figures(value: &Value) -> String {
    let Some(map) = value.as_object() else {
        return String::new();
    };
    let one = |(key, value): (&String, &Value)| match value {
        Value::String(text) => format!("{key}={text}"),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            format!("{key}={}", items.len())
        }
        other => format!("{key}={other}"),
    };
    map.iter().map(one).collect::<Vec<_>>().join(" ")
}
