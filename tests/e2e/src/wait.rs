//! Waiting for a condition, with a deadline and with the reason why it was not met.

use std::{
    fmt::Display,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How long anything on the local cluster may take: two cores, shared with a whole control plane.
pub const PATIENCE: Duration = Duration::from_mins(3);

const POLL: Duration = Duration::from_millis(300);

/// Asks again and again until `attempt` succeeds, for at most [`PATIENCE`].
///
/// # Errors
/// The last answer, when time is up.
pub async fn eventually<T, E: Display>(
    what: &str,
    attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T> {
    eventually_within(PATIENCE, what, attempt).await
}

/// [`eventually`], with a patience of its own.
///
/// # Errors
/// The last answer, when time is up.
pub async fn eventually_within<T, E: Display>(
    patience: Duration,
    what: &str,
    mut attempt: impl AsyncFnMut() -> Result<T, E>,
) -> Result<T> {
    let started = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if started.elapsed() > patience => {
                bail!(
                    "waited {} s for: {what}; the last answer was: {error:#}",
                    patience.as_secs()
                )
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Watches that something does not come about for as long as `period`.
///
/// # Errors
/// The first time `check` fails, with its reason.
pub async fn never_within(
    period: Duration,
    mut check: impl AsyncFnMut() -> Result<()>,
) -> Result<()> {
    let started = Instant::now();
    while started.elapsed() < period {
        check().await?;
        tokio::time::sleep(POLL).await;
    }
    Ok(())
}
