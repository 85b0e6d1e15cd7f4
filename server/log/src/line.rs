//! `CM  2017/02/13 - 18:18:23.290 ▶ INFO message`, local time.

use std::fmt::{self, Write};

use jiff::Zoned;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Begins with the program's prefix.
pub struct SeedForm(pub &'static str);

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
        let text = Text::of(event);
        let level = *event.metadata().level();
        writeln!(writer, "{}", line(self.0, &Zoned::now(), level, &text))
    }
}

/// What an event says, on one line.
#[derive(Default)]
pub struct Text {
    message: String,
    fields: String,
}

impl Text {
    pub fn of(event: &Event<'_>) -> Self {
        let mut text = Self::default();
        event.record(&mut text);
        text
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.message, self.fields)
    }
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

/// Levels are cut to six letters, as go-logging's `%{level:.6s}` does.
fn line(prefix: &str, now: &Zoned, level: Level, text: &Text) -> String {
    let level = match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARNIN",
        Level::INFO => "INFO",
        _ => "DEBUG",
    };
    let time = now.strftime("%Y/%m/%d - %H:%M:%S%.3f");
    format!("{prefix} {time} ▶ {level} {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_the_form_of_the_documents() {
        let time: Zoned = "2017-02-13T18:18:23.290[UTC]".parse().expect("a time");
        let message =
            "Sending the limits to the krakend: krakend_3f20a44d-3d93-4bc9-829b-b76b22055142";
        let mut text = Text {
            message: message.into(),
            fields: String::new(),
        };
        assert_eq!(
            line("CM ", &time, Level::INFO, &text),
            format!("CM  2017/02/13 - 18:18:23.290 ▶ INFO {message}")
        );
        text.fields = " number=3".into();
        let line = line("NODE", &time, Level::WARN, &text);
        assert!(line.starts_with("NODE 2017/02/13 - 18:18:23.290 ▶ WARNIN Sending"));
        assert!(line.ends_with(" number=3"));
    }
}
