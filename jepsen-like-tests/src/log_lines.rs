//! Log lines in the form of the documents of 2017, checked letter by letter.

use std::path::Path;

use anyhow::{Context, Result};

/// What a node gets to read, and the manager logs, when there is no seat left.
pub const REFUSAL: &str = "Your current subscription does not allow more nodes running. Please upgrade to add more nodes.";
const LIMITS: &str = "Sending the limits to the krakend: krakend_";
/// `9` stands for any digit.
const TIME: &str = "9999/99/99 - 99:99:99.999";

/// Level and message of a line `CM  2017/02/13 - 18:18:23.290 ▶ LEVEL message`; nothing for any other form.
pub fn parts(line: &str) -> Option<(&str, &str)> {
    let rest = line.strip_prefix("CM  ")?;
    let time = rest.get(..TIME.len())?;
    let fits = time.bytes().zip(TIME.bytes()).all(|(is, form)| match form {
        b'9' => is.is_ascii_digit(),
        _ => is == form,
    });
    let message = rest[TIME.len()..].strip_prefix(" ▶ ")?;
    if fits { message.split_once(' ') } else { None }
}

/// The node that this line says the limits were sent to.
pub fn limits_sent_to(line: &str) -> Option<&str> {
    match parts(line)? {
        ("INFO", message) => message
            .strip_prefix(LIMITS)
            .filter(|id| uuid::Uuid::try_parse(id).is_ok()),
        _ => None,
    }
}

/// Whether a manager says here that a node was refused.
pub fn is_refusal(line: &str) -> bool {
    parts(line) == Some(("WARNIN", REFUSAL))
}

/// All lines of a log.
///
/// # Errors
/// It cannot be read.
pub fn read(log: &Path) -> Result<Vec<String>> {
    let bytes = std::fs::read(log).with_context(|| format!("read the log {}", log.display()))?;
    Ok(String::from_utf8_lossy(&bytes)
        .lines()
        .map(str::to_owned)
        .collect())
}

/// The last lines of a log, for a failure's report.
pub fn tail(log: &Path, lines: usize) -> Vec<String> {
    let all = read(log).unwrap_or_else(|error| vec![format!("{error:#}")]);
    all[all.len().saturating_sub(lines)..].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_form_counts() {
        let id = "3f20a44d-3d93-4bc9-829b-b76b22055142";
        let line = format!(
            "CM  2017/02/13 - 18:18:23.290 ▶ INFO Sending the limits to the krakend: krakend_{id}"
        );
        assert_eq!(limits_sent_to(&line), Some(id));
        assert_eq!(limits_sent_to(&line.replace("CM  ", "CM ")), None);
        assert_eq!(
            limits_sent_to(&line.replace("18:18:23.290", "18:18:23")),
            None
        );
        assert_eq!(limits_sent_to(&format!("{line} fleet=default")), None);
        assert!(is_refusal(&format!(
            "CM  2017/02/13 - 18:18:23.290 ▶ WARNIN {REFUSAL}"
        )));
        assert!(!is_refusal(&format!(
            "CM  2017/02/13 - 18:18:23.290 ▶ INFO {REFUSAL}"
        )));
    }
}
