//! Tables for people: aligned columns, no lines, cut only where a terminal is too narrow.

use std::fmt;
use std::io::IsTerminal;

/// Between two columns.
const GAP: &str = "  ";
/// A cut column keeps so much.
const LEAST: usize = 8;

/// How a cell stands out on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paint {
    Good,
    Warning,
    Bad,
}

/// Whether standard output is a terminal that shall have colours (https://no-color.org).
pub fn has_colours() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
}

/// Columns of standard output, when it is a terminal.
fn width() -> Option<usize> {
    if !std::io::stdout().is_terminal() {
        return None;
    }
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0))
}

/// The text in the colour of what it means.
pub fn painted(text: &str, paint: Paint, colours: bool) -> String {
    if !colours {
        return text.to_owned();
    }
    let code = match paint {
        Paint::Good => "32",
        Paint::Warning => "33",
        Paint::Bad => "31",
    };
    format!("\x1b[{code}m{text}\x1b[0m")
}

/// One value.
#[derive(Clone, Debug)]
pub struct Cell {
    text: String,
    paint: Option<Paint>,
}

impl Cell {
    pub fn painted(text: impl Into<String>, paint: Option<Paint>) -> Self {
        Self {
            text: text.into(),
            paint,
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::painted(text, None)
    }
}

/// Rows under a head.
pub struct Table {
    head: Vec<String>,
    rows: Vec<Vec<Cell>>,
    width: Option<usize>,
    colours: bool,
}

impl Table {
    pub fn new(head: &[&str]) -> Self {
        Self {
            head: head.iter().map(|title| title.to_uppercase()).collect(),
            rows: Vec::new(),
            width: width(),
            colours: has_colours(),
        }
    }

    pub fn add_row<C: Into<Cell>>(&mut self, cells: impl IntoIterator<Item = C>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// The widest columns give first; ids and addresses too, because on a terminal they can be asked for alone.
    fn widths(&self) -> Vec<usize> {
        let mut widths: Vec<_> = self.head.iter().map(|title| length(title)).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(length(&cell.text));
            }
        }
        let Some(limit) = self.width else {
            return widths;
        };
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > limit {
            let widest = widths.iter_mut().max_by_key(|width| **width);
            match widest {
                Some(width) if *width > LEAST => *width -= 1,
                _ => break,
            }
        }
        widths
    }
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// At most `width` characters, with a mark where something is missing.
fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    let kept: String = text.chars().take(width.saturating_sub(1)).collect();
    format!("{kept}…")
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.widths();
        let head: Vec<Cell> = self.head.iter().map(|it| it.as_str().into()).collect();
        for (at, row) in std::iter::once(&head).chain(&self.rows).enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            let last = row.len().saturating_sub(1);
            for (column, (cell, width)) in row.iter().zip(&widths).enumerate() {
                // A line of a log or a message may hold others.
                let text = cut(&cell.text.replace(['\n', '\r'], " "), *width);
                let pad = match column == last {
                    true => 0,
                    false => width - length(&text) + GAP.len(),
                };
                match cell.paint {
                    Some(paint) => f.write_str(&painted(&text, paint, self.colours))?,
                    None => f.write_str(&text)?,
                }
                write!(f, "{:pad$}", "")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(width: Option<usize>, colours: bool) -> String {
        let mut table = Table::new(&["name", "state", "address"]);
        (table.width, table.colours) = (width, colours);
        let good = Cell::painted("active", Some(Paint::Good));
        table.add_row([Cell::from("nöde-1"), good, "192.168.100.100:8080".into()]);
        table.add_row(["n", "down", "-"]);
        table.to_string()
    }

    #[test]
    fn columns_are_aligned_and_nothing_is_cut_or_coloured_off_a_terminal() {
        assert_eq!(
            table(None, false),
            "NAME    STATE   ADDRESS\nnöde-1  active  192.168.100.100:8080\nn       down    -"
        );
    }

    #[test]
    fn a_narrow_terminal_cuts_the_widest_column_and_colours_keep_the_columns() {
        let text = table(Some(28), true);
        assert!(text.contains("192.168.100…"), "{text}");
        assert!(text.contains("\x1b[32mactive\x1b[0m  "), "{text}");
        let plain = text.replace("\x1b[32m", "").replace("\x1b[0m", "");
        assert!(plain.lines().all(|line| length(line) <= 28), "{plain}");
    }
}
