//! From a `ContainerRegistry` to what it asks for, step by step. Here are the steps in their order, and when to come back; what
//! each of them does is in the folder beside this file.
//!
//! dereference → validate → observe, plan and carry out (`cloud`) → build → apply → status

pub mod apply;
pub mod auth;
pub mod build;
pub mod claims;
pub mod cleanup;
pub mod cloud;
pub mod compare;
pub mod dereference;
#[cfg(test)]
mod fake_api;
pub mod findings;
#[cfg(test)]
mod fixtures;
pub mod memory;
pub mod naming;
pub mod plan;
pub mod report;
pub mod server_state;
pub mod status;
mod steps;
pub mod validate;
pub mod watch;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::{Patch, PatchParams},
    core::DeserializeGuard,
    runtime::controller::Action,
};
use moorage_crds::{ContainerRegistry, condition, names::FINALIZER};
use serde_json::json;
use snafu::{ResultExt, Snafu};

pub use self::watch::{Settings, run};
use self::{
    cleanup::Progress,
    memory::Remembered,
    report::{Part, Report, State},
    steps::Taken,
};
use crate::{context::Context, error::Class};

/// Whether something other than AWS was in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// The steps were taken.
    No,
    /// The spec, a Secret or the Kubernetes API.
    Yes,
}

/// A reconcile could not be brought to its end, not even to a status.
#[derive(Debug, Snafu)]
pub enum Error {
    /// The status could not be written.
    #[snafu(display("failed to publish the outcome"))]
    Publish {
        /// Why.
        source: status::Error,
    },
    /// The finalizer could not be put on or taken off.
    #[snafu(display("failed to change the finalizers of ContainerRegistry {name:?}"))]
    Finalizer {
        /// Of which registry.
        name: String,
        /// Why.
        #[snafu(source(from(kube::Error, Box::new)))]
        source: Box<kube::Error>,
    },
    /// The deletion could not go on.
    #[snafu(display("failed to delete"))]
    Cleanup {
        /// Why.
        source: cleanup::Error,
    },
}

/// One reconcile of one registry.
///
/// # Errors
/// Only when not even the status could be written; everything else is in the status.
pub async fn reconcile(
    guard: Arc<DeserializeGuard<ContainerRegistry>>,
    ctx: Arc<Context>,
) -> Result<Action, Error> {
    let registry = match &guard.0 {
        Ok(registry) => registry,
        Err(invalid) => {
            // Only possible when the definition in the cluster is another one than ours. A new version of the object wakes us.
            tracing::error!(
                name = invalid.metadata.name,
                namespace = invalid.metadata.namespace,
                error = invalid.error,
                "not understood"
            );
            return Ok(Action::await_change());
        }
    };
    let uid = registry.uid().unwrap_or_default();
    let finalized = registry
        .finalizers()
        .iter()
        .any(|finalizer| finalizer == FINALIZER);
    match (&registry.metadata.deletion_timestamp, finalized) {
        (Some(_), false) => {
            ctx.memory.forget(&uid);
            Ok(Action::await_change())
        }
        (Some(_), true) => delete(&ctx, registry, &uid).await,
        // Nothing is made before the finalizer is there; its arrival wakes us.
        (None, false) if !registry.spec.suspend => {
            let with: Vec<&str> = registry
                .finalizers()
                .iter()
                .map(String::as_str)
                .chain([FINALIZER])
                .collect();
            set_finalizers(&ctx, registry, &with).await?;
            Ok(Action::await_change())
        }
        (None, _) if registry.spec.suspend => {
            let next = status::suspended(registry, Timestamp::now());
            status::publish(&ctx.client, registry, next)
                .await
                .context(PublishSnafu)?;
            Ok(Action::await_change())
        }
        (None, _) => Box::pin(keep(&ctx, registry, &uid)).await,
    }
}

/// When a reconcile failed without a status: the log has it, and it is tried again.
#[must_use]
#[expect(
    clippy::needless_pass_by_value,
    reason = "the signature is the runtime's"
)]
pub fn error_policy(
    guard: Arc<DeserializeGuard<ContainerRegistry>>,
    _error: &Error,
    ctx: Arc<Context>,
) -> Action {
    let uid = guard.uid().unwrap_or_default();
    let mut remembered = ctx.memory.recall(&uid);
    remembered.failures = remembered.failures.saturating_add(1);
    let after = Class::Transient.retry_after(remembered.failures, rand::random());
    ctx.memory.remember(&uid, remembered);
    Action::requeue(after)
}

