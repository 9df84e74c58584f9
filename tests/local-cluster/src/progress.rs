//! Says what is being done and how long it took, and waits for conditions. Progress goes to standard error; standard output is
//! for what other programs read.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(100);

/// Runs one phase and prints its duration.
pub(crate) fn phase<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    let result = work();
    let outcome = if result.is_ok() { "ok" } else { "FAILED" };
    eprintln!(
        "  {name:<44} {outcome:>6} {:>7.1} s",
        start.elapsed().as_secs_f64()
    );
    result
}

/// A remark below the current phase.
pub(crate) fn note(text: &str) {
    eprintln!("    {text}");
}

/// What one look at a condition found.
pub(crate) enum Seen<T> {
    /// The condition holds.
    Done(T),
    /// It does not hold yet; what was seen instead.
    NotYet(String),
}

/// Looks until the condition holds. Fails at once when `look` fails, and after `patience` with what was seen last.
pub(crate) fn wait_for<T>(
    what: &str,
    patience: Duration,
    mut look: impl FnMut() -> Result<Seen<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        match look()? {
            Seen::Done(value) => return Ok(value),
            Seen::NotYet(seen) if Instant::now() >= deadline => {
                bail!(
                    "gave up waiting for {what} after {} s; last seen: {seen}",
                    patience.as_secs()
                )
            }
            Seen::NotYet(_) => thread::sleep(POLL),
        }
    }
}
