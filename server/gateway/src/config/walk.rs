//! Reading members out of a JSON tree while gathering findings instead of stopping at the first.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value};

use super::duration::parse_duration;
use super::keys::{Keys, did_you_mean};
use super::positions::{self, Position, push_token};
use super::report::{Finding, Report, Severity, Strictness};

/// More would help nobody and cost memory.
const MAX_FINDINGS: usize = 200;

/// A finding whose position is not looked up yet.
struct Draft {
    severity: Severity,
    code: &'static str,
    pointer: String,
    at_key: bool,
    message: String,
}

/// The state of one walk over a document.
pub struct Walk {
    strictness: Strictness,
    drafts: Vec<Draft>,
    /// What a lenient walk let pass though the engine cannot do it.
    pub unsupported: Vec<String>,
}

/// One object of the document with its pointer.
#[derive(Clone)]
pub struct Object<'v> {
    pub map: &'v Map<String, Value>,
    pub pointer: String,
}

impl Object<'_> {
    /// The pointer of a member.
    pub fn to(&self, key: &str) -> String {
        let mut pointer = self.pointer.clone();
        push_token(&mut pointer, key);
        pointer
    }

    /// The member's pointer, or the object's own where the member is missing.
    pub fn near(&self, key: &str) -> String {
        if self.map.contains_key(key) {
            self.to(key)
        } else {
            self.pointer.clone()
        }
    }

    fn present(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }
}

impl Walk {
    pub fn new(strictness: Strictness) -> Self {
        Walk {
            strictness,
            drafts: Vec::new(),
            unsupported: Vec::new(),
        }
    }

    fn push(
        &mut self,
        severity: Severity,
        code: &'static str,
        pointer: String,
        at_key: bool,
        message: String,
    ) {
        if self.drafts.len() < MAX_FINDINGS {
            self.drafts.push(Draft {
                severity,
                code,
                pointer,
                at_key,
                message,
            });
        }
    }

    /// What KrakenD refuses as well: an error in any fleet.
    pub fn error(&mut self, code: &'static str, pointer: String, message: String) {
        self.push(Severity::Error, code, pointer, false, message);
    }

    /// What the author should know.
    pub fn warn(&mut self, code: &'static str, pointer: String, message: String) {
        self.push(Severity::Warning, code, pointer, true, message);
    }

    /// A mistake that a real KrakenD shrugs off: an error where the embedded engine is meant.
    pub fn strict(&mut self, code: &'static str, pointer: String, message: String) {
        self.push(self.severity(), code, pointer, false, message);
    }

    /// What only a real KrakenD refuses.
    pub fn real_only(&mut self, code: &'static str, pointer: String, message: String) {
        let severity = match self.strictness {
            Strictness::Strict => Severity::Warning,
            Strictness::Lenient => Severity::Error,
        };
        self.push(severity, code, pointer, false, message);
    }

    /// What the embedded engine cannot do, said at the key.
    pub fn unsupported(&mut self, code: &'static str, pointer: String, message: String) {
        if self.unsupported.len() < MAX_FINDINGS {
            self.unsupported.push(message.clone());
        }
        self.push(self.severity(), code, pointer, true, message);
    }

    fn severity(&self) -> Severity {
        match self.strictness {
            Strictness::Strict => Severity::Error,
            Strictness::Lenient => Severity::Warning,
        }
    }

    /// Judges every key of an object.
    pub fn check_keys(&mut self, object: &Object<'_>, keys: &Keys) {
        for (key, value) in object.map {
            let key = key.as_str();
            if keys.supported.contains(&key)
                || is_comment(key)
                || (is_inert(value) && known(keys, key))
            {
                continue;
            }
            let pointer = object.to(key);
            if keys.tuning.contains(&key) {
                let message = format!(
                    "{key:?} tunes a KrakenD process and has no effect on the embedded gateway"
                );
                if self.strictness == Strictness::Strict {
                    self.warn("ignored-key", pointer, message);
                }
            } else if keys.unsupported.contains(&key) {
                let message = format!(
                    "{key:?} in {} is not supported by the embedded gateway; remove it, or run this fleet on KrakenD",
                    keys.level
                );
                self.unsupported("unsupported-key", pointer, message);
            } else {
                let all = keys
                    .supported
                    .iter()
                    .chain(keys.tuning)
                    .chain(keys.unsupported)
                    .copied();
                let advice = match did_you_mean(key, all) {
                    Some(name) => format!("did you mean {name:?}?"),
                    None => "remove it, or begin its name with \"@\" if it is a comment".to_owned(),
                };
                let message = format!("{key:?} is no key of {}; {advice}", keys.level);
                self.push(self.severity(), "unknown-key", pointer, true, message);
            }
        }
    }

