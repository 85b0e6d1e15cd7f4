//! A real KrakenD: one on the `PATH`, or the reference KrakenD, built once into the user's cache.

use std::path::PathBuf;

use anyhow::Result;

use crate::{golang, run};

const VERSION_FLAG: &str = "-X github.com/luraproject/lura/v2/core.KrakendVersion=2.13.8";

/// Where it is, building it when that can be done; nothing when there is neither KrakenD nor Go.
///
/// # Errors
/// The build fails.
pub fn ensure() -> Result<Option<PathBuf>> {
    let named = std::env::var_os("KRAKEND_BIN")
        .map(PathBuf::from)
        .filter(|path| path.is_file());
    if let Some(found) = named.or_else(|| run::on_path("krakend")) {
        return Ok(Some(found));
    }
    golang::ensure(&golang::Program {
        name: "krakend",
        what: "the reference KrakenD",
        sources: "deploy/reference-krakend",
        flags: &["-ldflags", VERSION_FLAG],
    })
}
