//! What a failure means: for whom it is, what it is called in a condition, and when to try again. The only place that decides it.

use std::time::Duration;

use moorage_crds::condition::reason;

use crate::aws;

/// Who can end a failure, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The spec has to be changed, or something that it names. Our watches tell us when.
    Spec,
    /// Somebody else has what is wanted.
    Conflict,
    /// The operator's credentials, in AWS or Kubernetes, do not suffice.
    Denied,
    /// We were asked to slow down, and perhaps told for how long.
    Throttled {
        /// For how long.
        after: Option<Duration>,
    },
    /// It passes by itself.
    Transient,
}

impl Class {
    /// Whether nothing goes on until a person does something.
    #[must_use]
    pub const fn needs_a_person(self) -> bool {
        match self {
            Self::Spec | Self::Conflict | Self::Denied => true,
            Self::Throttled { .. } | Self::Transient => false,
        }
    }

    /// When to try again, after `attempts` failures in a row (1 for the first). `jitter` is a random number from 0 to 1.
    ///
    /// What a person has to end is looked at rarely, and only because nothing tells us when an IAM policy was changed.
    #[must_use]
    pub fn retry_after(self, attempts: u32, jitter: f64) -> Duration {
        let spread = |longest: Duration| longest.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
        match self {
            Self::Spec => spread(HOURLY),
            Self::Conflict => spread(Duration::from_mins(10)),
            Self::Denied => spread(Duration::from_mins(5)),
            Self::Throttled { after } => spread(backoff(attempts.saturating_add(2)))
                .max(after.unwrap_or_default().min(HOURLY)),
            Self::Transient => spread(backoff(attempts)),
        }
    }
}

/// A watch can lose an event in ways that nobody foresaw; once an hour costs nothing.
const HOURLY: Duration = Duration::from_hours(1);

/// 2 s, 4 s, 8 s … 5 min.
fn backoff(attempts: u32) -> Duration {
    Duration::from_secs(2u64.saturating_pow(attempts.clamp(1, 16)).min(300))
}

/// The class of a failure of AWS, and its name in a condition.
#[must_use]
pub const fn of_aws(kind: &aws::Kind) -> (Class, &'static str) {
    match kind {
        aws::Kind::Denied { .. } => (Class::Denied, reason::ACCESS_DENIED),
        aws::Kind::NoCredentials | aws::Kind::BadCredentials { .. } => {
            (Class::Denied, reason::NO_CREDENTIALS)
        }
        aws::Kind::Throttled { after } => (Class::Throttled { after: *after }, reason::THROTTLED),
        aws::Kind::Unavailable => (Class::Transient, reason::UNAVAILABLE),
        aws::Kind::OwnedElsewhere { .. } => {
            (Class::Conflict, reason::BUCKET_OWNED_BY_ANOTHER_ACCOUNT)
        }
        aws::Kind::LimitExceeded { .. } => (Class::Conflict, reason::LIMIT_EXCEEDED),
        aws::Kind::NotFound | aws::Kind::Conflict { .. } => (Class::Transient, reason::AWS_ERROR),
        aws::Kind::Invalid { .. } => (Class::Conflict, reason::AWS_ERROR),
    }
}

/// The class of a failure of the Kubernetes API, and what to tell people about it.
#[must_use]
pub fn of_kubernetes(error: &kube::Error) -> (Class, String) {
    match error {
        kube::Error::Api(status) => match status.code {
            403 => (
                Class::Denied,
                format!(
                    "the Kubernetes API refuses it to the operator: {}",
                    status.message
                ),
            ),
            400 | 422 => (
                Class::Spec,
                format!("the Kubernetes API refuses it: {}", status.message),
            ),
            _ => (
                Class::Transient,
                format!(
                    "the Kubernetes API answers {}: {}",
                    status.code, status.message
                ),
            ),
        },
        _ => (
            Class::Transient,
            "the Kubernetes API cannot be reached or does not answer".to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(1, 2)]
    #[case(3, 8)]
    #[case(8, 256)]
    #[case(9, 300)]
    #[case(u32::MAX, 300)]
    fn waiting_grows_to_five_minutes(#[case] attempts: u32, #[case] seconds: u64) {
        assert_eq!(
            Class::Transient.retry_after(attempts, 1.0),
            Duration::from_secs(seconds)
        );
        assert_eq!(
            Class::Transient.retry_after(attempts, 0.0),
            Duration::from_secs(seconds) / 2
        );
    }

    #[test]
    fn what_aws_asks_for_is_the_least_that_is_waited() {
        let class = Class::Throttled {
            after: Some(Duration::from_secs(90)),
        };
        assert_eq!(class.retry_after(1, 0.0), Duration::from_secs(90));
    }

    #[test]
    fn throttling_is_waited_out_longer_than_another_failure() {
        let throttled = Class::Throttled { after: None }.retry_after(2, 0.5);
        assert!(
            throttled > Class::Transient.retry_after(2, 0.5),
            "{throttled:?}"
        );
    }
}
