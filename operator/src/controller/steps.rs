//! The steps of a reconcile, in their order. What each does is in its own file.

use std::time::Instant;

use kube::ResourceExt;
use moorage_crds::{ContainerRegistry, names::RECONCILE_ANNOTATION};
use snafu::{ResultExt, Snafu};

use super::{
    apply::{self, Writer},
    auth,
    build::{self, Known},
    claims::{self, Claim},
    cloud::{self, CloudFacts},
    dereference::{self, Live, References},
    findings,
    memory::{Look, Remembered, resync_after},
    naming,
    report::{Part, Report},
    validate::{self, ValidatedRegistry},
    watch,
};
use crate::{
    aws::StaticCredentials,
    context::Context,
    error::{self, Class},
};

/// How far the steps went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// To the end, or to where only AWS is waited for.
    Through,
    /// Not past `validate`; the report has the problems.
    Held,
}

/// One step could not be taken. It becomes a finding, and the status says so.
#[derive(Debug, Snafu)]
pub(super) enum Error {
    #[snafu(display("failed to read what the spec refers to"))]
    Dereference { source: dereference::Error },
    #[snafu(display("failed to complete the logins"))]
    Auth { source: auth::Error },
    #[snafu(display("failed to apply the objects"))]
    Apply { source: apply::Error },
    #[snafu(display("failed to look at the pods"))]
    Pods {
        #[snafu(source(from(kube::Error, Box::new)))]
        source: Box<kube::Error>,
    },
}

impl Error {
    pub(super) fn part(&self) -> Part {
        match self {
            Self::Dereference { .. } | Self::Pods { .. } => Part::Server,
            Self::Auth { .. } => Part::Auth,
            Self::Apply { source } => source.part(),
        }
    }

    /// Whether AWS has not been looked at yet when this step is taken.
    pub(super) fn is_before_the_cloud(&self) -> bool {
        match self {
            Self::Dereference { .. } => true,
            Self::Auth { .. } | Self::Apply { .. } | Self::Pods { .. } => false,
        }
    }

    pub(super) fn class(&self) -> Class {
        self.cause()
            .map_or(Class::Transient, |cause| error::of_kubernetes(cause).0)
    }

    pub(super) fn cause(&self) -> Option<&kube::Error> {
        match self {
            Self::Dereference { source } => Some(source.cause()),
            Self::Auth { .. } => None,
            Self::Apply { source } => source.cause(),
            Self::Pods { source } => Some(source),
        }
    }
}

/// The steps. What they find goes into the report, whether they reach their end or not.
pub(super) async fn take(
    ctx: &Context,
    registry: &ContainerRegistry,
    remembered: &mut Remembered,
    report: &mut Report,
) -> Result<Taken, Error> {
    let (namespace, name) = (
        registry.namespace().unwrap_or_default(),
        registry.name_any(),
    );
    let writer = Writer {
        client: &ctx.client,
        events: &ctx.events,
        registry,
    };
    let mut references = dereference::fetch(&ctx.client, &namespace, &name, &registry.spec)
        .await
        .context(DereferenceSnafu)?;
    let Some(mut want) = validated(ctx, registry, &references, report) else {
        return Ok(Taken::Held);
    };
    let facts = clouded(ctx, writer, &mut want, &mut references.live, remembered).await;
    findings::of_cloud(report, &want, &facts);
    let live = &references.live;
    let stored = live
        .secrets
        .get(&naming::htpasswd_secret(&name))
        .and_then(|secret| validate::text(secret, naming::HTPASSWD));
    let stored = auth::parse_htpasswd(&stored.unwrap_or_default());
    let logins = auth::complete(want.users.clone(), stored, remembered.verified.clone())
        .await
        .context(AuthSnafu)?;
    remembered.verified = logins.verified;
    let Some(credentials) = credentials(&want) else {
        // Pods without keys could not start. The condition of the identity says what it waits for.
        findings::of_missing_keys(report);
        return Ok(Taken::Through);
    };
    let certified = facts.certificate.is_some();
    let exposure = build::exposure(
        &want,
        certified,
        build::live_certificate(live.service.as_ref()),
    );
    let host = findings::host(&want, &exposure, live.service.as_ref());
    let known = Known {
        logins: &logins.logins,
        credentials: &credentials,
        exposure: &exposure,
        host: host.as_deref(),
    };
    let applied = Box::pin(apply::apply(writer, build::build(&want, known), live))
        .await
        .context(ApplySnafu)?;
    let pods = watch::troubled_pods(&ctx.client, &namespace, &name, &applied.deployment)
        .await
        .context(PodsSnafu)?;
    findings::of_applied(report, &want, &exposure, &applied, &pods);
    Ok(Taken::Through)
}

/// The registry, or its problems in the report.
fn validated(
    ctx: &Context,
    registry: &ContainerRegistry,
    references: &References,
    report: &mut Report,
) -> Option<ValidatedRegistry> {
    let Some(claim) = Claim::of(registry, &ctx.defaults.cluster) else {
        findings::of_bad_prefix(report);
        return None;
    };
    let standing = claims::standing(&claim, ctx.claims_beside(&claim));
    validate::validate(registry, references, &claim, &standing, &ctx.defaults)
        .map_err(|problems| findings::of_problems(report, problems))
        .ok()
}

/// AWS, if there is a reason to look at it; else what was found the last time.
async fn clouded(
    ctx: &Context,
    writer: Writer<'_>,
    want: &mut ValidatedRegistry,
    live: &mut Live,
    remembered: &mut Remembered,
) -> CloudFacts {
    let asked = writer
        .registry
        .annotations()
        .get(RECONCILE_ANNOTATION)
        .cloned();
    let due = remembered.due(
        Instant::now(),
        &want.desired.fingerprint(),
        asked.as_deref(),
    );
    if let (None, Some(look)) = (due, &remembered.look) {
        return look.facts.clone();
    }
    tracing::debug!(
        registry = want.name,
        namespace = want.namespace,
        ?due,
        "looking at the cloud"
    );
    let facts = cloud::converge(ctx.cloud.as_ref(), writer, want, live).await;
    let again = match facts.failure() {
        None => {
            remembered.bad_looks = 0;
            resync_after(ctx.resync_period, rand::random())
        }
        Some(class) => {
            remembered.bad_looks = remembered.bad_looks.saturating_add(1);
            class.retry_after(remembered.bad_looks, rand::random())
        }
    };
    remembered.look = Some(Look {
        // After a new key something else is wanted than before: that very key.
        fingerprint: want.desired.fingerprint(),
        asked,
        until: Instant::now() + again,
        facts: facts.clone(),
    });
    facts
}

/// What the pods use for S3, when there is something.
fn credentials(want: &ValidatedRegistry) -> Option<StaticCredentials> {
    match &want.provided_keys {
        Some(provided) => Some(provided.keys.clone()),
        None => want.managed_keys.clone(),
    }
}
