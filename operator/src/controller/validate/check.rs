//! The checks, one for each thing that can be wrong. A check that finds a problem notes it and goes on.

mod secrets;

use std::str::FromStr;

use jiff::Timestamp;
use kube::ResourceExt;
use moorage_crds::{ContainerRegistry, ExistingBucket, PolicyKind, S3Spec, condition::reason};

use super::{Defaults, Problem, ProvidedKeys, is_foreign, s3_of};
use crate::{
    aws::{
        self, CertificateArn, Desired, DesiredBucket, DesiredIdentity, Existing, InvalidValue,
        Owner, Region, StoreAccess,
    },
    controller::{
        claims::{Claim, Standing},
        dereference::References,
        naming,
        report::Part,
    },
    error::Class,
};

pub(super) struct Check<'a> {
    pub(super) registry: &'a ContainerRegistry,
    pub(super) references: &'a References,
    pub(super) defaults: &'a Defaults,
    pub(super) problems: Vec<Problem>,
}

impl Check<'_> {
    fn problem(
        &mut self,
        part: Part,
        field: impl Into<String>,
        reason: &'static str,
        class: Class,
        message: impl Into<String>,
    ) {
        self.problems.push(Problem {
            part,
            field: field.into(),
            reason,
            class,
            message: message.into(),
        });
    }

    fn invalid(&mut self, part: Part, field: &str, error: &InvalidValue) {
        self.problem(
            part,
            field,
            reason::INVALID_SPEC,
            Class::Spec,
            error.to_string(),
        );
    }

    fn parse<T: FromStr<Err = InvalidValue>>(
        &mut self,
        part: Part,
        field: &str,
        value: &str,
    ) -> Option<T> {
        value
            .parse()
            .map_err(|error| self.invalid(part, field, &error))
            .ok()
    }

    /// An object that bears one of our names and is not ours is never overwritten.
    pub(super) fn names_are_free(&mut self, uid: &str) {
        let live = &self.references.live;
        let mut taken = Vec::new();
        let name = self.registry.name_any();
        if live
            .service_account
            .as_ref()
            .is_some_and(|object| is_foreign(object, uid))
        {
            taken.push((Part::Server, "ServiceAccount", name.clone()));
        }
        if live
            .deployment
            .as_ref()
            .is_some_and(|object| is_foreign(object, uid))
        {
            taken.push((Part::Server, "Deployment", name.clone()));
        }
        if live
            .service
            .as_ref()
            .is_some_and(|object| is_foreign(object, uid))
        {
            taken.push((Part::Endpoint, "Service", name.clone()));
        }
        let credentials = naming::credentials_secret(&name);
        for (secret, object) in &live.secrets {
            if is_foreign(object, uid) {
                taken.push((
                    if *secret == credentials {
                        Part::Identity
                    } else {
                        Part::Auth
                    },
                    "Secret",
                    secret.clone(),
                ));
            }
        }
        for (part, kind, object) in taken {
            let message = format!(
                "a {kind} {object:?} is there and does not belong to this registry; it is left alone. Remove or rename it, or give the \
                 registry another name"
            );
            self.problem(
                part,
                "metadata.name",
                reason::NAME_TAKEN,
                Class::Conflict,
                message,
            );
        }
    }

    pub(super) fn bucket_is_free(&mut self, claim: &Claim, standing: &Standing) {
        let Some(winner) = &standing.lost_to else {
            return;
        };
        let message = format!(
            "bucket {:?}, prefix {:?} overlaps with that of the older ContainerRegistry {}/{} (prefix {:?}); choose another bucket, or \
             a prefix outside of it",
            claim.bucket,
            claim.prefix.as_str(),
            winner.owner.namespace,
            winner.owner.name,
            winner.prefix.as_str()
        );
        self.problem(
            Part::Bucket,
            "spec.storage.s3.bucket",
            reason::BUCKET_CLAIMED,
            Class::Conflict,
            message,
        );
    }

    pub(super) fn desired(
        &mut self,
        claim: &Claim,
        standing: &Standing,
        provided: Option<&ProvidedKeys>,
    ) -> Option<Desired> {
        let spec = &self.registry.spec;
        let s3 = s3_of(spec);
        let name = self.parse(Part::Bucket, "spec.storage.s3.bucket", &claim.bucket);
        let region = self.region(&s3);
        let certificate = self.certificate();
        let wants_user = spec
            .identity
            .as_ref()
            .is_none_or(|identity| identity.secret_ref.is_none());
        let store = Self::store(&s3, provided);
        let identity = self.identity(
            &claim.owner,
            wants_user,
            store.as_ref().is_some_and(StoreAccess::is_aws),
        );
        Some(Desired {
            owner: claim.owner.clone(),
            registry_created: self
                .registry
                .creation_timestamp()
                .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
            bucket: DesiredBucket {
                name: name?,
                region: region?,
                prefix: claim.prefix.clone(),
                existing: match s3.existing {
                    ExistingBucket::Refuse => Existing::Refuse,
                    ExistingBucket::Adopt => Existing::Adopt,
                },
                tags: s3.tags,
                store: store?,
            },
            shares_with: standing.shares_with.clone(),
            identity,
            certificate,
        })
    }

    fn store(s3: &S3Spec, provided: Option<&ProvidedKeys>) -> Option<StoreAccess> {
        let Some(endpoint) = &s3.endpoint else {
            return Some(StoreAccess::Aws);
        };
        Some(StoreAccess::Compatible {
            endpoint: endpoint.clone(),
            force_path_style: s3.force_path_style,
            credentials: provided?.keys.clone(),
        })
    }

    fn identity(&self, owner: &Owner, wants_user: bool, is_aws: bool) -> DesiredIdentity {
        if !wants_user {
            return DesiredIdentity::Provided {
                former_user: is_aws.then(|| owner.user_name()),
            };
        }
        let policy = self
            .registry
            .spec
            .identity
            .as_ref()
            .and_then(|identity| identity.iam_user.as_ref());
        DesiredIdentity::IamUser {
            user: owner.user_name(),
            policy: match policy.map(|user| user.policy).unwrap_or_default() {
                PolicyKind::Inline => aws::PolicyKind::Inline,
                PolicyKind::Managed => aws::PolicyKind::Managed,
            },
            recorded_key: self
                .managed_keys(&owner.uid)
                .and_then(|keys| keys.access_key_id.parse().ok()),
        }
    }

    fn region(&mut self, s3: &S3Spec) -> Option<Region> {
        match (&s3.region, &self.defaults.region) {
            (Some(region), _) => self.parse(Part::Bucket, "spec.storage.s3.region", region),
            (None, Some(region)) => Some(region.clone()),
            // Stores that know no regions sign with this one.
            (None, None) if s3.endpoint.is_some() => Region::US_EAST_1.parse().ok(),
            (None, None) => {
                let message = "no region is named, and the operator has none; create the registry again with a region, or start the \
                               operator with --region or AWS_REGION";
                self.problem(
                    Part::Bucket,
                    "spec.storage.s3.region",
                    reason::INVALID_SPEC,
                    Class::Spec,
                    message,
                );
                None
            }
        }
    }

    fn certificate(&mut self) -> Option<CertificateArn> {
        let tls = self.registry.spec.tls.as_ref()?;
        let (field, arn) = match (&tls.acm, &tls.iam_server_certificate) {
            (Some(acm), _) => ("spec.tls.acm.arn", &acm.arn),
            (None, Some(certificate)) => ("spec.tls.iamServerCertificate.arn", &certificate.arn),
            (None, None) => return None,
        };
        let parsed = self.parse::<CertificateArn>(Part::Certificate, field, arn)?;
        if let (CertificateArn::Acm { region, .. }, Some(ours)) = (&parsed, &self.defaults.region)
            && region != ours
        {
            let message = format!(
                "the certificate is in {region}, and the load balancer is in {ours}; a load balancer serves only certificates of its own \
                 region"
            );
            self.problem(
                Part::Certificate,
                field,
                reason::INVALID_SPEC,
                Class::Spec,
                message,
            );
        }
        Some(parsed)
    }
}
