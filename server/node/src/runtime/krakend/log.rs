//! What a gateway process writes: to the log, and its last lines kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

/// Enough for a Go panic with its stack.
const KEPT_LINES: usize = 200;
/// Longer lines are cut off there.
const MAX_LINE_BYTES: usize = 16 * 1024;

/// The last lines of one process, oldest first.
#[derive(Debug, Clone, Default)]
pub(crate) struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(|e| e.into_inner());
        if lines.len() == KEPT_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    pub(crate) fn to_vec(&self) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(|e| e.into_inner());
        lines.iter().cloned().collect()
    }

    pub(crate) fn any_contains(&self, text: &str) -> bool {
        let lines = self.0.lock().unwrap_or_else(|e| e.into_inner());
        lines.iter().any(|l| l.contains(text))
    }
}

/// Reads `output` to its end, line by line. It must never stop earlier: a
/// gateway whose pipe is full or closed stops serving.
pub(crate) async fn follow(output: impl AsyncRead + Unpin, pid: u32, last: LastLines) {
    let mut output = BufReader::new(output);
    let mut line = Vec::new();
    while let Ok(chunk) = output.fill_buf().await {
        if chunk.is_empty() {
            break;
        }
        let end = chunk.iter().position(|&b| b == b'\n');
        let piece = &chunk[..end.unwrap_or(chunk.len())];
        let room = MAX_LINE_BYTES - line.len();
        line.extend_from_slice(&piece[..piece.len().min(room)]);
        let used = end.map_or(chunk.len(), |at| at + 1);
        output.consume(used);
        if end.is_some() {
            finish_line(&mut line, pid, &last);
        }
    }
    if !line.is_empty() {
        finish_line(&mut line, pid, &last);
    }
}

fn finish_line(line: &mut Vec<u8>, pid: u32, last: &LastLines) {
    let text = String::from_utf8_lossy(line).trim_end().to_owned();
    line.clear();
    emit(pid, &text);
    last.push(text);
}

fn emit(pid: u32, line: &str) {
    if line.starts_with("[GIN]") || line.contains(" DEBUG: ") {
        tracing::debug!(target: krakend_log::FOREIGN, pid, "{line}");
    } else if line.contains(" ERROR: ") || line.contains(" CRITICAL: ") {
        tracing::error!(target: krakend_log::FOREIGN, pid, "{line}");
    } else if line.contains(" WARNING: ") {
        tracing::warn!(target: krakend_log::FOREIGN, pid, "{line}");
    } else {
        tracing::info!(target: krakend_log::FOREIGN, pid, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_last_lines_are_kept_and_overlong_ones_are_cut() {
        let mut text = String::new();
        for n in 0..KEPT_LINES + 5 {
            text.push_str(&format!("line {n}\n"));
        }
        let last = LastLines::default();
        follow(text.as_bytes(), 1, last.clone()).await;
        let lines = last.to_vec();
        assert_eq!(lines.len(), KEPT_LINES);
        assert_eq!(lines[0], "line 5");

        let long = LastLines::default();
        follow("x".repeat(MAX_LINE_BYTES * 2).as_bytes(), 1, long.clone()).await;
        assert_eq!(long.to_vec()[0].len(), MAX_LINE_BYTES);
    }
}
