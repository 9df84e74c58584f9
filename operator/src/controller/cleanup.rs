//! Deletion: the way in and the pods, then keys, policy and user, and the bucket last.
//!
//! Uses the raw spec on purpose: what cannot be validated, or never became ready, or has lost its Secrets, must still be
//! deletable. That includes one that is suspended: the switch holds up changes, and a deletion is an express wish, whose
//! `deletionPolicy` says what stays. Nothing that is not ours is touched; `plan_deletion` sees to that.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;
use moorage_crds::{
    ContainerRegistry, DeletionPolicy, ExistingBucket, S3Spec, condition::reason,
    names::ABANDON_ANNOTATION,
};
use snafu::{ResultExt, Snafu};

use super::{
    apply::Writer,
    claims::{self, Claim},
    cloud::event_reason,
    dereference::{self, References},
    naming, plan,
    report::Finding,
    status,
    validate::{is_foreign, s3_of, text},
};
use crate::{
    aws::{
        BucketState, Desired, DesiredBucket, DesiredIdentity, Existing, PolicyKind, Region,
        StaticCredentials, Step, StepOutcome, StoreAccess,
    },
    context::Context,
    error::{self, Class},
};

/// Batches of deleted objects in one go. Then others have their turn.
const BATCHES: usize = 10;

/// How far a deletion is.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing of the registry is left but what stays on purpose.
    Done,
    /// There is more to do, or something to wait for. Come back then.
    Again(Duration),
    /// It failed, and is in the status.
    Failed(Class),
}

/// The deletion could not go on.
#[derive(Debug, Snafu)]
pub enum Error {
    /// Something could not be read.
    #[snafu(display("failed to find out what there is to delete"))]
    Read {
        /// Why.
        source: dereference::Error,
    },
    /// Something could not be deleted.
    #[snafu(display("failed to delete the {kind} of the registry"))]
    Delete {
        /// What.
        kind: &'static str,
        /// Why.
        #[snafu(source(from(kube::Error, Box::new)))]
        source: Box<kube::Error>,
    },
    /// The status could not be written.
    #[snafu(display("failed to say how far the deletion is"))]
    Publish {
        /// Why.
        source: status::Error,
    },
}

/// Goes on with the deletion.
///
/// # Errors
/// When the Kubernetes API refuses or does not answer.
pub async fn cleanup(ctx: &Context, registry: &ContainerRegistry) -> Result<Progress, Error> {
    let writer = Writer {
        client: &ctx.client,
        events: &ctx.events,
        registry,
    };
    if is_abandoned(&registry.metadata) {
        abandon(ctx, registry).await;
        return Ok(Progress::Done);
    }
    let (namespace, name) = (
        registry.namespace().unwrap_or_default(),
        registry.name_any(),
    );
    let references = dereference::fetch(&ctx.client, &namespace, &name, &registry.spec)
        .await
        .context(ReadSnafu)?;
    if let Some(waiting) = take_down(writer, &references).await? {
        say(ctx, registry, &Finding::waiting(reason::DELETING, waiting)).await?;
        return Ok(Progress::Again(Duration::from_secs(15)));
    }
    let Some(claim) = Claim::of(registry, &ctx.defaults.cluster) else {
        // Without a uid or with a prefix that is none, nothing was ever made.
        return Ok(Progress::Done);
    };
    let target = match target(registry, &claim, &references, ctx) {
        Ok(Some(target)) => target,
        Ok(None) => return Ok(Progress::Done),
        Err(finding) => {
            say(ctx, registry, &finding).await?;
            return Ok(Progress::Again(Duration::from_mins(10)));
        }
    };
    clear_cloud(ctx, writer, &target).await
}

/// Whether somebody has said that what is in AWS may stay there.
pub(super) fn is_abandoned(metadata: &ObjectMeta) -> bool {
    let annotation = metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(ABANDON_ANNOTATION));
    annotation.is_some_and(|value| value == "true")
}

