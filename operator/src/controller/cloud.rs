//! Steps 3 and 4: looks at AWS, plans, and carries the plan out.
//!
//! A failure here does not stop the Kubernetes half: a registry that has its keys goes on serving, and takes changes of its
//! spec, while AWS cannot be reached. It is recorded in the findings.

use std::collections::BTreeMap;

use moorage_crds::{Provenance, condition::reason};
use snafu::Report as Chain;
use tracing::{info, warn};

use super::{
    apply::Writer,
    build,
    dereference::Live,
    naming,
    plan::{self, BlockedReason, Plan, Subject},
    report::{Finding, Part, State},
    validate::ValidatedRegistry,
};
use crate::{
    aws::{
        self, BucketState, CertificateState, Cloud, Desired, DesiredIdentity, Existing,
        NewAccessKey, Observed, StaticCredentials, Step, StepOutcome,
    },
    error::{self, Class},
};

/// What is known of AWS.
#[derive(Clone, Debug, Default)]
pub struct CloudFacts {
    /// How bucket, identity and certificate are.
    pub findings: BTreeMap<Part, Finding>,
    /// Who made the bucket.
    pub provenance: Option<Provenance>,
    /// The certificate, when it was found: its domain and its end.
    pub certificate: Option<(Option<String>, Option<String>)>,
}

impl CloudFacts {
    /// What went wrong.
    #[must_use]
    pub fn failure(&self) -> Option<Class> {
        let classes = self
            .findings
            .values()
            .filter_map(|finding| match finding.state {
                State::Failed(class) => Some(class),
                _ => None,
            });
        classes.min_by_key(|class| !class.needs_a_person())
    }
}

/// Brings AWS to what is wanted. A new key goes into its Secret at once, and into `want` and `live`.
pub async fn converge(
    cloud: &dyn Cloud,
    writer: Writer<'_>,
    want: &mut ValidatedRegistry,
    live: &mut Live,
) -> CloudFacts {
    let observed = match cloud.observe(&want.desired).await {
        Ok(observed) => observed,
        Err(error) => return failed(&want.desired, &error, CloudFacts::default()),
    };
    let plan = plan::plan(&want.desired, &observed);
    let mut facts = facts(&want.desired, &observed, &plan);
    let wanted_of_the_plan = want.desired.clone();
    for step in &plan.steps {
        match cloud.carry_out(&wanted_of_the_plan, step).await {
            Ok(outcome) => {
                info!(namespace = want.namespace, registry = want.name, %step, "changed the cloud");
                // A key is kept before it is told of: whoever ends in between loses it.
                let kept = match outcome {
                    StepOutcome::KeyCreated(key) => keep_key(writer, want, live, key).await,
                    StepOutcome::Done | StepOutcome::MoreToDo { .. } => Ok(()),
                };
                writer
                    .events
                    .changed(writer.registry, event_reason(step), &step.to_string())
                    .await;
                if let Err(finding) = kept {
                    facts.findings.insert(Part::Identity, finding);
                    return facts;
                }
            }
            Err(error) => return failed(&want.desired, &error, facts),
        }
    }
    facts
}

/// Puts a new key where it can be found again. When that fails the key is lost, and the next run deletes it.
async fn keep_key(
    writer: Writer<'_>,
    want: &mut ValidatedRegistry,
    live: &mut Live,
    key: NewAccessKey,
) -> Result<(), Finding> {
    let NewAccessKey { id, secret } = key;
    let keys = StaticCredentials {
        access_key_id: id.to_string(),
        secret_access_key: secret,
        session_token: None,
    };
    let name = naming::credentials_secret(&want.name);
    let written = writer
        .one(
            live.secrets.get(&name),
            build::credentials_secret(want, &keys),
        )
        .await;
    let secret = written.map_err(|error| {
        let (class, message) = error.cause().map_or_else(
            || (Class::Transient, error.to_string()),
            error::of_kubernetes,
        );
        warn!(error = %Chain::from_error(&error), "failed to keep a new access key");
        Finding::failed(
            class,
            reason::KUBERNETES_ERROR,
            format!("{error}: {message}"),
        )
    })?;
    live.secrets.insert(name, secret);
    if let DesiredIdentity::IamUser { recorded_key, .. } = &mut want.desired.identity {
        *recorded_key = Some(id);
    }
    want.managed_keys = Some(keys);
    Ok(())
}

/// The findings after a failed call: its part has failed, and what was not looked at, or comes later, waits for it.
fn failed(desired: &Desired, error: &aws::Error, mut facts: CloudFacts) -> CloudFacts {
    let (class, reason) = error::of_aws(&error.kind);
    warn!(registry = desired.owner.name, namespace = desired.owner.namespace, detail = error.detail, %error, "AWS failed");
    let part = part_of(error.action);
    let waiting = Finding::waiting(reason::WAITING, format!("waits for {}", part.condition()));
    if part == Part::Bucket {
        facts.findings.remove(&Part::Identity);
    }
    facts
        .findings
        .insert(part, Finding::failed(class, reason, error.to_string()));
    for other in [Part::Bucket, Part::Identity, Part::Certificate] {
        facts
            .findings
            .entry(other)
            .or_insert_with(|| waiting.clone());
    }
    if desired.certificate.is_none() {
        facts.findings.remove(&Part::Certificate);
    }
    facts
}

