//! The checks, one for each thing that can be wrong. A check that finds a problem notes it and goes on.

use std::{collections::BTreeMap, str::FromStr};

use jiff::Timestamp;
use kube::ResourceExt;
use moorage_crds::{ContainerRegistry, ExistingBucket, PolicyKind, S3Spec, condition::reason};
use secrecy::{ExposeSecret, SecretString};

use super::{Defaults, Problem, ProvidedKeys, User, is_foreign, s3_of, text, user_names};
use crate::{
    aws::{
        self, CertificateArn, Desired, DesiredBucket, DesiredIdentity, Existing, InvalidValue,
        Owner, Region, StaticCredentials, StoreAccess,
    },
    controller::{
        claims::{Claim, Standing},
        dereference::References,
        naming,
        report::Part,
    },
    error::Class,
};

/// bcrypt does not look at more of a password (its specification, and every implementation).
const LONGEST_PASSWORD: usize = 72;

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

    /// The bytes of one key of a Secret that the spec names.
    fn secret_value(
        &mut self,
        part: Part,
        field: &str,
        secret: &str,
        key: &str,
    ) -> Option<SecretString> {
        let Some(object) = self.references.named.get(secret) else {
            let message = format!(
                "Secret {secret:?} does not exist in this namespace; create it with the key {key:?}"
            );
            self.problem(
                part,
                format!("{field}.name"),
                reason::SECRET_NOT_FOUND,
                Class::Spec,
                message,
            );
            return None;
        };
        let value = text(object, key).filter(|value| !value.is_empty());
        if value.is_none() {
            let message =
                format!("Secret {secret:?} has no key {key:?}, or it is empty or not UTF-8 text");
            self.problem(
                part,
                format!("{field}.key"),
                reason::SECRET_INVALID,
                Class::Spec,
                message,
            );
        }
        value.map(SecretString::from)
    }

    pub(super) fn provided_keys(&mut self) -> Option<ProvidedKeys> {
        let secret = self
            .registry
            .spec
            .identity
            .as_ref()?
            .secret_ref
            .as_ref()?
            .name
            .clone();
        let field = "spec.identity.secretRef";
        let id = self.secret_value(Part::Identity, field, &secret, naming::ACCESS_KEY_ID);
        if id.is_none() && !self.references.named.contains_key(&secret) {
            return None;
        }
        let key = self.secret_value(Part::Identity, field, &secret, naming::SECRET_ACCESS_KEY);
        let token = self
            .references
            .named
            .get(&secret)
            .and_then(|object| text(object, naming::SESSION_TOKEN));
        let keys = StaticCredentials {
            access_key_id: id?.expose_secret().to_owned(),
            secret_access_key: key?,
            session_token: token.map(SecretString::from),
        };
        Some(ProvidedKeys { secret, keys })
    }

    /// The keys in the Secret of ours.
    pub(super) fn managed_keys(&self, uid: &str) -> Option<StaticCredentials> {
        let name = naming::credentials_secret(&self.registry.name_any());
        let secret = self
            .references
            .live
            .secrets
            .get(&name)
            .filter(|secret| !is_foreign(*secret, uid))?;
        Some(StaticCredentials {
            access_key_id: text(secret, naming::ACCESS_KEY_ID)
                .filter(|id| id.parse::<aws::AccessKeyId>().is_ok())?,
            secret_access_key: text(secret, naming::SECRET_ACCESS_KEY)
                .filter(|key| !key.is_empty())?
                .into(),
            session_token: None,
        })
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

    pub(super) fn users(&mut self) -> Vec<User> {
        let (spec, name) = (&self.registry.spec, self.registry.name_any());
        let references: BTreeMap<&str, _> = spec
            .auth
            .users
            .iter()
            .enumerate()
            .filter_map(|(index, user)| {
                Some((
                    user.name.as_str(),
                    (index, user.password_secret_ref.as_ref()?),
                ))
            })
            .collect();
        let mut users = Vec::new();
        for user in user_names(spec) {
            let secret = naming::login_secret(&name, user);
            let password = if let Some((index, reference)) = references.get(user) {
                self.given_password(*index, &reference.name, &reference.key)
            } else {
                let kept = self
                    .references
                    .live
                    .secrets
                    .get(&secret)
                    .and_then(|object| text(object, naming::PASSWORD));
                kept.filter(|password| is_password(password).is_ok())
                    .map(SecretString::from)
            };
            users.push(User {
                name: user.to_owned(),
                secret,
                password,
            });
        }
        users
    }

    fn given_password(&mut self, index: usize, secret: &str, key: &str) -> Option<SecretString> {
        let field = format!("spec.auth.users[{index}].passwordSecretRef");
        let value = self.secret_value(Part::Auth, &field, secret, key)?;
        // `kubectl create secret --from-file` keeps the line end of the file, which nobody types at a login.
        let password = value.expose_secret();
        let password = password
            .strip_suffix('\n')
            .map_or(password, |line| line.strip_suffix('\r').unwrap_or(line));
        if let Err(rule) = is_password(password) {
            let message =
                format!("the value of key {key:?} of Secret {secret:?} is no password: {rule}");
            self.problem(
                Part::Auth,
                field,
                reason::SECRET_INVALID,
                Class::Spec,
                message,
            );
            return None;
        }
        Some(password.to_owned().into())
    }
}

fn is_password(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > LONGEST_PASSWORD {
        Err("it is longer than 72 bytes, and bcrypt would ignore the rest")
    } else if text.contains('\0') {
        Err("it has a zero byte")
    } else {
        Ok(())
    }
}
