//! What a key means: `/` search, `g` and a letter, `j` `k` Enter, `[` `]`, `?`, Esc.

use super::route::Section;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Search,
    Open(Section),
    NextRow,
    PreviousRow,
    ShorterRange,
    LongerRange,
    Help,
    Close,
}

/// Remembers `g` for the key after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keys {
    waits: bool,
}

impl Keys {
    /// Takes a key as the browser names it; `typing` while a field has the focus.
    pub fn press(&mut self, key: &str, typing: bool) -> Option<Action> {
        let waited = std::mem::take(&mut self.waits);
        if key == "Escape" {
            return Some(Action::Close);
        }
        if typing {
            return None;
        }
        if waited {
            let found = Section::ALL
                .into_iter()
                .find(|s| key.chars().eq([s.letter()]));
            return found.map(Action::Open);
        }
        match key {
            "g" => {
                self.waits = true;
                None
            }
            "/" => Some(Action::Search),
            "j" => Some(Action::NextRow),
            "k" => Some(Action::PreviousRow),
            "[" => Some(Action::ShorterRange),
            "]" => Some(Action::LongerRange),
            "?" => Some(Action::Help),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g_and_a_letter_open_a_page_and_anything_else_forgets_the_g() {
        let mut keys = Keys::default();
        assert_eq!(keys.press("g", false), None);
        assert_eq!(keys.press("n", false), Some(Action::Open(Section::Nodes)));
        assert_eq!(keys.press("n", false), None);
        keys.press("g", false);
        assert_eq!(keys.press("x", false), None);
        assert_eq!(keys.press("n", false), None);
    }

    #[test]
    fn letters_typed_into_a_field_do_nothing_but_escape_closes() {
        let mut keys = Keys::default();
        for key in ["g", "/", "j", "?"] {
            assert_eq!(keys.press(key, true), None, "{key}");
        }
        assert_eq!(keys.press("Escape", true), Some(Action::Close));
        assert_eq!(keys.press("]", false), Some(Action::LongerRange));
    }
}
