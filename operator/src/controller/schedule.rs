//! When to come back to a registry. Pure, but for what it counts in the memory.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kube::{ResourceExt, core::DeserializeGuard, runtime::controller::Action};
use moorage_crds::ContainerRegistry;

use super::{
    memory::Remembered,
    report::{Part, Report, State},
    steps::{self, Taken},
};
use crate::{context::Context, error::Class};

/// How far the steps of a reconcile got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reached {
    /// To their end, or to where only AWS is waited for.
    End,
    /// Past AWS, and then something of this class was in the way.
    Cloud(Class),
    /// Not as far as AWS.
    Start(Class),
}

impl Reached {
    pub(super) fn of(taken: &Result<Taken, steps::Error>, report: &Report) -> Self {
        match taken {
            Ok(Taken::Through) => Self::End,
            Ok(Taken::Held) => Self::Start(
                report
                    .failure()
                    .map_or(Class::Transient, |(_, class, _)| class),
            ),
            Err(error) if error.is_before_the_cloud() => Self::Start(error.class()),
            Err(error) => Self::Cloud(error.class()),
        }
    }
}

/// After which time to come back: at the first of the moments at which something may be different.
pub(super) fn come_back(
    remembered: &mut Remembered,
    report: &Report,
    reached: Reached,
    now: Instant,
    jitter: f64,
) -> Duration {
    let mut moments = Vec::new();
    let (reached_the_cloud, held) = match reached {
        Reached::End => (true, None),
        Reached::Cloud(class) => (true, Some(class)),
        Reached::Start(class) => (false, Some(class)),
    };
    // A look that is over and could not be made again would be over the next time too.
    if let Some(look) = remembered.look.as_ref().filter(|_| reached_the_cloud) {
        moments.push(look.until.saturating_duration_since(now));
    }
    remembered.failures = held.map_or(0, |_| remembered.failures.saturating_add(1));
    if let Some(class) = held {
        let again = class.retry_after(remembered.failures, jitter);
        // A name or a bucket that another object has: to look again costs no call to AWS, and nothing tells us when it is free.
        moments.push(if class == Class::Conflict {
            again.min(Duration::from_mins(1))
        } else {
            again
        });
    }
    let pods = report
        .findings
        .get(&Part::Server)
        .map(|finding| finding.state);
    let settled = matches!(pods, None | Some(State::Ready | State::Off));
    remembered.unsettled = if settled {
        0
    } else {
        remembered.unsettled.saturating_add(1)
    };
    if !settled {
        moments.push(pods_again(remembered.unsettled));
    }
    let first = moments.into_iter().min().unwrap_or(Duration::from_hours(1));
    first.max(Duration::from_secs(1))
}

/// When to look at pods again that do not serve yet: pods that cannot pull their image wake nobody. 5 s, 10 s, 20 s … 2 min.
fn pods_again(looks: u32) -> Duration {
    Duration::from_secs(
        5u64.saturating_mul(2u64.saturating_pow(looks.clamp(1, 16) - 1))
            .min(120),
    )
}

/// When a reconcile failed without a status: the log has it, and it is tried again.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the runtime's"
)]
pub(super) fn error_policy(
    guard: Arc<DeserializeGuard<ContainerRegistry>>,
    _error: &super::Error,
    ctx: Arc<Context>,
) -> Action {
    let uid = guard.uid().unwrap_or_default();
    let mut remembered = ctx.memory.recall(&uid);
    remembered.failures = remembered.failures.saturating_add(1);
    let after = Class::Transient.retry_after(remembered.failures, rand::random());
    ctx.memory.remember(&uid, remembered);
    Action::requeue(after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::controller::{cloud::CloudFacts, memory::Look, report::Finding};

    fn looked(until: Instant) -> Remembered {
        Remembered {
            look: Some(Look {
                fingerprint: String::new(),
                asked: None,
                until,
                facts: CloudFacts::default(),
            }),
            ..Remembered::default()
        }
    }

    #[test]
    fn a_look_that_is_over_counts_only_where_it_could_be_made_again() {
        let now = Instant::now();
        let after = |reached| come_back(&mut looked(now), &Report::default(), reached, now, 1.0);
        assert_eq!(after(Reached::End), Duration::from_secs(1));
        assert_eq!(after(Reached::Cloud(Class::Spec)), Duration::from_secs(1));
        assert_eq!(after(Reached::Start(Class::Spec)), Duration::from_hours(1));
    }

    #[test]
    fn what_another_object_has_is_looked_at_each_minute() {
        let now = Instant::now();
        let mut remembered = looked(now + Duration::from_hours(2));
        let reached = Reached::Start(Class::Conflict);
        let after = come_back(&mut remembered, &Report::default(), reached, now, 1.0);
        assert_eq!(after, Duration::from_mins(1));
        assert_eq!(remembered.failures, 1);
    }

    #[test]
    fn pods_that_do_not_serve_are_looked_at_less_and_less() {
        let now = Instant::now();
        let mut remembered = looked(now + Duration::from_hours(2));
        let mut report = Report::default();
        report.find(Part::Server, Finding::waiting("RollingOut", ""));
        let mut next =
            |report: &Report| come_back(&mut remembered, report, Reached::End, now, 1.0).as_secs();
        assert_eq!([next(&report), next(&report), next(&report)], [5, 10, 20]);
        assert_eq!(next(&Report::default()), 7200, "they serve");
        assert_eq!(next(&report), 5, "and it begins anew");
    }
}
