//! Differences within JSON values, and their short forms.

use krakend_api::ChangeKind;
use serde_json::{Map, Value};

/// Longest form of a value in a line, in characters.
const MAX_SHOWN: usize = 120;
/// Words in a key whose value is a secret.
const SECRET_WORDS: [&str; 5] = ["password", "secret", "token", "api_key", "private_key"];

/// One place that differs: what was there, what is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    path: Vec<String>,
    old: Option<Value>,
    new: Option<Value>,
}

impl Leaf {
    pub fn kind(&self) -> ChangeKind {
        match (&self.old, &self.new) {
            (None, _) => ChangeKind::Added,
            (_, None) => ChangeKind::Removed,
            _ => ChangeKind::Changed,
        }
    }

    /// JSON pointer (RFC 6901).
    pub fn pointer(&self) -> String {
        let escape = |part: &String| format!("/{}", part.replace('~', "~0").replace('/', "~1"));
        self.path.iter().map(escape).collect()
    }

    /// `2s → 3s`, `3s added`, `2s removed`.
    pub fn values(&self) -> String {
        match (&self.old, &self.new) {
            (Some(old), Some(new)) => format!("{} → {}", short(old), short(new)),
            (None, Some(new)) => format!("{} added", short(new)),
            (Some(old), None) => format!("{} removed", short(old)),
            (None, None) => String::new(),
        }
    }

    /// `timeout 2s → 3s`; parts of the path are joined by dots.
    pub fn line(&self) -> String {
        format!("{} {}", self.path.join("."), self.values())
    }
}

/// The fields of two objects that differ, deep, without those named; in the order of their keys.
pub fn compare_fields(old: &Value, new: &Value, without: &[&str]) -> Vec<Leaf> {
    let empty = Map::new();
    let old = old.as_object().unwrap_or(&empty);
    let new = new.as_object().unwrap_or(&empty);
    let mut keys: Vec<&String> = old.keys().chain(new.keys()).collect();
    keys.sort();
    keys.dedup();
    let mut leaves = Vec::new();
    for key in keys {
        if !without.contains(&key.as_str()) {
            let mut path = vec![key.clone()];
            descend(&mut path, old.get(key), new.get(key), &mut leaves);
        }
    }
    leaves
}

fn descend(path: &mut Vec<String>, old: Option<&Value>, new: Option<&Value>, out: &mut Vec<Leaf>) {
    if let (Some(old), Some(new)) = (old, new)
        && equal(old, new)
    {
        return;
    }
    match (old, new) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let mut keys: Vec<&String> = a.keys().chain(b.keys()).collect();
            keys.sort();
            keys.dedup();
            for key in keys {
                path.push(key.clone());
                descend(path, a.get(key), b.get(key), out);
                path.pop();
            }
        }
        // Lists of parts are compared place by place; lists of words are shown whole.
        (Some(Value::Array(a)), Some(Value::Array(b))) if nests(a) || nests(b) => {
            for place in 0..a.len().max(b.len()) {
                path.push(place.to_string());
                descend(path, a.get(place), b.get(place), out);
                path.pop();
            }
        }
        _ => out.push(Leaf {
            path: path.clone(),
            old: old.cloned(),
            new: new.cloned(),
        }),
    }
}

fn nests(items: &[Value]) -> bool {
    items.iter().any(|it| it.is_object() || it.is_array())
}

/// As JSON sees it: `3` and `3.0` are one number, the order of keys does not count.
pub fn equal(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, value)| b.get(key).is_some_and(|other| equal(value, other)))
        }
        _ => a == b,
    }
}

/// A value in a line: words as they are, everything else as JSON, cut where it is long.
pub fn short(value: &Value) -> String {
    let text = match value {
        Value::String(text) if !text.is_empty() && !text.contains(char::is_control) => text.clone(),
        Value::Array(items) if !nests(items) => {
            let items: Vec<String> = items.iter().map(short).collect();
            format!("[{}]", items.join(", "))
        }
        other => other.to_string(),
    };
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// Whether a key's value is a secret by its name.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Hides secrets in several documents so that one can still see where they differ: equal values get equal numbers.
#[derive(Debug, Default)]
pub struct Hider {
    seen: Vec<String>,
}

impl Hider {
    pub fn hide(&mut self, value: &mut Value) {
        match value {
            Value::Object(map) => {
                for (key, value) in map.iter_mut() {
                    if is_secret(key) && value.is_string() {
                        *value = self.mark(value.as_str().unwrap_or_default()).into();
                    } else {
                        self.hide(value);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.hide(item)),
            _ => {}
        }
    }

    fn mark(&mut self, text: &str) -> String {
        let known = self.seen.iter().position(|it| it == text);
        let number = known.unwrap_or_else(|| {
            self.seen.push(text.into());
            self.seen.len() - 1
        });
        format!("(hidden, value {})", number + 1)
    }
}
