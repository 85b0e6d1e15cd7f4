//! A page that needs nothing but itself: operations by client over time, faults as bands, offending operations marked.

use std::collections::BTreeSet;
use std::fmt::Write;

use super::Outcome;
use crate::robustness::history::{Operation, Outcome as Ending};

const ROW: u64 = 16;
const TOP: u64 = 60;
const LEFT: u64 = 90;
/// More operations than this make a page that no browser likes.
const MAX_OPERATIONS: usize = 4_000;
/// What is shown before and after the offending operations.
const AROUND_NS: u64 = 8_000_000_000;

const STYLE: &str = "body{font:14px system-ui,sans-serif;margin:24px;color:#1b1f24;background:#fff}\
h1{font-size:20px}table{border-collapse:collapse;margin:12px 0}td{padding:4px 12px 4px 0;vertical-align:top}\
.bad{color:#b3261e;font-weight:600}.frame{overflow:auto;border:1px solid #d0d7de;max-height:70vh}\
text{font:11px system-ui,sans-serif}.ok{fill:#2e7d32}.no{fill:#9e9e9e}.open{fill:#ef9a00}.wrong{fill:#8e24aa}\
.band{fill:#b3261e;opacity:.13}.mark{stroke:#b3261e;stroke-width:2.5}code{background:#f2f4f6;padding:2px 4px}";

/// The whole page.
pub fn render(outcome: &Outcome, operations: &[Operation]) -> String {
    let marked: BTreeSet<usize> = outcome
        .findings
        .iter()
        .filter(|finding| !finding.ok)
        .flat_map(|finding| finding.operations.iter().copied())
        .collect();
    let mut page = String::from("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">");
    let _ = write!(
        page,
        "<title>What broke</title><style>{STYLE}</style></head><body><h1>{}</h1><p>Again: <code>{}</code></p><table>",
        escape(&headline(outcome)),
        escape(&outcome.command)
    );
    for finding in &outcome.findings {
        let (class, word) = if finding.ok {
            ("", "ok")
        } else {
            ("bad", "failed")
        };
        let _ = write!(
            page,
            "<tr><td>{}</td><td class=\"{class}\">{word}</td><td>{}</td></tr>",
            finding.check,
            escape(&finding.detail)
        );
    }
    page.push_str("</table><p>One row a client. Green: done. Grey: did nothing. Orange: nobody knows. Violet: an answer that must not be. Red frame: offending. Red bands: faults. Point at something to read more.</p>");
    timeline(&mut page, outcome, operations, &marked);
    page.push_str("</body></html>\n");
    page
}

fn headline(outcome: &Outcome) -> String {
    match outcome.failed().as_slice() {
        [] => "Every check passed".into(),
        failed => format!("Failed: {}", failed.join(", ")),
    }
}

/// Operations around the offending ones, or the last ones.
fn shown<'a>(operations: &'a [Operation], marked: &BTreeSet<usize>) -> Vec<&'a Operation> {
    let times = || {
        let marked = operations
            .iter()
            .filter(|operation| marked.contains(&operation.id));
        marked.map(|operation| operation.invoked_ns)
    };
    let near = |operation: &&Operation| match (times().min(), times().max()) {
        (Some(from), Some(to)) => {
            let window = from.saturating_sub(AROUND_NS)..=to + AROUND_NS;
            window.contains(&operation.invoked_ns)
        }
        _ => true,
    };
    let mut shown: Vec<_> = operations.iter().filter(near).collect();
    let mut excess = shown.len().saturating_sub(MAX_OPERATIONS);
    shown.retain(|operation| {
        let drop = excess > 0 && !marked.contains(&operation.id);
        excess -= usize::from(drop);
        !drop
    });
    shown
}

