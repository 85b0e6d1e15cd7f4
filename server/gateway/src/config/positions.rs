//! Where the members of a JSON document stand: JSON pointer to line and column.
//!
//! serde_json gives values without positions, so a second pass over the (already valid) text finds those that findings name.

use std::collections::HashMap;

/// A place in the text, both 1-based; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

impl Position {
    pub const START: Position = Position { line: 1, column: 1 };
}

/// Where a member's key (absent for array items and the document) and value begin.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    pub key: Option<Position>,
    pub value: Position,
}

/// Finds the members whose pointers are wanted, in one pass. The text must be valid JSON.
pub fn locate<'a>(text: &str, wanted: impl Iterator<Item = &'a str>) -> HashMap<String, Member> {
    let found = wanted.map(|pointer| (pointer.to_owned(), None)).collect();
    let mut scanner = Scanner {
        text,
        at: 0,
        line: 1,
        line_start: 0,
        pointer: String::new(),
        found,
    };
    scanner.value(None);
    scanner
        .found
        .into_iter()
        .filter_map(|(pointer, member)| Some((pointer, member?)))
        .collect()
}

/// The position of a byte offset that serde_json gave as line and byte column.
pub fn from_serde(text: &str, line: usize, byte_column: usize) -> Position {
    let line_text = text.split('\n').nth(line.saturating_sub(1)).unwrap_or("");
    let column = line_text
        .char_indices()
        .take_while(|(at, _)| *at < byte_column.saturating_sub(1))
        .count();
    Position {
        line: line.max(1),
        column: column + 1,
    }
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    line_start: usize,
    pointer: String,
    found: HashMap<String, Option<Member>>,
}

impl Scanner<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(byte @ (b' ' | b'\t' | b'\r' | b'\n')) = self.peek() {
            self.at += 1;
            if byte == b'\n' {
                self.line += 1;
                self.line_start = self.at;
            }
        }
    }

    fn position(&self) -> Position {
        let column = self.text[self.line_start..self.at].chars().count() + 1;
        Position {
            line: self.line,
            column,
        }
    }

    fn value(&mut self, key: Option<Position>) {
        self.skip_space();
        if self.found.contains_key(&self.pointer) {
            let member = Member {
                key,
                value: self.position(),
            };
            self.found.insert(self.pointer.clone(), Some(member));
        }
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => {
                self.string();
            }
            _ => {
                while self.peek().is_some_and(|b| !b",]} \t\r\n".contains(&b)) {
                    self.at += 1;
                }
            }
        }
    }

    fn object(&mut self) {
        self.at += 1;
        loop {
            self.skip_space();
            let Some(b'"') = self.peek() else { break };
            let key_position = self.position();
            let raw = self.string();
            let key: String = serde_json::from_str(raw).unwrap_or_default();
            self.skip_space();
            self.at += 1; // the colon
            let length = self.pointer.len();
            push_token(&mut self.pointer, &key);
            self.value(Some(key_position));
            self.pointer.truncate(length);
            if !self.next_item() {
                return;
            }
        }
        self.at += 1;
    }

    fn array(&mut self) {
        self.at += 1;
        self.skip_space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return;
        }
        for index in 0usize.. {
            let length = self.pointer.len();
            push_token(&mut self.pointer, &index.to_string());
            self.value(None);
            self.pointer.truncate(length);
            if !self.next_item() {
                return;
            }
        }
    }

    /// Steps over the comma (true) or the closing bracket (false).
    fn next_item(&mut self) -> bool {
        self.skip_space();
        let more = self.peek() == Some(b',');
        self.at = (self.at + 1).min(self.text.len());
        more
    }

    /// Steps over a string and gives it with its quotes.
    fn string(&mut self) -> &str {
        let start = self.at;
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += if byte == b'\\' { 2 } else { 1 };
            if byte == b'"' {
                break;
            }
        }
        self.at = self.at.min(self.text.len());
        &self.text[start..self.at]
    }
}

/// Appends one reference token, escaped after RFC 6901.
pub fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    for c in token.chars() {
        match c {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            c => pointer.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, pointer: &str) -> (Option<(usize, usize)>, (usize, usize)) {
        let member = locate(text, [pointer].into_iter())[pointer];
        (
            member.key.map(|p| (p.line, p.column)),
            (member.value.line, member.value.column),
        )
    }

    #[test]
    fn keys_and_values_are_found_by_pointer() {
        let text = "{\n  \"a\": [1, {\"b/c\": \"x\\\"y\"}],\n  \"é\": {}, \"d\": true\n}";
        assert_eq!(at(text, ""), (None, (1, 1)));
        assert_eq!(at(text, "/a/1"), (None, (2, 12)));
        assert_eq!(at(text, "/a/1/b~1c"), (Some((2, 13)), (2, 20)));
        assert_eq!(at(text, "/d"), (Some((3, 12)), (3, 17)));
    }

    #[test]
    fn empty_containers_do_not_derail_the_scan() {
        let text = r#"{"a":[],"b":{},"c":[[],{}],"d":1}"#;
        assert_eq!(at(text, "/d"), (Some((1, 28)), (1, 32)));
    }
}
