//! Log lines: `NODE 2017/02/13 - 18:18:23.290 ▶ INFO message`, local time, on standard error.

use std::fmt::{self, Write};

use jiff::Zoned;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Sends logs to standard error. `filter` is a level or a list of `target=level`.
pub fn init(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.event_format(NodeForm).init(),
        LogFormat::Json => builder.json().init(),
    }
}

struct NodeForm;

impl<S, N> FormatEvent<S, N> for NodeForm
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
        let mut text = Text::default();
        event.record(&mut text);
        let level = *event.metadata().level();
        writeln!(writer, "{}", line(&Zoned::now(), level, &text))
    }
}

#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // One event, one line: whoever sends us text must not forge others.
        let text = format!("{value:?}").replace(['\n', '\r'], " ");
        match field.name() {
            "message" => self.message = text,
            name if name.starts_with("log.") => {}
            name => {
                let _ = write!(self.fields, " {name}={text}");
            }
        }
    }
}

/// Levels are cut to six letters, as in the documents of 2017.
fn line(now: &Zoned, level: Level, text: &Text) -> String {
    let level = match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNIN",
        Level::INFO => "INFO",
        _ => "DEBUG",
    };
    let time = now.strftime("%Y/%m/%d - %H:%M:%S%.3f");
    format!("NODE {time} ▶ {level} {}{}", text.message, text.fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_of_the_documents() -> Result<(), jiff::Error> {
        let time: Zoned = "2026-11-21T18:18:23.290[UTC]".parse()?;
        let text = Text {
            message: "serving".into(),
            fields: " number=3".into(),
        };
        assert_eq!(
            line(&time, Level::WARN, &text),
            "NODE 2026/11/21 - 18:18:23.290 ▶ WARNIN serving number=3"
        );
        Ok(())
    }
}
