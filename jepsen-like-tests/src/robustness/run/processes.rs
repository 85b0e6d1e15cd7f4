use std::path::Path;

use crate::robustness::checker::Finding;
use crate::robustness::nemesis::Hands;

/// No manager may end unless it was killed, and none may panic, even where that was survived.
pub async fn crashes(hands: &Hands) -> Finding {
    let mut complaints: Vec<String> = hands
        .ended()
        .await
        .into_iter()
        .map(|end| format!("{} ended by itself ({})", end.machine, end.how))
        .collect();
    let machines = hands.machines.lock().await;
    for machine in machines.iter() {
        complaints.extend(panics(&machine.log()));
    }
    if complaints.is_empty() {
        return Finding::pass("no-crash", format!("{} hosts", machines.len()));
    }
    complaints.truncate(5);
    Finding::fail("no-crash", complaints.join("; "), Vec::new())
}

/// A manager that refuses a damaged file must say which.
pub async fn refusals(hands: &Hands) -> Finding {
    let damaged = hands.damaged().await;
    let silent: Vec<String> = damaged
        .iter()
        .filter(|damaged| damaged.refused.is_some() && !damaged.named)
        .map(|damaged| {
            format!(
                "{} refused to start after {} was {}, and did not name it",
                damaged.machine, damaged.file, damaged.what
            )
        })
        .collect();
    let refused = damaged.iter().filter(|damaged| damaged.refused.is_some());
    if silent.is_empty() {
        let looked_at = format!("{} refused of {} damaged", refused.count(), damaged.len());
        return Finding::pass("refusals", looked_at);
    }
    Finding::fail("refusals", silent.join("; "), Vec::new())
}

fn panics(log: &Path) -> Vec<String> {
    let text = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    let found = lines
        .iter()
        .enumerate()
        .filter(|(_, line)| line.contains("panicked at"));
    found
        .map(|(at, line)| {
            let next = lines.get(at + 1).copied().unwrap_or_default();
            format!("{}: {line} {next}", log.display())
        })
        .collect()
}
