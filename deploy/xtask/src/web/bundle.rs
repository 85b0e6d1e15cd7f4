//! From the build's output to `web/dist`: names with a digest, compressed copies, a manifest.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

const FONTS: [&str; 2] = [
    "geist-latin-wght-normal.woff2",
    "geist-mono-latin-wght-normal.woff2",
];

/// What is in `web/dist`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Sum of what a browser loads.
    pub gzip_bytes: u64,
    pub files: Vec<File>,
}

/// One file that a browser loads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// Relative to `web/dist`.
    pub path: String,
    pub bytes: u64,
    /// Size as it travels; fonts are compressed in themselves.
    pub gzip_bytes: u64,
    /// The name changes with the content: may be kept for ever.
    pub immutable: bool,
}

/// Replaces `dist` by the files of `web` and of wasm-bindgen's output `built`.
///
/// # Errors
/// A file cannot be read or written.
pub fn write(web: &Path, built: &Path, dist: &Path) -> Result<()> {
    let mut bundle = Bundle::default();
    for font in FONTS {
        bundle.add(font, read(&web.join("fonts").join(font))?);
    }
    bundle.add("favicon.svg", read(&web.join("favicon.svg"))?);
    let style = bundle.rename(&style(&web.join("style"))?);
    bundle.add("app.css", style.into_bytes());
    bundle.add("app_bg.wasm", read(&built.join("app_bg.wasm"))?);
    let module = bundle.rename(&text(&built.join("app.js"))?);
    bundle.add("app.js", module.into_bytes());
    let boot = bundle.rename(&text(&web.join("boot.js"))?);
    bundle.add("boot.js", boot.into_bytes());
    let page = bundle.rename(&text(&web.join("index.html"))?);
    bundle.store(dist, page.as_bytes())
}

/// All style sheets in the order of their names.
fn style(folder: &Path) -> Result<String> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    let mut sheets: Vec<_> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    sheets.retain(|path| path.extension().is_some_and(|e| e == "css"));
    sheets.sort();
    let parts: Result<Vec<String>> = sheets.iter().map(|path| text(path)).collect();
    Ok(parts?.join("\n"))
}

#[derive(Default)]
struct Bundle {
    /// Plain name to name with digest.
    names: BTreeMap<String, String>,
    /// Name with digest to content.
    contents: BTreeMap<String, Vec<u8>>,
}

impl Bundle {
    fn add(&mut self, name: &str, content: Vec<u8>) {
        let digest: String = Sha256::digest(&content)
            .iter()
            .take(5)
            .map(|b| format!("{b:02x}"))
            .collect();
        let (stem, extension) = name.rsplit_once('.').unwrap_or((name, ""));
        let hashed = format!("{stem}-{digest}.{extension}");
        self.names.insert(name.to_owned(), hashed.clone());
        self.contents.insert(hashed, content);
    }

    /// Puts the names with digest where the plain ones stand.
    fn rename(&self, text: &str) -> String {
        self.names
            .iter()
            .fold(text.to_owned(), |text, (plain, hashed)| {
                text.replace(plain, hashed)
            })
    }

    fn store(self, dist: &Path, page: &[u8]) -> Result<()> {
        let assets = dist.join("assets");
        if dist.exists() {
            std::fs::remove_dir_all(dist).with_context(|| format!("clear {}", dist.display()))?;
        }
        std::fs::create_dir_all(&assets).with_context(|| format!("create {}", assets.display()))?;
        let mut manifest = Manifest::default();
        for (name, content) in &self.contents {
            let path = format!("assets/{name}");
            manifest.files.push(store(dist, path, content, true)?);
        }
        manifest
            .files
            .push(store(dist, "index.html".to_owned(), page, false)?);
        manifest.gzip_bytes = manifest.files.iter().map(|f| f.gzip_bytes).sum();
        let json = serde_json::to_vec_pretty(&manifest)?;
        std::fs::write(dist.join("manifest.json"), json).context("write web/dist/manifest.json")
    }
}

fn store(dist: &Path, path: String, content: &[u8], immutable: bool) -> Result<File> {
    let file = dist.join(&path);
    std::fs::write(&file, content).with_context(|| format!("write {}", file.display()))?;
    let bytes = content.len() as u64;
    let mut gzip_bytes = bytes;
    if !path.ends_with(".woff2") {
        let packed = gzip(content)?;
        gzip_bytes = packed.len() as u64;
        let packed_path = dist.join(format!("{path}.gz"));
        std::fs::write(&packed_path, packed)
            .with_context(|| format!("write {}", packed_path.display()))?;
    }
    Ok(File {
        path,
        bytes,
        gzip_bytes,
        immutable,
    })
}

/// As small as gzip can be: a twentieth smaller than what the usual encoders reach at their best.
fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let options = zopfli::Options {
        iteration_count: NonZeroU64::new(5).context("five is not zero")?,
        ..zopfli::Options::default()
    };
    let mut packed = Vec::new();
    zopfli::compress(options, zopfli::Format::Gzip, content, &mut packed).context("compress")?;
    Ok(packed)
}

/// The manifest of what was built before.
///
/// # Errors
/// It is missing or unreadable.
pub fn read_manifest(dist: &Path) -> Result<Manifest> {
    let path = dist.join("manifest.json");
    serde_json::from_slice(&read(&path)?).with_context(|| {
        format!(
            "{} is damaged: run `cargo xtask web --force`",
            path.display()
        )
    })
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("read {}", path.display()))
}

fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_file_changes_every_name_above_it() {
        let names = |wasm: &[u8]| {
            let mut bundle = Bundle::default();
            bundle.add("app_bg.wasm", wasm.to_vec());
            let boot = bundle.rename("load('/assets/app_bg.wasm')");
            bundle.add("boot.js", boot.into_bytes());
            bundle.rename("<script src=\"/assets/boot.js\">")
        };
        assert_ne!(names(b"one"), names(b"two"));
        assert_eq!(names(b"one"), names(b"one"));
    }

    #[test]
    fn names_of_one_file_inside_another_are_not_confused() {
        let mut bundle = Bundle::default();
        bundle.add("app.js", b"x".to_vec());
        bundle.add("app_bg.wasm", b"y".to_vec());
        let text = bundle.rename("app.js app_bg.wasm");
        assert_eq!(text.matches("app-").count(), 1, "{text}");
        assert_eq!(text.matches("app_bg-").count(), 1, "{text}");
    }
}
