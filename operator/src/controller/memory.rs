//! What the operator remembers of a registry between two reconciles. Nothing here is needed to be right, only to be quiet:
//! after a restart it is empty, and each registry is looked at once.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::cloud::CloudFacts;

/// What is remembered of one registry.
#[derive(Clone, Debug, Default)]
pub struct Remembered {
    /// When AWS was last found, or made, as it should be. `None` when it never was, or when the last attempt failed.
    pub converged: Option<Converged>,
    /// Failures in a row.
    pub failures: u32,
    /// Digests of (user, password, hash) that are known to fit together, so that no idle reconcile pays for bcrypt.
    pub verified: Vec<[u8; 32]>,
}

/// That AWS was as it should be.
#[derive(Clone, Debug)]
pub struct Converged {
    /// Of what was wanted.
    pub fingerprint: String,
    /// Value of the annotation that asks for another look.
    pub asked: Option<String>,
    /// When it has to be looked at again.
    pub until: Instant,
    /// What was found.
    pub facts: CloudFacts,
}

/// Why AWS has to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Never looked at since the start, or the last attempt failed.
    Unknown,
    /// Something else is wanted than then; a lost access key is that too.
    Changed,
    /// The annotation has a new value.
    Asked,
    /// The resync period is over.
    Period,
}

impl Remembered {
    /// Whether, and why, AWS has to be looked at. An idle registry costs no call.
    #[must_use]
    pub fn due(&self, now: Instant, fingerprint: &str, asked: Option<&str>) -> Option<Due> {
        match &self.converged {
            None => Some(Due::Unknown),
            Some(converged) if converged.fingerprint != fingerprint => Some(Due::Changed),
            Some(converged) if converged.asked.as_deref() != asked => Some(Due::Asked),
            Some(converged) if converged.until <= now => Some(Due::Period),
            Some(_) => None,
        }
    }
}

/// When to look again: after `period`, or up to a fifth earlier, so that a thousand registries do not ask at once. `jitter` is a
/// random number from 0 to 1.
#[must_use]
pub fn resync_after(period: Duration, jitter: f64) -> Duration {
    period.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 5.0)
}

/// What is remembered of each registry, by uid.
#[derive(Debug, Default)]
pub struct Memory(Mutex<HashMap<String, Remembered>>);

impl Memory {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Remembered>> {
        // A value that was being replaced when a thread died is whole: it is swapped, not edited.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is remembered of one registry; the default when nothing is.
    #[must_use]
    pub fn recall(&self, uid: &str) -> Remembered {
        self.lock().get(uid).cloned().unwrap_or_default()
    }

    /// Remembers.
    pub fn remember(&self, uid: &str, remembered: Remembered) {
        self.lock().insert(uid.to_owned(), remembered);
    }

    /// Forgets a registry that is gone.
    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converged(until: Instant) -> Remembered {
        Remembered {
            converged: Some(Converged {
                fingerprint: "wanted".to_owned(),
                asked: Some("1".to_owned()),
                until,
                facts: CloudFacts::default(),
            }),
            ..Remembered::default()
        }
    }

    #[test]
    fn an_idle_registry_is_not_looked_at() {
        let now = Instant::now();
        assert_eq!(
            converged(now + Duration::from_secs(1)).due(now, "wanted", Some("1")),
            None
        );
    }

    #[test]
    fn each_reason_to_look_is_found() {
        let now = Instant::now();
        let later = converged(now + Duration::from_secs(1));
        assert_eq!(
            Remembered::default().due(now, "wanted", None),
            Some(Due::Unknown)
        );
        assert_eq!(
            later.due(now, "something else", Some("1")),
            Some(Due::Changed)
        );
        assert_eq!(later.due(now, "wanted", Some("2")), Some(Due::Asked));
        assert_eq!(later.due(now, "wanted", None), Some(Due::Asked));
        assert_eq!(
            converged(now).due(now, "wanted", Some("1")),
            Some(Due::Period)
        );
    }

    #[test]
    fn registries_are_spread_over_the_last_fifth_of_the_period() {
        let period = Duration::from_secs(100);
        assert_eq!(resync_after(period, 0.0), Duration::from_secs(100));
        assert_eq!(resync_after(period, 1.0), Duration::from_secs(80));
    }
}