/// The cloud half: what the plan says, a bounded piece of it at a time.
async fn clear_cloud(
    ctx: &Context,
    writer: Writer<'_>,
    target: &Target,
) -> Result<Progress, Error> {
    let Target { desired, policy } = target;
    let observed = match ctx.cloud.observe(desired).await {
        Ok(observed) => observed,
        Err(error) => return fail(ctx, writer.registry, &error).await,
    };
    let mut batches = 0;
    let mut registry = writer.registry.clone();
    let steps = plan::plan_deletion(desired, &observed, *policy);
    let bucket_goes = steps
        .iter()
        .any(|step| matches!(step, Step::DeleteBucket { .. }));
    for step in steps {
        loop {
            match ctx.cloud.carry_out(desired, &step).await {
                Ok(StepOutcome::MoreToDo { progress }) => {
                    batches += 1;
                    let finding = Finding::waiting(reason::DELETING, format!("{step}: {progress}"));
                    registry = say(ctx, &registry, &finding).await?;
                    if batches >= BATCHES {
                        return Ok(Progress::Again(Duration::from_secs(1)));
                    }
                }
                Ok(StepOutcome::Done | StepOutcome::KeyCreated(_)) => break,
                Err(error) => return fail(ctx, &registry, &error).await,
            }
        }
        tracing::info!(%step, registry = desired.owner.name, namespace = desired.owner.namespace, "changed the cloud");
        ctx.events
            .changed(writer.registry, event_reason(&step), &step.to_string())
            .await;
    }
    if !bucket_goes && matches!(observed.bucket, BucketState::Present { .. }) {
        let note = format!("bucket {} stays, with what is in it", desired.bucket.name);
        ctx.events
            .changed(writer.registry, "BucketRetained", &note)
            .await;
    }
    Ok(Progress::Done)
}

async fn fail(
    ctx: &Context,
    registry: &ContainerRegistry,
    error: &crate::aws::Error,
) -> Result<Progress, Error> {
    let (class, reason) = error::of_aws(&error.kind);
    tracing::warn!(registry = registry.name_any(), detail = error.detail, %error, "a deletion waits for AWS");
    let message = format!(
        "{error}; annotation {ABANDON_ANNOTATION}=true deletes the registry and leaves the rest in AWS"
    );
    say(ctx, registry, &Finding::failed(class, reason, message)).await?;
    Ok(Progress::Failed(class))
}

async fn say(
    ctx: &Context,
    registry: &ContainerRegistry,
    finding: &Finding,
) -> Result<ContainerRegistry, Error> {
    let next = status::deleting(registry, finding, Timestamp::now());
    status::publish(&ctx.client, registry, next)
        .await
        .context(PublishSnafu)
}

/// Deletes Service and Deployment. `Some` while the load balancer is still there, with what is waited for.
async fn take_down(writer: Writer<'_>, references: &References) -> Result<Option<String>, Error> {
    let uid = writer.registry.uid().unwrap_or_default();
    let live = &references.live;
    if let Some(deployment) = live
        .deployment
        .as_ref()
        .filter(|object| !is_foreign(*object, &uid) && is_live(*object))
    {
        writer
            .delete(deployment)
            .await
            .context(DeleteSnafu { kind: "Deployment" })?;
    }
    let Some(service) = live
        .service
        .as_ref()
        .filter(|object| !is_foreign(*object, &uid))
    else {
        return Ok(None);
    };
    if is_live(service) {
        writer
            .delete(service)
            .await
            .context(DeleteSnafu { kind: "Service" })?;
    }
    let name = service.name_any();
    let finalizers = service.finalizers();
    Ok((!finalizers.is_empty()).then(|| {
        format!(
            "waits for the cloud's load-balancer controller to remove the load balancer of Service {name:?} (finalizer {})",
            finalizers.join(", ")
        )
    }))
}

fn is_live<K: kube::Resource>(object: &K) -> bool {
    object.meta().deletion_timestamp.is_none()
}

/// What has to be removed from AWS.
struct Target {
    desired: Desired,
    policy: plan::DeletionPolicy,
}