/// Which part a call is about.
fn part_of(action: &str) -> Part {
    if action.starts_with("acm:") || action.contains("ServerCertificate") {
        Part::Certificate
    } else if action.starts_with("iam:") {
        Part::Identity
    } else {
        // Who we are (`sts:`) decides whose the bucket is.
        Part::Bucket
    }
}

/// What will be so when the plan is carried out.
fn facts(desired: &Desired, observed: &Observed, plan: &Plan) -> CloudFacts {
    let bucket = &desired.bucket;
    let adopted = bucket.existing == Existing::Adopt
        && matches!(&observed.bucket, BucketState::Present { tags, .. } if !tags.contains_key(aws::desired::TAG_NAME));
    let mut findings = BTreeMap::new();
    let place = if bucket.store.is_aws() {
        format!(" in {}", bucket.region)
    } else {
        String::new()
    };
    findings.insert(
        Part::Bucket,
        Finding::ready(format!("bucket {}{place} is ready", bucket.name)),
    );
    let identity = match &desired.identity {
        DesiredIdentity::IamUser { user, .. } => {
            format!("IAM user {user} may use exactly this bucket")
        }
        DesiredIdentity::Provided { .. } => {
            "the keys of the Secret in spec.identity.secretRef are used".to_owned()
        }
    };
    findings.insert(Part::Identity, Finding::ready(identity));
    let certificate = match &observed.certificate {
        CertificateState::Found { domain, not_after } => {
            let name = domain
                .as_ref()
                .map(|domain| format!(" for {domain}"))
                .unwrap_or_default();
            findings.insert(
                Part::Certificate,
                Finding::ready(format!("the certificate{name} exists")),
            );
            Some((domain.clone(), not_after.map(|time| time.to_string())))
        }
        CertificateState::NotAsked | CertificateState::NotFound => None,
    };
    for blocked in &plan.blocked {
        let (part, reason) = (part_of_subject(blocked.subject), reason_of(blocked.reason));
        findings.insert(
            part,
            Finding::failed(Class::Conflict, reason, blocked.message.clone()),
        );
        if blocked.subject == Subject::Bucket {
            let waiting =
                Finding::waiting(reason::WAITING, format!("waits for {}", part.condition()));
            findings.insert(Part::Identity, waiting);
        }
    }
    let provenance = if adopted {
        Provenance::Adopted
    } else {
        Provenance::Created
    };
    CloudFacts {
        findings,
        provenance: Some(provenance),
        certificate,
    }
}

const fn part_of_subject(subject: Subject) -> Part {
    match subject {
        Subject::Bucket => Part::Bucket,
        Subject::Identity => Part::Identity,
        Subject::Certificate => Part::Certificate,
    }
}

const fn reason_of(blocked: BlockedReason) -> &'static str {
    match blocked {
        BlockedReason::BucketOwnedByAnotherAccount => reason::BUCKET_OWNED_BY_ANOTHER_ACCOUNT,
        BlockedReason::BucketExists => reason::BUCKET_EXISTS,
        BlockedReason::BucketOwnedByAnotherRegistry => reason::BUCKET_OWNED_BY_ANOTHER_REGISTRY,
        BlockedReason::BucketInAnotherRegion => reason::BUCKET_IN_ANOTHER_REGION,
        BlockedReason::UserNotOurs => reason::USER_NOT_OURS,
        BlockedReason::AccountUnknown => reason::ACCOUNT_UNKNOWN,
        BlockedReason::CertificateNotFound => reason::CERTIFICATE_NOT_FOUND,
    }
}

/// Reason of the event that tells of a step.
#[must_use]
pub const fn event_reason(step: &Step) -> &'static str {
    match step {
        Step::CreateBucket { .. } => "BucketCreated",
        Step::TagBucket { .. } | Step::ClaimBucket { .. } => "BucketTagged",
        Step::CreateUser { .. } => "UserCreated",
        Step::TagUser { .. } => "UserTagged",
        Step::PutUserPolicy { .. }
        | Step::CreatePolicy { .. }
        | Step::CreatePolicyVersion { .. }
        | Step::AttachPolicy { .. } => "PolicyWritten",
        Step::DeleteUserPolicy { .. }
        | Step::DeletePolicyVersion { .. }
        | Step::DetachPolicy { .. }
        | Step::DeletePolicy { .. } => "PolicyRemoved",
        Step::CreateAccessKey { .. } => "AccessKeyCreated",
        Step::DeleteAccessKey { .. } => "AccessKeyDeleted",
        Step::DeleteUser { .. } => "UserDeleted",
        Step::EmptyBucket { .. } => "BucketEmptied",
        Step::DeleteBucket { .. } => "BucketDeleted",
    }
}
