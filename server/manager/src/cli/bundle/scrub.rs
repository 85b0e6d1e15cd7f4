//! Takes secrets out of texts: by what they look like, by the name before them, and those that are known.

const GONE: &str = "[removed]";
/// Names whose values are secret.
const SECRET_NAMES: [&str; 14] = [
    "password",
    "passwd",
    "secret",
    "token",
    "authorization",
    "api_key",
    "apikey",
    "api-key",
    "private_key",
    "client_secret",
    "access_key",
    "cookie",
    "bearer",
    "credential",
];
/// Beginnings that only secrets have: join tokens, API tokens, JSON Web Tokens.
const SECRET_BEGINNINGS: [&str; 4] = ["kjt1.", "kcm_", "kat1.", "eyJ"];
/// Shorter ones are words.
const LEAST_TOKEN: usize = 12;

/// What the next word may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expected {
    Anything,
    /// The value of something secret.
    Value,
    /// The name of something secret stood in a sentence.
    Prose,
}

/// See the module.
pub struct Scrubber {
    known: Vec<String>,
    removed: u64,
}

impl Scrubber {
    pub fn new<'a>(known: impl IntoIterator<Item = &'a str>) -> Self {
        let known = known.into_iter().filter(|it| it.len() >= 8);
        Self {
            known: known.map(str::to_owned).collect(),
            removed: 0,
        }
    }

    pub fn removed(&self) -> u64 {
        self.removed
    }

    pub fn scrub(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for known in &self.known {
            self.removed += text.matches(known.as_str()).count() as u64;
            text = text.replace(known.as_str(), GONE);
        }
        let mut inside_key = false;
        let mut lines = Vec::new();
        for line in text.split('\n') {
            if line.contains("PRIVATE KEY-----") {
                // A log has all of it on one line.
                inside_key = line.contains("-----BEGIN") && !line.contains("-----END");
                self.removed += u64::from(line.contains("-----BEGIN"));
                lines.push(GONE.to_owned());
            } else if !inside_key {
                lines.push(self.line(line));
            }
        }
        lines.join("\n")
    }

    fn line(&mut self, line: &str) -> String {
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        let mut expected = Expected::Anything;
        while let Some(first) = rest.chars().next() {
            let end = rest.find(is_separator).unwrap_or(rest.len());
            if end == 0 {
                // `token: x` and `"token": "x"` go on; the next field of anything else does not.
                if matches!(first, ',' | ';' | '{' | '}' | ')' | '|') {
                    expected = Expected::Anything;
                }
                out.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let (word, next) = rest.split_at(end);
            rest = next;
            if !word.contains(|c: char| c.is_alphanumeric()) {
                out.push_str(word);
                continue;
            }
            let named = expected_after(word, next);
            let gone = match expected {
                _ if looks_secret(word) => true,
                Expected::Value => named == Expected::Anything && !is_nothing(word),
                Expected::Prose => named == Expected::Anything && !is_prose(word),
                Expected::Anything => false,
            };
            if gone {
                self.removed += 1;
                out.push_str(GONE);
            } else {
                out.push_str(&self.address(word));
            }
            expected = named;
        }
        out
    }

    /// `scheme://user:password@host` without user and password.
    fn address(&mut self, word: &str) -> String {
        let Some((scheme, rest)) = word.split_once("://") else {
            return word.to_owned();
        };
        let host_end = rest.find('/').unwrap_or(rest.len());
        match rest[..host_end].rfind('@') {
            Some(at) => {
                self.removed += 1;
                format!("{scheme}://{GONE}{}", &rest[at..])
            }
            None => word.to_owned(),
        }
    }
}

fn is_separator(c: char) -> bool {
    // A colon belongs to addresses and times as well: it separates only at a word's end.
    c.is_whitespace()
        || matches!(
            c,
            '"' | '\''
                | '`'
                | ','
                | ';'
                | '='
                | '{'
                | '}'
                | '['
                | ']'
                | '('
                | ')'
                | '<'
                | '>'
                | '|'
        )
}

/// What a word and the text behind it say of the next word.
fn expected_after(word: &str, next: &str) -> Expected {
    let name = word.trim_end_matches([':', '\\']).to_ascii_lowercase();
    if matches!(name.as_str(), "bearer" | "basic") {
        return Expected::Value;
    }
    // Names of files and of things are no secrets, and tell where to look.
    let is_other = ["_file", "_id", "_name"]
        .iter()
        .any(|end| name.ends_with(end));
    if is_other || !SECRET_NAMES.iter().any(|secret| name.contains(secret)) {
        return Expected::Anything;
    }
    let behind = next.trim_start_matches(['"', '\'', '\\']);
    match word.ends_with(':') || behind.starts_with([':', '=']) {
        true => Expected::Value,
        false if next.starts_with(' ') => Expected::Prose,
        false => Expected::Anything,
    }
}

fn looks_secret(word: &str) -> bool {
    let word = word.trim_matches(['.', ':', '\\']);
    word.len() >= LEAST_TOKEN && SECRET_BEGINNINGS.iter().any(|it| word.starts_with(it))
}

/// A value that is none.
fn is_nothing(word: &str) -> bool {
    matches!(word, "null" | "true" | "false" | "none")
}

/// A word of a sentence, as they stand behind "token" in messages.
fn is_prose(word: &str) -> bool {
    let word = word.trim_end_matches(['.', ':', '!', '?']);
    word.len() <= 16 && word.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrub(text: &str) -> String {
        Scrubber::new(["known-admin-token"]).scrub(text)
    }

    #[test]
    fn what_looks_like_a_secret_is_gone_wherever_it_stands() {
        for (text, secret) in [
            (
                "join with kjt1.eyJpZCI6IjEyMyJ9 now",
                "kjt1.eyJpZCI6IjEyMyJ9",
            ),
            (
                "license eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJBY21lIn0.c2ln.",
                "eyJhbGci",
            ),
            ("GET / Authorization: Bearer abc123DEF456", "abc123DEF456"),
            ("{\"password\":\"hunTer2!\"}", "hunTer2!"),
            ("{\"client_secret\": \"S3cr3tValue\"}", "S3cr3tValue"),
            ("api_key=Zx81Zx81 next", "Zx81Zx81"),
            ("secret: 0a1b2c3d4e5f60718293a4b5c6d7e8f9", "0a1b2c3d"),
            ("dial http://user:pa55@backend:8080/x failed", "pa55"),
            ("the known-admin-token was here", "known-admin-token"),
        ] {
            let out = scrub(text);
            assert!(!out.contains(secret), "{text} became {out}");
            assert!(out.contains(GONE), "{text} became {out}");
        }
    }

    #[test]
    fn a_private_key_is_gone_as_a_whole() {
        let text = "before\n-----BEGIN PRIVATE KEY-----\nMIGHAgEA\nMBMGByqG\n-----END PRIVATE KEY-----\nafter";
        let out = scrub(text);
        assert!(!out.contains("MIGH") && !out.contains("MBMG"), "{out}");
        assert!(
            out.starts_with("before\n") && out.ends_with("\nafter"),
            "{out}"
        );
    }

    #[test]
    fn what_is_no_secret_stays() {
        for text in [
            "secret_file: /etc/krakend/group-secret",
            "token_file=/x/y",
            "the join token ran out: create another with `token create-join`",
            "2026-11-21T10:00:00Z manager-1 leads, term 4, index 120",
            "digest 44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
            "http://backend:8080/a?x=1",
            "{\"tokens\":[]}",
        ] {
            assert_eq!(scrub(text), text);
        }
    }
}