/// As little of the spec as will do. `None` when nothing in AWS can be ours; `Err` when something has to be there first.
fn target(
    registry: &ContainerRegistry,
    claim: &Claim,
    references: &References,
    ctx: &Context,
) -> Result<Option<Target>, Finding> {
    let s3 = s3_of(&registry.spec);
    let named = claim.bucket.parse();
    // A bucket of a name that is none was never made. The name of another one must not take its place in a deletion.
    let delete = s3.deletion_policy == DeletionPolicy::Delete
        && s3.existing == ExistingBucket::Refuse
        && named.is_ok();
    if s3.endpoint.is_some() && !delete {
        return Ok(None);
    }
    let (store, identity) = store_and_identity(registry, claim, references, &s3)?;
    let region = s3
        .region
        .and_then(|region| region.parse().ok())
        .or_else(|| ctx.defaults.region.clone());
    let region = region.or_else(|| Region::US_EAST_1.parse().ok());
    let Some(region) = region else {
        return Ok(None);
    };
    let bucket = DesiredBucket {
        name: named.unwrap_or_else(|_| claim.owner.bucket_name()),
        region,
        prefix: claim.prefix.clone(),
        existing: if s3.existing == ExistingBucket::Adopt {
            Existing::Adopt
        } else {
            Existing::Refuse
        },
        tags: s3.tags,
        store,
    };
    let desired = Desired {
        owner: claim.owner.clone(),
        registry_created: claim.created,
        bucket,
        shares_with: claims::standing(claim, ctx.claims_beside(claim)).shares_with,
        identity,
        certificate: None,
    };
    let policy = if delete {
        plan::DeletionPolicy::Delete
    } else {
        plan::DeletionPolicy::Retain
    };
    Ok(Some(Target { desired, policy }))
}

/// How to get at the bucket, and the user that has to go.
fn store_and_identity(
    registry: &ContainerRegistry,
    claim: &Claim,
    references: &References,
    s3: &S3Spec,
) -> Result<(StoreAccess, DesiredIdentity), Finding> {
    let Some(endpoint) = &s3.endpoint else {
        // Also when the spec brings keys: it may have had a user before.
        let identity = DesiredIdentity::IamUser {
            user: claim.owner.user_name(),
            policy: PolicyKind::Inline,
            recorded_key: None,
        };
        return Ok((StoreAccess::Aws, identity));
    };
    let store = StoreAccess::Compatible {
        endpoint: endpoint.clone(),
        force_path_style: s3.force_path_style,
        credentials: provided_keys(registry, references)?,
    };
    Ok((store, DesiredIdentity::Provided { former_user: None }))
}

/// The keys of a store that is not AWS, without which its bucket cannot be emptied.
fn provided_keys(
    registry: &ContainerRegistry,
    references: &References,
) -> Result<StaticCredentials, Finding> {
    let name = registry
        .spec
        .identity
        .as_ref()
        .and_then(|identity| identity.secret_ref.as_ref())
        .map(|secret| secret.name.clone());
    let secret = name.as_ref().and_then(|name| references.named.get(name));
    let keys = secret.and_then(|secret| {
        Some(StaticCredentials {
            access_key_id: text(secret, naming::ACCESS_KEY_ID)?,
            secret_access_key: text(secret, naming::SECRET_ACCESS_KEY)?.into(),
            session_token: text(secret, naming::SESSION_TOKEN).map(Into::into),
        })
    });
    keys.ok_or_else(|| {
        let message = format!(
            "the bucket is to be deleted, and the Secret {:?} with the keys of its store is not there or not complete; create it, or set \
             deletionPolicy to Retain, or annotation {ABANDON_ANNOTATION}=true",
            name.unwrap_or_default()
        );
        Finding::failed(Class::Spec, reason::SECRET_NOT_FOUND, message)
    })
}

/// Says what stays behind. The objects in Kubernetes go with their owner.
async fn abandon(ctx: &Context, registry: &ContainerRegistry) {
    let claim = Claim::of(registry, &ctx.defaults.cluster);
    let left = claim.map_or_else(
        || "nothing is known of it in AWS".to_owned(),
        |claim| {
            let user = claim.owner.user_name();
            format!(
                "left in AWS, if they were made: bucket {}, IAM user {}{user} with its keys and policy; the load balancer goes with its \
                 Service",
                claim.bucket,
                claim.owner.iam_path()
            )
        },
    );
    tracing::warn!(
        registry = registry.name_any(),
        left,
        "a registry was abandoned"
    );
    ctx.events.warning(registry, "Abandoned", &left).await;
}
