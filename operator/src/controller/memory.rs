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
    /// The last look at AWS, whether all was well or not. `None` when there was none since the start.
    pub look: Option<Look>,
    /// Looks in a row that found something wrong.
    pub bad_looks: u32,
    /// Reconciles in a row that were held up by something else than AWS.
    pub failures: u32,
    /// Reconciles in a row that found pods that do not serve yet.
    pub unsettled: u32,
    /// Digests of (user, password, hash) that are known to fit together, so that no idle reconcile pays for bcrypt.
    pub verified: Vec<[u8; 32]>,
}

/// A look at AWS, after which everything was as it should be, or something was in the way.
#[derive(Clone, Debug)]
pub struct Look {
    /// Of what was wanted.
    pub fingerprint: String,
    /// Value of the annotation that asks for another look.
    pub asked: Option<String>,
    /// When to look again: after the resync period, or when a failure is tried again. Until then no event makes a difference.
    pub until: Instant,
    /// What was found.
    pub facts: CloudFacts,
}

/// Why AWS has to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Never looked at since the start.
    Unknown,
    /// Something else is wanted than then; a lost access key is that too.
    Changed,
    /// The annotation has a new value.
    Asked,
    /// It is time.
    Time,
}

impl Remembered {
    /// Whether, and why, AWS has to be looked at. An idle registry costs no call.
    #[must_use]
    pub fn due(&self, now: Instant, fingerprint: &str, asked: Option<&str>) -> Option<Due> {
        match &self.look {
            None => Some(Due::Unknown),
            Some(look) if look.fingerprint != fingerprint => Some(Due::Changed),
            Some(look) if look.asked.as_deref() != asked => Some(Due::Asked),
            Some(look) if look.until <= now => Some(Due::Time),
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

    fn looked(until: Instant) -> Remembered {
        Remembered {
            look: Some(Look {
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
            looked(now + Duration::from_secs(1)).due(now, "wanted", Some("1")),
            None
        );
    }

    #[test]
    fn each_reason_to_look_is_found() {
        let now = Instant::now();
        let later = looked(now + Duration::from_secs(1));
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
        assert_eq!(looked(now).due(now, "wanted", Some("1")), Some(Due::Time));
    }

    #[test]
    fn registries_are_spread_over_the_last_fifth_of_the_period() {
        let period = Duration::from_secs(100);
        assert_eq!(resync_after(period, 0.0), Duration::from_secs(100));
        assert_eq!(resync_after(period, 1.0), Duration::from_secs(80));
    }
}