/// A registry that is to be there.
async fn keep(ctx: &Context, registry: &ContainerRegistry, uid: &str) -> Result<Action, Error> {
    let mut registry = registry.clone();
    if registry
        .status
        .as_ref()
        .is_none_or(|status| Some(status.observed_generation) != registry.metadata.generation)
    {
        let begun = status::begun(&registry, Timestamp::now());
        registry = status::publish(&ctx.client, &registry, begun)
            .await
            .context(PublishSnafu)?;
    }
    let mut remembered = ctx.memory.recall(uid);
    let mut report = Report::default();
    let taken = Box::pin(steps::take(ctx, &registry, &mut remembered, &mut report)).await;
    if let Err(error) = &taken {
        tracing::warn!(
            registry = registry.name_any(),
            namespace = registry.namespace(),
            error = %snafu::Report::from_error(error),
            "a step failed"
        );
        let (part, finding) = findings::of_step(error.part(), error.cause(), &error.to_string());
        report.find(part, finding);
    }
    let held = if matches!(taken, Ok(Taken::Through)) {
        Held::No
    } else {
        Held::Yes
    };
    let next = status::after(&registry, &report, Timestamp::now());
    warn_if_new(ctx, &registry, &next).await;
    status::publish(&ctx.client, &registry, next)
        .await
        .context(PublishSnafu)?;
    let action = come_back(
        &mut remembered,
        &report,
        held,
        Instant::now(),
        rand::random(),
    );
    ctx.memory.remember(uid, remembered);
    Ok(action)
}

/// When to come back: at the first of the moments at which something may be different. Pure.
///
/// `held` says that something other than AWS was in the way, which is tried again on its own.
fn come_back(
    remembered: &mut Remembered,
    report: &Report,
    held: Held,
    now: Instant,
    jitter: f64,
) -> Action {
    let mut moments = Vec::new();
    if let Some(look) = &remembered.look {
        moments.push(look.until.saturating_duration_since(now));
    }
    let class = report
        .failure()
        .map_or(Class::Transient, |(_, class, _)| class);
    remembered.failures = if held == Held::Yes {
        remembered.failures.saturating_add(1)
    } else {
        0
    };
    if held == Held::Yes {
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
    Action::requeue(first.max(Duration::from_secs(1)))
}

/// When to look at pods again that do not serve yet: pods that cannot pull their image wake nobody. 5 s, 10 s, 20 s … 2 min.
fn pods_again(looks: u32) -> Duration {
    Duration::from_secs(
        5u64.saturating_mul(2u64.saturating_pow(looks.clamp(1, 16) - 1))
            .min(120),
    )
}

/// An event for something that begins to go wrong, not for something that still does.
async fn warn_if_new(
    ctx: &Context,
    registry: &ContainerRegistry,
    next: &moorage_crds::ContainerRegistryStatus,
) {
    let stalled = |status: &moorage_crds::ContainerRegistryStatus| {
        let found = status
            .conditions
            .iter()
            .find(|condition| condition.type_ == condition::STALLED && condition.status == "True");
        found.map(|condition| (condition.reason.clone(), condition.message.clone()))
    };
    if let Some((reason, message)) = stalled(next)
        && registry.status.as_ref().and_then(stalled).as_ref()
            != Some(&(reason.clone(), message.clone()))
    {
        ctx.events.warning(registry, &reason, &message).await;
    }
}

/// A registry that is to go.
async fn delete(ctx: &Context, registry: &ContainerRegistry, uid: &str) -> Result<Action, Error> {
    match cleanup::cleanup(ctx, registry)
        .await
        .context(CleanupSnafu)?
    {
        Progress::Done => {
            let without: Vec<&str> = registry
                .finalizers()
                .iter()
                .map(String::as_str)
                .filter(|finalizer| *finalizer != FINALIZER)
                .collect();
            set_finalizers(ctx, registry, &without).await?;
            ctx.memory.forget(uid);
            Ok(Action::await_change())
        }
        Progress::Again(after) => Ok(Action::requeue(after)),
        Progress::Failed(class) => {
            let mut remembered = ctx.memory.recall(uid);
            remembered.failures = remembered.failures.saturating_add(1);
            let after = class.retry_after(remembered.failures, rand::random());
            ctx.memory.remember(uid, remembered);
            Ok(Action::requeue(after))
        }
    }
}

/// Refused by the API when somebody else has changed the list in the meantime; then the change wakes us.
async fn set_finalizers(
    ctx: &Context,
    registry: &ContainerRegistry,
    finalizers: &[&str],
) -> Result<(), Error> {
    let name = registry.name_any();
    let api = Api::<ContainerRegistry>::namespaced(
        ctx.client.clone(),
        &registry.namespace().unwrap_or_default(),
    );
    let metadata = json!({ "finalizers": finalizers, "uid": registry.uid() });
    let only_if_unchanged = |mut metadata: serde_json::Value| {
        if let Some(fields) = metadata.as_object_mut() {
            fields.insert(
                "resourceVersion".to_owned(),
                json!(registry.resource_version()),
            );
        }
        metadata
    };
    let patch = Patch::Merge(json!({ "metadata": only_if_unchanged(metadata) }));
    match api
        .patch_metadata(&name, &PatchParams::default(), &patch)
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(source) => Err(source).context(FinalizerSnafu { name }),
    }
}

#[cfg(test)]
mod tests;
