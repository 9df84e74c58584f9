//! The log: one line for each event, to standard error, as text or as JSON.
//!
//! What is worth a line is decided where it happens; here is only how it looks and how much of it there is.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
    io::IsTerminal,
};

use tracing::{Event, Subscriber};
use tracing_subscriber::{
    EnvFilter,
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::{Format, Writer},
    },
    registry::LookupSpan,
};

use crate::config::{Environment, Log, LogFormat, LogLevel};

/// The variable that says in the terms of `tracing` what is logged. Wins over `log.level`.
const FILTER_VARIABLE: &str = "RUST_LOG";

/// Keeps the line that each request leaves out of the log.
const ACCESS_LOG_OFF: &str = ",moorage::access=off";

/// Begins to write events to standard error. Only the first call in a process counts.
pub fn init(log: &Log, environment: &Environment) {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter(log, environment))
        .with_writer(std::io::stderr);
    // The second call, in a process of many tests, changes nothing, and there is nobody to tell.
    let _ = match log.format {
        LogFormat::Text => {
            let ansi = std::io::stderr().is_terminal();
            let format = Format::default()
                .with_ansi(ansi)
                .with_file(log.caller)
                .with_line_number(log.caller);
            let fields = text_fields(&log.fields);
            let subscriber = subscriber
                .with_ansi(ansi)
                .event_format(Text { format, fields });
            tracing::subscriber::set_global_default(subscriber.finish())
        }
        LogFormat::Json => {
            let format = Format::default()
                .json()
                .flatten_event(true)
                .with_current_span(true)
                .with_span_list(false);
            let format = format.with_file(log.caller).with_line_number(log.caller);
            let subscriber = subscriber.json().event_format(Json {
                format,
                fields: json_fields(&log.fields),
            });
            tracing::subscriber::set_global_default(subscriber.finish())
        }
    };
}

fn filter(log: &Log, environment: &Environment) -> EnvFilter {
    if let Some(filter) = environment
        .get(FILTER_VARIABLE)
        .and_then(|filter| EnvFilter::try_new(filter).ok())
    {
        return filter;
    }
    let level = match log.level {
        LogLevel::Error => "error",
        LogLevel::Warn => "warn",
        LogLevel::Info => "info",
        // The libraries' own diary is for those who ask for everything.
        LogLevel::Debug => "info,moorage_registry_server=debug",
        LogLevel::Trace => "trace",
    };
    let access = if log.access { "" } else { ACCESS_LOG_OFF };
    EnvFilter::new(format!("{level}{access}"))
}

fn text_fields(fields: &BTreeMap<String, String>) -> String {
    fields
        .iter()
        .fold(String::new(), |mut text, (name, value)| {
            let _ = write!(text, " {name}={value}");
            text
        })
}

fn json_fields(fields: &BTreeMap<String, String>) -> String {
    fields
        .iter()
        .fold(String::new(), |mut text, (name, value)| {
            let _ = write!(
                text,
                "{}:{},",
                serde_json::Value::from(name.as_str()),
                serde_json::Value::from(value.as_str())
            );
            text
        })
}

/// The usual line with the configured fields at its end.
struct Text<F> {
    format: F,
    fields: String,
}

impl<S, N, F> FormatEvent<S, N> for Text<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.format
            .format_event(ctx, Writer::new(&mut line), event)?;
        writeln!(writer, "{}{}", line.trim_end(), self.fields)
    }
}

/// The usual object with the configured fields at its front.
struct Json<F> {
    format: F,
    fields: String,
}

impl<S, N, F> FormatEvent<S, N> for Json<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = String::new();
        self.format
            .format_event(ctx, Writer::new(&mut line), event)?;
        match line.strip_prefix('{') {
            Some(rest) => write!(writer, "{{{}{rest}", self.fields),
            None => writer.write_str(&line),
        }
    }
}
