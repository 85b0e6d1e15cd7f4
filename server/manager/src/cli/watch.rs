//! Answers that are printed again and again, until Ctrl-C.

use std::{future::Future, io::Write, time::Duration};

use super::{Output, table};

/// `--watch`, alone or with seconds.
#[derive(Clone, Copy, clap::Args)]
pub struct Watch {
    /// Ask again every so many seconds until Ctrl-C; with json and yaml one document each time [alone: 2]
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2", require_equals = true,
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub watch: Option<u64>,
}

impl Watch {
    /// Shows what `ask` gives: once, and then its error is the end; or again and again, and then an error is shown until
    /// the next answer.
    pub async fn show<F>(self, output: Output, ask: impl Fn() -> F) -> anyhow::Result<()>
    where
        F: Future<Output = anyhow::Result<String>>,
    {
        let Some(seconds) = self.watch else {
            println!("{}", ask().await?);
            return Ok(());
        };
        let screen = output == Output::Table && table::has_colours();
        loop {
            let text = match ask().await {
                Ok(text) => text,
                Err(error) if output == Output::Table => format!("{error:#}"),
                Err(error) => {
                    eprintln!("krakend-cluster-manager: {error:#}");
                    String::new()
                }
            };
            let mut out = std::io::stdout().lock();
            let written = match (screen, output) {
                (true, _) => write!(out, "\x1b[H\x1b[2J{text}\n\n{}\n", footer(seconds)),
                (false, Output::Table) => write!(out, "{text}\n\n"),
                (false, _) if text.is_empty() => Ok(()),
                (false, Output::Yaml) => writeln!(out, "---\n{text}"),
                (false, Output::Json) => writeln!(out, "{text}"),
            };
            // A reader that has gone, such as `head`, has seen enough.
            if written.and_then(|()| out.flush()).is_err() {
                return Ok(());
            }
            drop(out);
            tokio::time::sleep(Duration::from_secs(seconds)).await;
        }
    }
}

fn footer(seconds: u64) -> String {
    let now = jiff::Zoned::now().strftime("%H:%M:%S").to_string();
    format!("{now}, again every {seconds} s; Ctrl-C ends it")
}
