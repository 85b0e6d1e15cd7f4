//! Log lines in the form of the documents of 2017: `CM  2017/02/13 - 18:18:23.290 ▶ INFO message`.

use std::fmt::{self, Write};

use jiff::Zoned;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter,
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Sends logs to standard error. `filter` is a level or a list of `target=level`.
pub fn init(format: LogFormat, filter: &str) {
    // Libraries speak of their inner life at `info`; a plain level means this program's own.
    let quiet = format!(
        "warn,openraft=error,raft_log=warn,krakend={filter},krakend_cluster_manager={filter},krakend_raft={filter},krakend_storage={filter},krakend_gossip={filter}"
    );
    let plain = filter.parse::<Level>().is_ok();
    let chosen = if plain { quiet.as_str() } else { filter };
    let filter = EnvFilter::try_new(chosen).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.event_format(SeedForm).init(),
        LogFormat::Json => builder.json().init(),
    }
}

struct SeedForm;

impl<S, N> FormatEvent<S, N> for SeedForm
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = Line::default();
        event.record(&mut line);
        let now = Zoned::now();
        writeln!(
            writer,
            "{}",
            seed_line(&now, *event.metadata().level(), &line.message, &line.fields)
        )
    }
}

/// One line. Levels are cut to six letters, as go-logging's `%{level:.6s}` does.
fn seed_line(now: &Zoned, level: Level, message: &str, fields: &str) -> String {
    let level = match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNIN",
        Level::INFO => "INFO",
        Level::DEBUG | Level::TRACE => "DEBUG",
    };
    let time = now.strftime("%Y/%m/%d - %H:%M:%S%.3f");
    format!("CM  {time} ▶ {level} {message}{fields}")
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}").replace('\n', " ");
        if field.name() == "message" {
            self.message = text;
        } else if !field.name().starts_with("log.") {
            let _ = write!(self.fields, " {}={text}", field.name());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_of_the_documents() {
        let time: Zoned = "2017-02-13T18:18:23.290[UTC]".parse().expect("a time");
        let text =
            "Sending the limits to the krakend: krakend_3f20a44d-3d93-4bc9-829b-b76b22055142";
        assert_eq!(
            seed_line(&time, Level::INFO, text, ""),
            format!("CM  2017/02/13 - 18:18:23.290 ▶ INFO {text}")
        );
        assert!(seed_line(&time, Level::WARN, "x", "").contains("▶ WARNIN x"));
    }
}
