//! The style sheets and the sources keep what the look promises: contrast, and nothing that the content security policy forbids.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn files(folder: &Path, extension: &str, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("folder is there") {
        let path = entry.expect("entry is readable").path();
        if path.is_dir() {
            files(&path, extension, into);
        } else if path.extension().is_some_and(|e| e == extension) {
            into.push(path);
        }
    }
}

/// Token to its colours, light and dark.
fn tokens() -> BTreeMap<String, [[f64; 3]; 2]> {
    let mut out = BTreeMap::new();
    for line in read(&root().join("style/00-tokens.css")).lines() {
        let Some((name, value)) = line
            .trim()
            .strip_prefix("--")
            .and_then(|l| l.split_once(": light-dark(#"))
        else {
            continue;
        };
        let value = value.trim_end_matches(");");
        let (light, dark) = value.split_once(", #").expect("two colours");
        out.insert(name.to_owned(), [colour(light), colour(dark)]);
    }
    assert!(out.len() > 35, "tokens were not found: {}", out.len());
    out
}

fn colour(hex: &str) -> [f64; 3] {
    [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&hex[at..at + 2], 16).expect("hexadecimal")))
}

/// Relative luminance (WCAG 2.2).
fn luminance(colour: [f64; 3]) -> f64 {
    let [r, g, b] = colour.map(|c| {
        let c = c / 255.0;
        if c <= 0.04045 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

fn assert_contrast(pairs: &[(&str, &str)], least: f64) {
    let tokens = tokens();
    for (front, back) in pairs {
        for (theme, name) in ["light", "dark"].into_iter().enumerate() {
            let ratio = contrast(tokens[*front][theme], tokens[*back][theme]);
            assert!(
                ratio >= least,
                "{front} on {back}, {name}: {ratio:.2} is below {least}"
            );
        }
    }
}

#[test]
fn text_is_readable_wherever_it_stands() {
    assert_contrast(
        &[
            ("ink", "sheet"),
            ("ink", "deck"),
            ("ink", "sunk"),
            ("ink", "raised"),
            ("ink", "hover"),
            ("ink", "warn-soft"),
            ("ink", "bad-soft"),
            ("ink-2", "sheet"),
            ("ink-2", "deck"),
            ("ink-2", "sunk"),
            ("ink-2", "raised"),
            ("ink-2", "hover"),
            ("ink-2", "idle-soft"),
            ("ink-2", "warn-soft"),
            ("ink-3", "sheet"),
            ("ink-3", "deck"),
            ("accent", "sheet"),
            ("accent", "accent-soft"),
            ("accent", "deck"),
            ("on-accent", "accent"),
            ("on-accent", "accent-2"),
            ("ok", "sheet"),
            ("ok", "ok-soft"),
            ("warn", "sheet"),
            ("warn", "warn-soft"),
            ("bad", "sheet"),
            ("bad", "bad-soft"),
        ],
        4.5,
    );
}

#[test]
fn controls_marks_and_lines_stand_out() {
    assert_contrast(
        &[
            ("edge", "sheet"),
            ("idle", "sheet"),
            ("warn-g", "sheet"),
            ("warn-g", "warn-soft"),
            ("accent", "sheet"),
            ("c-1", "sheet"),
            ("c-3", "sheet"),
            ("c-4", "sheet"),
            ("c-5", "sheet"),
            ("q-1", "sheet"),
            ("q-2", "sheet"),
            ("q-3", "sheet"),
            ("q-4", "sheet"),
        ],
        3.0,
    );
}

#[test]
fn every_colour_is_a_token() {
    let mut sheets = Vec::new();
    files(&root().join("style"), "css", &mut sheets);
    let tokens = read(&root().join("style/00-tokens.css"));
    for path in sheets.iter().filter(|p| !p.ends_with("00-tokens.css")) {
        for (at, line) in read(path).lines().enumerate() {
            assert!(
                !line.contains(": #") && !line.contains("rgb("),
                "{}:{}: {line}",
                path.display(),
                at + 1
            );
            for name in line
                .split("var(--")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                assert!(
                    tokens.contains(&format!("--{name}:")),
                    "{}:{}: --{name}",
                    path.display(),
                    at + 1
                );
            }
        }
    }
}

#[test]
fn nothing_inline_that_the_content_security_policy_forbids() {
    let mut sources = vec![
        root().join("index.html"),
        root().join("boot.js"),
        root().join("favicon.svg"),
    ];
    files(&root().join("src"), "rs", &mut sources);
    let forbidden = [
        "style=",
        "style:",
        "<style",
        "inner_html",
        "eval(",
        "javascript:",
        "set_css_text",
        "onclick=",
    ];
    for path in &sources {
        let text = read(path);
        for what in forbidden {
            assert!(!text.contains(what), "{} contains {what}", path.display());
        }
    }
    let page = read(&root().join("index.html"));
    assert_eq!(
        page.matches("<script").count(),
        page.matches("<script src=").count()
    );
    assert!(
        !page.contains("http:") && !page.contains("https:"),
        "everything comes from the manager itself"
    );
}

#[test]
fn the_pieces_that_tests_look_for_are_there() {
    let mut sources = Vec::new();
    files(&root().join("src"), "rs", &mut sources);
    let all: String = sources.iter().map(|path| read(path)).collect();
    for id in [
        "login-token",
        "login-submit",
        "verdict",
        "requests-per-s",
        "node",
        "manager",
        "status-line",
        "live",
    ] {
        assert!(all.contains(&format!("data-testid=\"{id}\"")), "{id}");
    }
}

#[test]
fn fonts_come_with_their_licence() {
    for name in ["OFL-Geist.txt", "OFL-GeistMono.txt"] {
        assert!(read(&root().join("fonts").join(name)).contains("SIL OPEN FONT LICENSE"));
    }
}
