//! Names that were probably meant.

/// The known name that is nearest to what was typed, when it is near enough for a typing error.
pub fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distance =
        |name: &str| strsim::damerau_levenshtein(&typed.to_lowercase(), &name.to_lowercase());
    let best = known.into_iter().min_by_key(|name| distance(name))?;
    let allowed = typed.chars().count().max(3) / 3;
    (distance(best) <= allowed).then_some(best)
}

/// `; did you mean NAME?`, or the names there are when they are few.
pub fn hint<'a>(typed: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    if let Some(meant) = nearest(typed, known.clone()) {
        return format!("; did you mean {meant}?");
    }
    let names: Vec<_> = known.into_iter().take(11).collect();
    match names.len() {
        0 => String::new(),
        1..=10 => format!("; there are {}", names.join(", ")),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_error_finds_its_name_and_a_stranger_finds_none() {
        let known = ["node-1", "node-2", "edge-berlin"];
        assert_eq!(nearest("nide-1", known), Some("node-1"));
        assert_eq!(nearest("edge-brelin", known), Some("edge-berlin"));
        assert_eq!(nearest("zzz", known), None);
        assert_eq!(hint("nod-2", known), "; did you mean node-2?");
        assert_eq!(
            hint("zzz", known),
            "; there are node-1, node-2, edge-berlin"
        );
        assert_eq!(hint("zzz", []), "");
    }
}
