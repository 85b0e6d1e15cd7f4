//! Which page an address names, and the address of a page.

/// A page of the dashboard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    Overview,
    Nodes,
    /// By id.
    Node(String),
    Traffic,
    /// The versions; the newest unless one is named.
    Versions(Option<u64>),
    Editor,
    Drift,
    Managers,
    Licence,
    Events,
    Tokens,
    /// An address that names nothing.
    Unknown,
}

/// Entry of the side that a page belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    Overview,
    Nodes,
    Traffic,
    Configuration,
    Managers,
    Licence,
    Events,
    Tokens,
}

impl Section {
    /// All, in the order of the side.
    pub const ALL: [Self; 8] = [
        Self::Overview,
        Self::Nodes,
        Self::Traffic,
        Self::Configuration,
        Self::Managers,
        Self::Licence,
        Self::Events,
        Self::Tokens,
    ];

    /// Address of its first page.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Overview => "/",
            Self::Nodes => "/nodes",
            Self::Traffic => "/traffic",
            Self::Configuration => "/configuration",
            Self::Managers => "/managers",
            Self::Licence => "/licence",
            Self::Events => "/events",
            Self::Tokens => "/tokens",
        }
    }

    /// The word in the side.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Overview => "Overview",
            Self::Nodes => "Nodes",
            Self::Traffic => "Traffic",
            Self::Configuration => "Configuration",
            Self::Managers => "Managers",
            Self::Licence => "Licence",
            Self::Events => "Events and audit",
            Self::Tokens => "Tokens",
        }
    }

    /// The letter that opens it after `g`.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Overview => 'o',
            Self::Nodes => 'n',
            Self::Traffic => 't',
            Self::Configuration => 'c',
            Self::Managers => 'm',
            Self::Licence => 'l',
            Self::Events => 'e',
            Self::Tokens => 'k',
        }
    }
}

/// Path and query of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub page: Page,
    pub query: Vec<(String, String)>,
}

impl Place {
    /// Reads `/nodes?state=down`.
    #[must_use]
    pub fn parse(address: &str) -> Self {
        let address = address.split('#').next().unwrap_or_default();
        let (path, query) = address.split_once('?').unwrap_or((address, ""));
        let query = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .map(|(key, value)| (decode(key), decode(value)))
            .collect();
        Self {
            page: page(path),
            query,
        }
    }

    /// A value of the query; empty counts as absent.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        let found = self.query.iter().find(|(k, _)| k == key);
        found.map(|(_, v)| v.as_str()).filter(|v| !v.is_empty())
    }

    /// Where the page belongs.
    #[must_use]
    pub fn section(&self) -> Option<Section> {
        Some(match self.page {
            Page::Overview => Section::Overview,
            Page::Nodes | Page::Node(_) => Section::Nodes,
            Page::Traffic => Section::Traffic,
            Page::Versions(_) | Page::Editor | Page::Drift => Section::Configuration,
            Page::Managers => Section::Managers,
            Page::Licence => Section::Licence,
            Page::Events => Section::Events,
            Page::Tokens => Section::Tokens,
            Page::Unknown => return None,
        })
    }
}

fn page(path: &str) -> Page {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    match parts.as_slice() {
        [] => Page::Overview,
        ["nodes"] => Page::Nodes,
        ["nodes", id] => Page::Node(decode(id.strip_prefix("krakend_").unwrap_or(id))),
        ["traffic"] => Page::Traffic,
        ["configuration"] => Page::Versions(None),
        ["configuration", "editor"] => Page::Editor,
        ["configuration", "drift"] => Page::Drift,
        ["configuration", number] => {
            let number = number.strip_prefix('v').unwrap_or(number);
            number
                .parse()
                .map_or(Page::Unknown, |n| Page::Versions(Some(n)))
        }
        ["managers"] => Page::Managers,
        ["licence"] => Page::Licence,
        ["events"] => Page::Events,
        ["tokens"] => Page::Tokens,
        _ => Page::Unknown,
    }
}

/// Per-cent encoding for a value of a query.
#[must_use]
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~/:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let hex = || {
            text.get(at + 1..at + 3)
                .and_then(|h| u8::from_str_radix(h, 16).ok())
        };
        match (byte, hex()) {
            (b'%', Some(value)) => {
                out.push(value);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `path?a=b`, without the pairs that are empty.
#[must_use]
pub fn address(path: &str, query: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = query
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| format!("{key}={}", encode(value)))
        .collect();
    if pairs.is_empty() {
        path.to_owned()
    } else {
        format!("{path}?{}", pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_section_of_the_side_opens_its_own_page() {
        for section in Section::ALL {
            let place = Place::parse(section.path());
            assert_eq!(place.section(), Some(section), "{}", section.path());
            assert!(!section.name().is_empty());
        }
        let mut letters: Vec<char> = Section::ALL.iter().map(|s| s.letter()).collect();
        letters.sort_unstable();
        letters.dedup();
        assert_eq!(letters.len(), Section::ALL.len());
    }

    #[test]
    fn deep_links_name_node_version_and_filter() {
        assert_eq!(
            Place::parse("/nodes/krakend_3f20").page,
            Page::Node("3f20".to_owned())
        );
        assert_eq!(
            Place::parse("/configuration/42").page,
            Page::Versions(Some(42))
        );
        assert_eq!(
            Place::parse("/configuration/v7").page,
            Page::Versions(Some(7))
        );
        assert_eq!(Place::parse("/configuration/x").page, Page::Unknown);
        assert_eq!(Place::parse("/nowhere").page, Page::Unknown);
        let place = Place::parse("/nodes?state=down&q=gw%20par+3#x");
        assert_eq!(
            (place.get("state"), place.get("q")),
            (Some("down"), Some("gw par 3"))
        );
        assert_eq!(place.get("sort"), None);
    }

    #[test]
    fn what_is_encoded_is_read_back() {
        let text = "GET /a/{id}?x=1&y=%20ü";
        let place = Place::parse(&address("/traffic", &[("endpoint", text), ("node", "")]));
        assert_eq!(place.get("endpoint"), Some(text));
        assert_eq!(place.query.len(), 1);
    }
}
