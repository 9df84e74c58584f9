//! `log`: what is written, how, and how much of it.

use std::collections::BTreeMap;

use super::super::{raw::Value, reader::Reader};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line. `logstash` is understood as this.
    Json,
}

/// The least severe event that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Only failures.
    Error,
    /// And what somebody should look at.
    Warn,
    /// And each request. The default, as in distribution.
    Info,
    /// And how each request came to its answer.
    Debug,
    /// And what the libraries do. `trace` is also understood, as distribution's logger does.
    Trace,
}

/// Section `log`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// `log.level`.
    pub level: LogLevel,
    /// `log.formatter`.
    pub format: LogFormat,
    /// `log.fields`: in every line.
    pub fields: BTreeMap<String, String>,
    /// `log.reportcaller`: file and line of the code in every line.
    pub caller: bool,
    /// Whether each request leaves a line: `log.accesslog.disabled`, the other way round.
    pub access: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: LogLevel::Info,
            format: LogFormat::Text,
            fields: BTreeMap::new(),
            caller: false,
            access: true,
        }
    }
}

pub(super) fn read(reader: &mut Reader<'_>) -> Log {
    // Distribution still takes the name from before there was a section.
    let key = if reader.node("loglevel").is_some() && reader.node("log.level").is_none() {
        "loglevel"
    } else {
        "log.level"
    };
    Log {
        level: reader.parsed_or(key, LogLevel::Info, "info", level),
        format: reader.parsed_or(
            "log.formatter",
            LogFormat::Text,
            "text",
            |text| match text {
                "text" => Ok(LogFormat::Text),
                "json" | "logstash" => Ok(LogFormat::Json),
                _ => Err(format!("{text:?} is not a format: text and json are")),
            },
        ),
        fields: fields(reader),
        caller: reader.flag("log.reportcaller", false),
        access: !reader.flag("log.accesslog.disabled", false),
    }
}

fn level(text: &str) -> Result<LogLevel, String> {
    match text.to_ascii_lowercase().as_str() {
        "error" | "fatal" | "panic" => Ok(LogLevel::Error),
        "warn" | "warning" => Ok(LogLevel::Warn),
        "info" => Ok(LogLevel::Info),
        "debug" => Ok(LogLevel::Debug),
        "trace" => Ok(LogLevel::Trace),
        _ => Err(format!(
            "{text:?} is not a level: error, warn, info, debug and trace are"
        )),
    }
}

fn fields(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    let mut fields = BTreeMap::new();
    for name in reader.names("log.fields") {
        // A name may have dots in it, so this goes by entries and not by a path.
        let value = reader
            .node("log.fields")
            .and_then(|node| node.entry(&name))
            .map(|node| node.value.clone());
        match value {
            Some(Value::Scalar(text)) => {
                reader.note("log.fields", format_args!("{name}={text}"));
                fields.insert(name, text);
            }
            Some(Value::Null) | None => {}
            Some(Value::List(_) | Value::Map(_)) => {
                reader.problem("log.fields", format!("{name:?} should have a single value"));
            }
        }
    }
    fields
}