    fn wrong_type(&mut self, pointer: String, expected: &str, found: &Value) {
        let message = format!(
            "{} must be {expected}, not {}",
            if pointer.is_empty() {
                "the document"
            } else {
                pointer.rsplit('/').next().unwrap_or("")
            },
            type_name(found)
        );
        self.error("wrong-type", pointer, message);
    }

    pub fn root<'v>(&mut self, value: &'v Value) -> Option<Object<'v>> {
        self.as_object(value, String::new())
    }

    pub fn as_object<'v>(&mut self, value: &'v Value, pointer: String) -> Option<Object<'v>> {
        match value.as_object() {
            Some(map) => Some(Object { map, pointer }),
            None => {
                self.wrong_type(pointer, "an object", value);
                None
            }
        }
    }

    pub fn object<'v>(&mut self, object: &Object<'v>, key: &str) -> Option<Object<'v>> {
        let value = object.map.get(key).filter(|value| !value.is_null())?;
        self.as_object(value, object.to(key))
    }

    pub fn array<'v>(&mut self, object: &Object<'v>, key: &str) -> Option<&'v Vec<Value>> {
        let value = object.map.get(key).filter(|value| !value.is_null())?;
        if value.as_array().is_none() {
            self.wrong_type(object.to(key), "an array", value);
        }
        value.as_array()
    }

    pub fn string(&mut self, object: &Object<'_>, key: &str) -> Option<String> {
        let value = object.present(key)?;
        if !value.is_string() {
            self.wrong_type(object.to(key), "a string", value);
        }
        value.as_str().map(str::to_owned)
    }

    pub fn boolean(&mut self, object: &Object<'_>, key: &str) -> bool {
        let Some(value) = object.present(key) else {
            return false;
        };
        if !value.is_boolean() {
            self.wrong_type(object.to(key), "true or false", value);
        }
        value.as_bool().unwrap_or(false)
    }

    pub fn integer(&mut self, object: &Object<'_>, key: &str) -> Option<i64> {
        let value = object.present(key)?;
        if value.as_i64().is_none() {
            self.wrong_type(object.to(key), "a whole number", value);
        }
        value.as_i64()
    }

    pub fn strings(&mut self, object: &Object<'_>, key: &str) -> Vec<String> {
        let items = self
            .array(object, key)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let mut strings = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str() {
                Some(text) => strings.push(text.to_owned()),
                None => self.wrong_type(format!("{}/{index}", object.to(key)), "a string", item),
            }
        }
        strings
    }

    /// A duration above zero; zero means unset, as it does to KrakenD.
    pub fn duration(&mut self, object: &Object<'_>, key: &str) -> Option<Duration> {
        let text = self.string(object, key)?;
        match parse_duration(&text) {
            Ok(duration) => Some(duration).filter(|d| !d.is_zero()),
            Err(why) => {
                self.strict("bad-duration", object.to(key), format!("{key:?}: {why}"));
                None
            }
        }
    }

    /// Looks up all positions and sorts by them.
    pub fn report(self, text: &str) -> Report {
        let members = if self.drafts.is_empty() {
            HashMap::new()
        } else {
            positions::locate(text, self.drafts.iter().map(|draft| draft.pointer.as_str()))
        };
        let mut findings: Vec<Finding> = self
            .drafts
            .into_iter()
            .map(|draft| {
                let position = members
                    .get(&draft.pointer)
                    .map_or(Position::START, |member| match member.key {
                        Some(key) if draft.at_key => key,
                        _ => member.value,
                    });
                Finding {
                    severity: draft.severity,
                    code: draft.code,
                    pointer: draft.pointer,
                    line: position.line,
                    column: position.column,
                    message: draft.message,
                }
            })
            .collect();
        findings.sort_by_key(|finding| (finding.line, finding.column, finding.severity));
        Report { findings }
    }
}

fn known(keys: &Keys, key: &str) -> bool {
    keys.tuning.contains(&key) || keys.unsupported.contains(&key)
}

/// Keys that KrakenD's documentation uses for comments and editors.
fn is_comment(key: &str) -> bool {
    key.starts_with(['@', '$', '_', '#'])
}

/// A value that says the same as leaving the key out.
fn is_inert(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(true) => false,
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Whether a list is absent in all but name.
pub fn is_empty_list(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}