fn timeline(
    page: &mut String,
    outcome: &Outcome,
    operations: &[Operation],
    marked: &BTreeSet<usize>,
) {
    let shown = shown(operations, marked);
    let from = shown
        .iter()
        .map(|operation| operation.invoked_ns)
        .min()
        .unwrap_or(0);
    let last = shown
        .iter()
        .map(|operation| operation.invoked_ns)
        .max()
        .unwrap_or(from);
    let to = last + 1_000_000_000;
    let clients: BTreeSet<usize> = shown.iter().map(|operation| operation.client).collect();
    let clients: Vec<usize> = clients.into_iter().collect();
    let height = TOP + clients.len() as u64 * ROW + 20;
    // 60 pixels a second, and at most what browsers take.
    let width = LEFT + ((to - from) / 16_666_667).clamp(600, 30_000);
    let x = |ns: u64| {
        let share = ns.clamp(from, to) - from;
        LEFT + share * (width - LEFT) / (to - from)
    };
    let _ = write!(
        page,
        "<div class=\"frame\"><svg width=\"{width}\" height=\"{height}\">"
    );
    let seconds = (to - from) / 1_000_000_000;
    for second in 0..=seconds {
        let at = x(from + second * 1_000_000_000);
        let label = (from / 1_000_000_000) + second;
        let _ = write!(page, "<text x=\"{at}\" y=\"12\">{label} s</text>");
    }
    for (number, band) in outcome.bands.iter().enumerate() {
        if band.to_ns < from || band.from_ns > to {
            continue;
        }
        let (start, end) = (x(band.from_ns), x(band.to_ns).max(x(band.from_ns) + 2));
        let what = escape(&band.what);
        let _ = write!(
            page,
            "<g><rect class=\"band\" x=\"{start}\" y=\"16\" width=\"{}\" height=\"{}\"/><title>{what}</title><text x=\"{start}\" y=\"{}\">{what}</text></g>",
            end - start,
            height - 16,
            26 + (number as u64 % 3) * 12
        );
    }
    for (row, client) in clients.iter().enumerate() {
        let y = TOP + row as u64 * ROW;
        let _ = write!(
            page,
            "<text x=\"4\" y=\"{}\">client {client}</text>",
            y + 11
        );
        for operation in shown.iter().filter(|operation| operation.client == *client) {
            let (start, end) = (x(operation.invoked_ns), x(operation.completed_ns));
            let mark = if marked.contains(&operation.id) {
                " mark"
            } else {
                ""
            };
            let _ = write!(
                page,
                "<rect class=\"{}{mark}\" x=\"{start}\" y=\"{y}\" width=\"{}\" height=\"{}\"><title>{}</title></rect>",
                class(&operation.outcome),
                (end - start).max(2),
                ROW - 4,
                escape(&describe(operation))
            );
        }
    }
    page.push_str("</svg></div>");
}

fn class(ending: &Ending) -> &'static str {
    match ending {
        Ending::Ok(_) => "ok",
        Ending::Conflict | Ending::Failed(_) => "no",
        Ending::Indeterminate(_) => "open",
        Ending::Unexpected(_) => "wrong",
    }
}

fn describe(operation: &Operation) -> String {
    format!(
        "operation {} on manager-{}, {} to {} ms\n{:?}\n{:?}",
        operation.id,
        operation.manager + 1,
        operation.invoked_ns / 1_000_000,
        operation.completed_ns / 1_000_000,
        operation.action,
        operation.outcome
    )
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::robustness::checker::Finding;
    use crate::robustness::history::Action;

    #[test]
    fn the_offending_operation_is_marked_and_text_is_escaped() {
        let operation = |id, outcome| Operation {
            id,
            client: 0,
            manager: 0,
            action: Action::Read { key: 0 },
            invoked_ns: id as u64 * 1_000_000,
            completed_ns: id as u64 * 1_000_000 + 500,
            outcome,
        };
        let operations = [
            operation(0, Ending::Failed("<b>".into())),
            operation(1, Ending::Conflict),
        ];
        let outcome = Outcome {
            command: "again".into(),
            findings: vec![Finding::fail("linearizable", "a < b", vec![1])],
            counts: [0; 3],
            longest_unavailable_ms: 0,
            ended_by_themselves: Vec::new(),
            bands: Vec::new(),
            skipped: Vec::new(),
            damaged: Vec::new(),
            dir: "unused".into(),
        };
        let page = render(&outcome, &operations);
        assert_eq!(page.matches("class=\"no mark\"").count(), 1, "{page}");
        assert!(page.contains("a &lt; b") && !page.contains("<b>"), "{page}");
    }
}
