//! A unified diff as rows of two columns, with what changed inside a line.

/// One side of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Half {
    /// From 1.
    pub line: usize,
    pub changed: bool,
    /// Before, the part that differs, after.
    pub parts: [String; 3],
}

/// One row of the two columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// Lines that are equal and not shown.
    Unchanged(usize),
    /// A missing side is hatched.
    Pair(Option<Half>, Option<Half>),
}

/// Equal lines around a change.
const CONTEXT: usize = 3;

enum Line<'a> {
    Same(&'a str),
    Old(&'a str),
    New(&'a str),
}

/// Rows of a unified diff that has every line of both documents.
#[must_use]
pub fn rows(unified: &str) -> Vec<Row> {
    let lines: Vec<Line<'_>> = unified.lines().filter_map(line).collect();
    let (mut out, mut left, mut right) = (Vec::new(), 0usize, 0usize);
    let mut at = 0;
    while at < lines.len() {
        match lines[at] {
            Line::Same(text) => {
                (left, right) = (left + 1, right + 1);
                out.push(Row::Pair(Some(plain(left, text)), Some(plain(right, text))));
                at += 1;
            }
            Line::Old(_) | Line::New(_) => {
                let end = lines[at..]
                    .iter()
                    .position(|l| matches!(l, Line::Same(_)))
                    .map_or(lines.len(), |n| at + n);
                pair(&lines[at..end], &mut left, &mut right, &mut out);
                at = end;
            }
        }
    }
    fold(out)
}

fn line(text: &str) -> Option<Line<'_>> {
    if text.starts_with("---")
        || text.starts_with("+++")
        || text.starts_with("@@")
        || text.starts_with('\\')
    {
        return None;
    }
    Some(match text.split_at_checked(1) {
        Some(("-", rest)) => Line::Old(rest),
        Some(("+", rest)) => Line::New(rest),
        Some((" ", rest)) => Line::Same(rest),
        _ => Line::Same(text),
    })
}

fn plain(line: usize, text: &str) -> Half {
    Half {
        line,
        changed: false,
        parts: [text.to_owned(), String::new(), String::new()],
    }
}

/// Puts removed and added lines of one stretch beside each other, in order.
fn pair(lines: &[Line<'_>], left: &mut usize, right: &mut usize, out: &mut Vec<Row>) {
    let old: Vec<&str> = lines
        .iter()
        .filter_map(|l| if let Line::Old(t) = l { Some(*t) } else { None })
        .collect();
    let new: Vec<&str> = lines
        .iter()
        .filter_map(|l| if let Line::New(t) = l { Some(*t) } else { None })
        .collect();
    for at in 0..old.len().max(new.len()) {
        let (before, after) = (old.get(at), new.get(at));
        let (old_parts, new_parts) = match (before, after) {
            (Some(a), Some(b)) => inside(a, b),
            (a, b) => {
                let whole = |t: Option<&&str>| {
                    [
                        t.map(|t| (*t).to_owned()).unwrap_or_default(),
                        String::new(),
                        String::new(),
                    ]
                };
                (whole(a), whole(b))
            }
        };
        let half = |there: bool, count: &mut usize, parts: [String; 3]| {
            there.then(|| {
                *count += 1;
                Half {
                    line: *count,
                    changed: true,
                    parts,
                }
            })
        };
        let before = half(before.is_some(), left, old_parts);
        let after = half(after.is_some(), right, new_parts);
        out.push(Row::Pair(before, after));
    }
}

/// Cuts two lines into what they share at both ends and what differs. Lines with little in common are not marked inside.
fn inside(old: &str, new: &str) -> ([String; 3], [String; 3]) {
    let (a, b): (Vec<char>, Vec<char>) = (old.chars().collect(), new.chars().collect());
    let start = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let room = a.len().min(b.len()) - start;
    let end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take(room)
        .take_while(|(x, y)| x == y)
        .count();
    let shared = a[..start].iter().chain(&a[a.len() - end..]);
    let words = shared.filter(|c| c.is_alphanumeric()).count();
    let cut = |chars: &[char]| {
        let text = |part: &[char]| part.iter().collect::<String>();
        if words < 3 {
            return [text(chars), String::new(), String::new()];
        }
        [
            text(&chars[..start]),
            text(&chars[start..chars.len() - end]),
            text(&chars[chars.len() - end..]),
        ]
    };
    (cut(&a), cut(&b))
}

/// Leaves out equal lines that are far from a change.
fn fold(rows: Vec<Row>) -> Vec<Row> {
    let is_change =
        |row: &Row| !matches!(row, Row::Pair(Some(a), Some(b)) if !a.changed && !b.changed);
    let changes: Vec<usize> = (0..rows.len()).filter(|at| is_change(&rows[*at])).collect();
    let mut keep = vec![false; rows.len()];
    for at in changes {
        let to = (at + CONTEXT + 1).min(rows.len());
        keep[at.saturating_sub(CONTEXT)..to].fill(true);
    }
    let mut out = Vec::new();
    for (row, keep) in rows.into_iter().zip(keep) {
        match (keep, out.last_mut()) {
            (true, _) => out.push(row),
            (false, Some(Row::Unchanged(count))) => *count += 1,
            (false, _) => out.push(Row::Unchanged(1)),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn half(row: &Row) -> (String, String) {
        let text = |half: &Option<Half>| {
            half.as_ref().map_or_else(
                || "(none)".to_owned(),
                |h| format!("{} {}", h.line, h.parts.join("|")),
            )
        };
        match row {
            Row::Unchanged(n) => (format!("{n} unchanged"), String::new()),
            Row::Pair(a, b) => (text(a), text(b)),
        }
    }

    #[test]
    fn a_changed_line_stands_beside_its_successor_with_the_difference_marked() {
        let rows = rows(
            "--- v1\n+++ v2\n@@ -1,3 +1,3 @@\n {\n-  \"timeout\": \"2s\"\n+  \"timeout\": \"3s\"\n }\n",
        );
        assert_eq!(rows.len(), 3);
        assert_eq!(
            half(&rows[1]),
            (
                "2   \"timeout\": \"|2|s\"".to_owned(),
                "2   \"timeout\": \"|3|s\"".to_owned()
            )
        );
    }

    #[test]
    fn what_has_no_counterpart_is_alone_in_its_row_and_numbers_go_on() {
        let rows = rows(" a\n-b\n+c\n+d\n e\n");
        let halves: Vec<_> = rows.iter().map(half).collect();
        assert_eq!(halves[2], ("(none)".to_owned(), "3 d||".to_owned()));
        assert_eq!(halves[3], ("3 e||".to_owned(), "4 e||".to_owned()));
    }

    #[test]
    fn equal_lines_far_away_are_counted() {
        let mut text = String::new();
        for n in 0..40 {
            text.push_str(&format!(" line {n}\n"));
        }
        text.push_str("-old\n");
        for n in 0..10 {
            text.push_str(&format!(" more {n}\n"));
        }
        let rows = rows(&text);
        assert_eq!(rows.first(), Some(&Row::Unchanged(37)));
        assert_eq!(rows.last(), Some(&Row::Unchanged(7)));
        assert_eq!(rows.len(), 2 + 3 + 1 + 3);
    }

    #[test]
    fn lines_with_nothing_in_common_are_not_marked_inside() {
        let (old, new) = inside("{", "  \"endpoint\"");
        assert_eq!((old[1].as_str(), new[1].as_str()), ("", ""));
    }
}
