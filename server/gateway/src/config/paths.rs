//! Patterns of paths and addresses of hosts.

use http::uri::PathAndQuery;

/// The names of an endpoint's parameters, or what the engine cannot route in the path.
pub fn parameters(path: &str) -> Result<Vec<String>, String> {
    let mut names: Vec<String> = Vec::new();
    for segment in path.split('/').skip(1) {
        if let Some(name) = segment
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
        {
            let fits = !name.is_empty()
                && name
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            if !fits {
                return Err(format!(
                    "has the parameter {segment}; name it with letters, digits, - and _"
                ));
            }
            if names.iter().any(|seen| seen == name) {
                return Err(format!(
                    "has the parameter {segment} twice; give each its own name"
                ));
            }
            names.push(name.to_owned());
        } else if segment.contains(['{', '}']) {
            return Err(format!(
                "has a parameter inside the segment {segment:?}; a parameter must be a whole segment, such as /{{id}}"
            ));
        } else if segment.contains(['*', ':']) {
            return Err(format!(
                "has a wildcard in the segment {segment:?}; the embedded gateway has parameters such as /{{id}} only"
            ));
        }
    }
    if path.contains(['?', '#']) {
        return Err(
            "holds ? or #; list query strings in \"input_query_strings\" instead".to_owned(),
        );
    }
    Ok(names)
}

/// The path with its parameters' names taken out: equal for paths that answer the same requests.
pub fn shape(path: &str) -> String {
    path.split('/')
        .map(|segment| {
            if segment.starts_with('{') && segment.ends_with('}') {
                "{}"
            } else {
                segment
            }
        })
        .collect::<Vec<_>>()
        .join("/")
}

/// Parameters that KrakenD fills from an earlier backend's answer or a token.
pub fn is_sequential(name: &str) -> bool {
    let after_resp = name
        .strip_prefix("resp")
        .map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    name.starts_with("JWT.")
        || after_resp.is_some_and(|rest| rest.starts_with('_') && !name.starts_with("resp_"))
}

/// A part of a [`UrlPattern`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Literal(String),
    /// A parameter in the path.
    Path(String),
    /// A parameter in the query string.
    Query(String),
}

/// A backend's `url_pattern`, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlPattern {
    pub pieces: Vec<Piece>,
}

impl UrlPattern {
    /// Splits a pattern at its `{parameters}`; braces around anything else are literal, as with KrakenD.
    pub fn compile(pattern: &str) -> Self {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut in_query = false;
        let mut rest = pattern;
        while let Some(open) = rest.find('{') {
            let name = rest[open + 1..]
                .find('}')
                .map(|close| &rest[open + 1..open + 1 + close]);
            let name = name.filter(|name| !name.is_empty() && name.chars().all(is_name_char));
            literal.push_str(&rest[..open]);
            in_query |= rest[..open].contains('?');
            match name {
                Some(name) => {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    let name_owned = name.to_owned();
                    pieces.push(if in_query {
                        Piece::Query(name_owned)
                    } else {
                        Piece::Path(name_owned)
                    });
                    rest = &rest[open + name.len() + 2..];
                }
                None => {
                    literal.push('{');
                    rest = &rest[open + 1..];
                }
            }
        }
        literal.push_str(rest);
        pieces.push(Piece::Literal(literal));
        pieces.retain(|piece| !matches!(piece, Piece::Literal(text) if text.is_empty()));
        UrlPattern { pieces }
    }

    /// The names of its parameters.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Literal(_) => None,
            Piece::Path(name) | Piece::Query(name) => Some(name.as_str()),
        })
    }

    /// Whether the pattern gives a path that can be requested.
    pub fn is_valid(&self) -> bool {
        let sample: String = self
            .pieces
            .iter()
            .map(|piece| match piece {
                Piece::Literal(text) => text.as_str(),
                Piece::Path(_) | Piece::Query(_) => "x",
            })
            .collect();
        !sample.contains('#') && PathAndQuery::try_from(sample).is_ok()
    }
}

fn is_name_char(c: char) -> bool {
    c.is_alphanumeric() || "_-.:/".contains(c)
}

/// A host as KrakenD cleans it: `scheme://name[:port]`, http when no scheme is given. `None` when it is none.
pub fn clean_host(host: &str) -> Option<String> {
    let (scheme, rest) = match host.split_once("://") {
        Some((scheme @ ("http" | "https"), rest)) => (scheme, rest),
        Some(_) => return None,
        None => ("http", host),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (name, port) = match rest.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (rest, None),
    };
    let name_fits = !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let port_fits =
        port.is_none_or(|port| port.len() >= 2 && port.parse::<u16>().is_ok_and(|port| port > 0));
    (name_fits && port_fits).then(|| format!("{scheme}://{rest}"))
}

/// A host taken as it stands (`disable_host_sanitize`). `None` when no request could go there.
pub fn verbatim_host(host: &str) -> Option<String> {
    let uri: http::Uri = host.parse().ok()?;
    let scheme = uri
        .scheme_str()
        .filter(|scheme| matches!(*scheme, "http" | "https"));
    let usable = scheme.is_some() && uri.authority().is_some() && uri.query().is_none();
    usable.then(|| host.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_cleaned_as_krakend_does() {
        assert_eq!(
            clean_host("127.0.0.1:8000/").as_deref(),
            Some("http://127.0.0.1:8000")
        );
        assert_eq!(
            clean_host("https://api.example.com").as_deref(),
            Some("https://api.example.com")
        );
        for bad in [
            "",
            "http://a/b",
            "ftp://a",
            "a b",
            "http://a:99999",
            "http://",
        ] {
            assert_eq!(clean_host(bad), None, "{bad}");
        }
    }

    #[test]
    fn patterns_split_at_their_parameters() {
        let pattern = UrlPattern::compile("/u/{id}/x?q={q}&z=1");
        let names: Vec<_> = pattern.parameters().collect();
        assert_eq!(names, ["id", "q"]);
        assert_eq!(pattern.pieces[1], Piece::Path("id".into()));
        assert_eq!(pattern.pieces[3], Piece::Query("q".into()));
        assert!(pattern.is_valid());
    }

    #[test]
    fn sequential_parameters_are_told_from_plain_ones() {
        assert!(is_sequential("resp0_id") && is_sequential("JWT.sub"));
        assert!(!is_sequential("response") && !is_sequential("id") && !is_sequential("resp_0"));
    }
}
