use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::FOREIGN;
use crate::line::Text;

/// Lines that are kept.
const MAX_LINES: usize = 2_000;
/// Longer ones are cut.
const MAX_LINE_BYTES: usize = 4_096;
/// All of them together.
const MAX_BYTES: usize = 1 << 20;

/// One line that was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// UTC milliseconds since 1970.
    pub time_ms: u64,
    /// `ERROR`, `WARN`, `INFO` or `DEBUG`.
    pub level: &'static str,
    /// The program, or `KRAKEND` for what a supervised gateway wrote.
    pub source: &'static str,
    pub message: String,
}

/// The newest lines.
pub struct Ring {
    name: &'static str,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<Line>,
    bytes: usize,
}

impl Ring {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            kept: Mutex::default(),
        }
    }

    pub fn newest(&self, lines: usize) -> Vec<Line> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let skip = kept.lines.len().saturating_sub(lines);
        kept.lines.iter().skip(skip).cloned().collect()
    }

    fn push(&self, mut line: Line) {
        if line.message.len() > MAX_LINE_BYTES {
            let end = (0..=MAX_LINE_BYTES)
                .rev()
                .find(|at| line.message.is_char_boundary(*at));
            line.message.truncate(end.unwrap_or(0));
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += line.message.len();
        kept.lines.push_back(line);
        while kept.lines.len() > MAX_LINES || kept.bytes > MAX_BYTES {
            let Some(oldest) = kept.lines.pop_front() else {
                break;
            };
            kept.bytes -= oldest.message.len();
        }
    }
}

/// Keeps what passes the filter.
pub struct Keep(pub &'static Ring);

impl<S: Subscriber> Layer<S> for Keep {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        let foreign = metadata.target() == FOREIGN;
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        self.0.push(Line {
            time_ms: since.map_or(0, |since| since.as_millis() as u64),
            level: match *metadata.level() {
                Level::ERROR => "ERROR",
                Level::WARN => "WARN",
                Level::INFO => "INFO",
                _ => "DEBUG",
            },
            source: if foreign { "KRAKEND" } else { self.0.name },
            message: Text::of(event).to_string(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(message: String) -> Line {
        Line {
            time_ms: 1,
            level: "INFO",
            source: "x",
            message,
        }
    }

    #[test]
    fn the_newest_lines_are_kept_within_a_number_and_a_size() {
        let ring = Ring::new("x");
        for number in 0..MAX_LINES + 5 {
            ring.push(line(number.to_string()));
        }
        assert_eq!(ring.newest(usize::MAX).len(), MAX_LINES);
        let newest = ring.newest(2);
        let last = (MAX_LINES + 4).to_string();
        assert_eq!(newest[1].message, last);
        assert_eq!(newest.len(), 2);
        for _ in 0..MAX_LINES {
            ring.push(line("ä".repeat(MAX_LINE_BYTES)));
        }
        let all = ring.newest(usize::MAX);
        assert!(all.iter().all(|line| line.message.len() <= MAX_LINE_BYTES));
        let bytes: usize = all.iter().map(|line| line.message.len()).sum();
        assert!(bytes <= MAX_BYTES, "{bytes}");
        assert!(bytes > MAX_BYTES / 2);
    }
}
