//! Tools in Python that read the API's description as strangers do, in a virtual environment in the user's cache.

use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

const FOLDER: &str = "contract-venv";
const TOOLS: [&str; 3] = [
    "schemathesis==4.32.5",
    "openapi-spec-validator==0.9.0",
    "openapi-python-client==0.29.1",
];

/// Installs them, once.
///
/// # Errors
/// With `CI=true` there is no Python, or the installation fails.
pub fn ensure() -> Result<()> {
    let dir = run::cache_dir()?.join(FOLDER);
    let done = dir.join("installed");
    let wanted = TOOLS.join("\n");
    if std::fs::read_to_string(&done).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let Some(python) = run::on_path("python3") else {
        if run::is_ci() {
            bail!("there is no python3 on the PATH; with CI=true that is a failure");
        }
        eprintln!("setup: no python3 on the PATH; the contract tests of the API are left out");
        return Ok(());
    };
    eprintln!("installing the tools of the contract tests, once; about a minute");
    let installed = run::run(Command::new(python).args(["-m", "venv"]).arg(&dir)).and_then(|()| {
        let mut pip = Command::new(dir.join("bin/python"));
        run::run(pip.args(["-m", "pip", "install", "--quiet"]).args(TOOLS))
    });
    match installed {
        Ok(()) => Ok(std::fs::write(done, wanted)?),
        Err(error) if !run::is_ci() => {
            eprintln!("setup: the contract tests of the API are left out: {error:#}");
            Ok(())
        }
        Err(error) => Err(error),
    }
}
