//! What happens to a backend's answer before it is merged: target, allow or deny, mapping, group.

use serde_json::{Map, Value};

use crate::config::Backend;

pub type Data = Map<String, Value>;

/// The manipulations of one backend, prepared.
#[derive(Debug)]
pub struct Manipulation {
    target: Vec<String>,
    filter: Filter,
    mapping: Vec<(String, String)>,
    group: Option<String>,
}

#[derive(Debug)]
enum Filter {
    None,
    Allow(Tree),
    Deny(Tree),
}

/// Dotted fields as a tree; a `None` is the end of a field.
#[derive(Debug, Default)]
struct Tree(std::collections::HashMap<String, Option<Tree>>);

impl Manipulation {
    pub fn new(backend: &Backend) -> Self {
        let filter = match (backend.allow.as_slice(), backend.deny.as_slice()) {
            ([], []) => Filter::None,
            ([], deny) => Filter::Deny(Tree::denied(deny)),
            (allow, _) => Filter::Allow(Tree::allowed(allow)),
        };
        Manipulation {
            target: if backend.target.is_empty() {
                Vec::new()
            } else {
                backend.target.split('.').map(str::to_owned).collect()
            },
            filter,
            mapping: backend.mapping.clone(),
            group: Some(backend.group.clone()).filter(|group| !group.is_empty()),
        }
    }

    /// Applies all of them, in KrakenD's order. `None` is an answer of `null`.
    pub fn apply(&self, data: Option<Data>) -> Option<Data> {
        if data.is_none() && self.target.is_empty() {
            let group = self.group.as_ref()?;
            return Some(Data::from_iter([(group.clone(), Value::Null)]));
        }
        let mut data = data.unwrap_or_default();
        for part in &self.target {
            // What is not an object under the target leaves nothing.
            data = match data.remove(part) {
                Some(Value::Object(inner)) => inner,
                _ => return Some(self.wrap(Data::new())),
            };
        }
        match &self.filter {
            Filter::None => {}
            Filter::Allow(tree) => {
                if !tree.keep_allowed(&mut data) {
                    data.clear();
                }
            }
            Filter::Deny(tree) => tree.remove_denied(&mut data),
        }
        for (from, to) in &self.mapping {
            if let Some(value) = data.remove(from) {
                data.insert(to.clone(), value);
            }
        }
        Some(self.wrap(data))
    }

    fn wrap(&self, data: Data) -> Data {
        match &self.group {
            Some(group) => Data::from_iter([(group.clone(), Value::Object(data))]),
            None => data,
        }
    }
}

impl Tree {
    /// Of two fields of which one holds the other, the later one wins, as with KrakenD.
    fn allowed(fields: &[String]) -> Self {
        let mut root = Tree::default();
        for field in fields {
            let mut tree = &mut root;
            let mut parts = field.split('.').peekable();
            while let Some(part) = parts.next() {
                if parts.peek().is_none() {
                    tree.0.insert(part.to_owned(), None);
                    break;
                }
                tree = tree
                    .0
                    .entry(part.to_owned())
                    .or_default()
                    .get_or_insert_default();
            }
        }
        root
    }

    /// Of two fields of which one holds the other, the shorter one wins.
    fn denied(fields: &[String]) -> Self {
        let mut root = Tree::default();
        for field in fields {
            let mut tree = &mut root;
            let mut parts = field.split('.').peekable();
            while let Some(part) = parts.next() {
                if parts.peek().is_none() {
                    tree.0.insert(part.to_owned(), None);
                    break;
                }
                match tree
                    .0
                    .entry(part.to_owned())
                    .or_insert_with(|| Some(Tree::default()))
                {
                    Some(inner) => tree = inner,
                    None => break,
                }
            }
        }
        root
    }

    /// Keeps the allowed fields; false when nothing is left.
    fn keep_allowed(&self, data: &mut Data) -> bool {
        data.retain(|key, value| match (self.0.get(key), value) {
            (Some(None), _) => true,
            (Some(Some(tree)), Value::Object(inner)) => tree.keep_allowed(inner),
            _ => false,
        });
        !data.is_empty()
    }

    fn remove_denied(&self, data: &mut Data) {
        data.retain(|key, value| match (self.0.get(key), value) {
            (Some(None), _) => false,
            (Some(Some(tree)), Value::Object(inner)) => {
                tree.remove_denied(inner);
                true
            }
            _ => true,
        });
    }
}
