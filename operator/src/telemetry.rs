//! Logs. What is logged where is decided where it happens; this module only sets up how.

use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::args::{LogArgs, LogFormat};

/// Starts logging to standard error. A filter that cannot be understood is replaced by `info`, and that is logged.
pub fn init(args: &LogArgs) {
    let LogArgs { log, log_format } = args;
    let parsed = EnvFilter::try_new(log);
    let problem = parsed.as_ref().err().map(ToString::to_string);
    let filter = parsed.unwrap_or_else(|_| EnvFilter::new("info"));
    let registry = tracing_subscriber::registry().with(filter);
    let started = match log_format {
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
        LogFormat::Text => registry
            .with(fmt::layer().with_writer(std::io::stderr))
            .try_init(),
    };
    if started.is_ok()
        && let Some(problem) = problem
    {
        tracing::warn!(%problem, filter = log, "the log filter cannot be understood; using `info`");
    }
}
