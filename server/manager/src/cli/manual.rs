//! Shell completion and manual pages, made from the same definition as the help.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Command, CommandFactory};
use clap_complete::Shell;

use super::Arguments;

const NAME: &str = "krakend-cluster-manager";

/// `completion SHELL`
pub fn completion(shell: Shell) {
    let mut definition = Arguments::command();
    clap_complete::generate(shell, &mut definition, NAME, &mut std::io::stdout());
}

/// `man DIR`: one page for the program and one for each command.
pub fn pages(directory: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)
        .with_context(|| format!("making {}", directory.display()))?;
    let mut definition = Arguments::command();
    definition.build();
    let mut written = Vec::new();
    write(&definition, NAME, directory, &mut written)?;
    println!("{} pages in {}", written.len(), directory.display());
    Ok(())
}

fn write(
    command: &Command,
    name: &str,
    directory: &Path,
    written: &mut Vec<PathBuf>,
) -> anyhow::Result<()> {
    let path = directory.join(format!("{name}.1"));
    let mut page = Vec::new();
    let titled = command.clone().display_name(name.to_owned());
    clap_mangen::Man::new(titled)
        .title(name.to_owned())
        .render(&mut page)?;
    std::fs::write(&path, page).with_context(|| format!("writing {}", path.display()))?;
    written.push(path);
    let commands = command.get_subcommands().filter(|it| !it.is_hide_set());
    for command in commands.filter(|it| it.get_name() != "help") {
        let name = format!("{name}-{}", command.get_name());
        write(command, &name, directory, written)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_is_completed() {
        let dir = tempfile::tempdir().expect("a directory");
        pages(dir.path()).expect("written");
        for (page, text) in [
            (NAME, "EXIT CODES"),
            ("krakend-cluster-manager-nodes-drain", "traffic"),
            ("krakend-cluster-manager-config-wait", "acknowledged"),
        ] {
            let found = std::fs::read_to_string(dir.path().join(format!("{page}.1")));
            let found = found.expect(page).to_uppercase();
            assert!(found.contains(&text.to_uppercase()), "{page}");
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut script);
            let script = String::from_utf8(script).expect("text");
            assert!(script.contains("undrain"), "{shell}");
        }
    }
}
