//! JSON as text: numbers and the order of keys stay as they were published.

/// The value of a member of the outermost object, as it is written.
#[must_use]
pub fn member<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let bytes = text.as_bytes();
    let (mut depth, mut at, mut found) = (0usize, 0usize, None::<usize>);
    while at < bytes.len() {
        match bytes[at] {
            b'"' => {
                let end = string_end(bytes, at)?;
                let key = text.get(at + 1..end);
                at = end;
                let after = skip_space(bytes, at + 1);
                if depth == 1
                    && found.is_none()
                    && key == Some(name)
                    && bytes.get(after) == Some(&b':')
                {
                    found = Some(skip_space(bytes, after + 1));
                    at = after;
                }
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' => {
                depth = depth.checked_sub(1)?;
                if let (Some(from), 0) = (found, depth) {
                    return text.get(from..at).map(str::trim_end);
                }
            }
            b',' if depth == 1 => {
                if let Some(from) = found {
                    return text.get(from..at).map(str::trim_end);
                }
            }
            _ => {}
        }
        at += 1;
    }
    None
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

/// Position of the quote that ends the string which begins at `from`.
fn string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from + 1;
    loop {
        match bytes.get(at)? {
            b'\\' => at += 2,
            b'"' => return Some(at),
            _ => at += 1,
        }
    }
}

/// The same value, two spaces a level; empty objects and lists stay on their line.
#[must_use]
pub fn indented(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len() * 2);
    let (mut depth, mut at) = (0usize, 0usize);
    while at < bytes.len() {
        let byte = bytes[at];
        match byte {
            b'"' => {
                let end = string_end(bytes, at).unwrap_or(bytes.len() - 1);
                out.push_str(text.get(at..=end).unwrap_or_default());
                at = end;
            }
            b'{' | b'[' => {
                let next = skip_space(bytes, at + 1);
                out.push(char::from(byte));
                if matches!(bytes.get(next), Some(b'}' | b']')) {
                    out.push(char::from(bytes[next]));
                    at = next;
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            b'}' | b']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(char::from(byte));
            }
            b',' => {
                out.push(',');
                line(&mut out, depth);
            }
            b':' => out.push_str(": "),
            b if b.is_ascii_whitespace() => {}
            b => out.push(char::from(b)),
        }
        at += 1;
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    for _ in 0..depth {
        out.push_str("  ");
    }
}

/// Line and column (from 1) of a position, in bytes, of a text.
#[must_use]
pub fn line_and_column(text: &str, position: usize) -> (usize, usize) {
    let before = text.get(..position).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_is_cut_out_as_it_was_written() {
        let text = r#"{"number": 3, "message": "a \"document\": {", "document": {"z": 1.50, "a": [1, {"document": 2}]}, "rollout": {}}"#;
        assert_eq!(
            member(text, "document"),
            Some(r#"{"z": 1.50, "a": [1, {"document": 2}]}"#)
        );
        assert_eq!(member(text, "rollout"), Some("{}"));
        assert_eq!(member(text, "number"), Some("3"));
        assert_eq!(member(text, "a"), None);
        assert_eq!(member(r#"{"a": "x"#, "a"), None);
    }

    #[test]
    fn indenting_changes_nothing_but_space() {
        let text = r#"{"z":1.50,"list":[ ],"a":["x: {,}\"",{"b":null}]}"#;
        let out = indented(text);
        assert_eq!(
            out,
            "{\n  \"z\": 1.50,\n  \"list\": [],\n  \"a\": [\n    \"x: {,}\\\"\",\n    {\n      \"b\": null\n    }\n  ]\n}"
        );
        assert_eq!(indented(&out), out);
    }

    #[test]
    fn umlauts_outside_of_strings_do_not_break_it_and_inside_they_stay() {
        assert_eq!(indented(r#"{"ü":"日"}"#), "{\n  \"ü\": \"日\"\n}");
    }

    #[test]
    fn a_position_has_line_and_column() {
        let text = "{\n  \"ü\": 1\n}";
        assert_eq!(line_and_column(text, 0), (1, 1));
        assert_eq!(line_and_column(text, 4), (2, 3));
        assert_eq!(line_and_column(text, text.len()), (3, 2));
    }
}
