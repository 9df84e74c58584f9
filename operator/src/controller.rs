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
mod finalizer;
pub mod findings;
#[cfg(test)]
mod fixtures;
pub mod memory;
pub mod naming;
pub mod plan;
pub mod report;
mod schedule;
pub mod server_state;
pub mod status;
mod steps;
pub mod validate;
pub mod watch;

use std::{sync::Arc, time::Instant};

use jiff::Timestamp;
use kube::{
    ResourceExt,
    core::{DeserializeGuard, error_boundary::InvalidObject},
    runtime::controller::Action,
};
use moorage_crds::{ContainerRegistry, condition, names::ABANDON_ANNOTATION};
use snafu::{ResultExt, Snafu};

pub use self::watch::{Settings, run};
use self::{cleanup::Progress, report::Report, schedule::Reached};
use crate::context::Context;

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
    #[snafu(display("failed to put the finalizer on, or to take it off"))]
    Finalizer {
        /// Why.
        source: finalizer::Error,
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
        Err(invalid) => return not_understood(&ctx, invalid).await,
    };
    let uid = registry.uid().unwrap_or_default();
    match (
        &registry.metadata.deletion_timestamp,
        finalizer::is_on(&registry.metadata),
    ) {
        (Some(_), false) => {
            ctx.memory.forget(&uid);
            Ok(Action::await_change())
        }
        (Some(_), true) => delete(&ctx, registry, &uid).await,
        // Nothing is made before the finalizer is there; its arrival wakes us.
        (None, false) if !registry.spec.suspend => {
            finalizer::put_on(&ctx.client, &registry.metadata)
                .await
                .context(FinalizerSnafu)?;
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
    let reached = Reached::of(&taken, &report);
    // Before the status is written: while that fails, AWS must not be asked at each attempt.
    ctx.memory.remember(uid, remembered.clone());
    let next = status::after(&registry, &report, Timestamp::now());
    warn_if_new(ctx, &registry, &next).await;
    status::publish(&ctx.client, &registry, next)
        .await
        .context(PublishSnafu)?;
    let again = schedule::come_back(
        &mut remembered,
        &report,
        reached,
        Instant::now(),
        rand::random(),
    );
    ctx.memory.remember(uid, remembered);
    Ok(Action::requeue(again))
}

/// A registry whose spec this operator cannot read. Only possible when the definition in the cluster is another one than ours, as
/// after a downgrade. Nothing is done to it; a new version of the object wakes us.
///
/// What it has in AWS cannot be known, and so not be deleted. But it can be abandoned, so that its deletion can end.
async fn not_understood(ctx: &Context, invalid: &InvalidObject) -> Result<Action, Error> {
    let InvalidObject { error, metadata } = invalid;
    tracing::error!(
        name = metadata.name,
        namespace = metadata.namespace,
        error,
        "not understood"
    );
    let nameplate = ContainerRegistry {
        metadata: metadata.clone(),
        ..ContainerRegistry::default()
    };
    if metadata.deletion_timestamp.is_none() {
        let note = format!(
            "this version of the operator does not understand the spec, and leaves everything as it is: {error}"
        );
        ctx.events.warning(&nameplate, "NotUnderstood", &note).await;
    } else if !finalizer::is_on(metadata) {
        ctx.memory
            .forget(metadata.uid.as_deref().unwrap_or_default());
    } else if cleanup::is_abandoned(metadata) {
        let note =
            "left in AWS, if they were made: the bucket, and the IAM user with its keys and policy";
        ctx.events.warning(&nameplate, "Abandoned", note).await;
        finalizer::take_off(&ctx.client, metadata)
            .await
            .context(FinalizerSnafu)?;
        ctx.memory
            .forget(metadata.uid.as_deref().unwrap_or_default());
    } else {
        let note = format!(
            "this version of the operator does not understand the spec, and cannot know what to delete: run the version that did, or \
             annotate the registry with {ABANDON_ANNOTATION}=true to delete it and leave the rest in AWS: {error}"
        );
        ctx.events.warning(&nameplate, "NotUnderstood", &note).await;
    }
    Ok(Action::await_change())
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
            finalizer::take_off(&ctx.client, &registry.metadata)
                .await
                .context(FinalizerSnafu)?;
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

#[cfg(test)]
mod tests;
