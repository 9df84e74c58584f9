//! From what the steps found to the report. Pure.

use k8s_openapi::api::core::v1::{Pod, Service};
use moorage_crds::{
    AuthStatus, CertificateStatus, IdentityStatus, LoadBalancerStatus, StorageStatus,
    condition::reason,
};

use super::{
    build::{Applied, Exposure, Resources},
    cloud::CloudFacts,
    naming,
    report::{Finding, Part, Report, State},
    server_state,
    validate::{Problem, ValidatedRegistry},
};
use crate::{
    aws::{CertificateArn, DesiredIdentity},
    error::{self, Class},
};

/// A step that failed.
#[must_use]
pub fn of_step(part: Part, cause: Option<&kube::Error>, message: &str) -> (Part, Finding) {
    let (class, detail) = cause.map_or((Class::Transient, String::new()), |cause| {
        let (class, detail) = error::of_kubernetes(cause);
        (class, format!(": {detail}"))
    });
    (
        part,
        Finding::failed(
            class,
            reason::KUBERNETES_ERROR,
            format!("{message}{detail}"),
        ),
    )
}

/// Problems of the spec. More than one of a part become one text.
pub fn of_problems(report: &mut Report, problems: Vec<Problem>) {
    for Problem {
        part,
        field,
        reason,
        class,
        message,
    } in problems
    {
        let message = format!("{field}: {message}");
        match report.findings.get_mut(&part) {
            Some(finding) => finding.message = format!("{}; {message}", finding.message),
            None => report.find(part, Finding::failed(class, reason, message)),
        }
    }
}

/// The one thing without which it is not even known which bucket is meant.
pub fn of_bad_prefix(report: &mut Report) {
    let message = "spec.storage.s3.prefix is no prefix: letters, digits and ! - _ . ' ( ) + = @ in parts separated by single slashes";
    report.find(
        Part::Bucket,
        Finding::failed(Class::Spec, reason::INVALID_SPEC, message),
    );
}

/// Pods wait for keys.
pub fn of_missing_keys(report: &mut Report) {
    for part in [Part::Auth, Part::Server, Part::Endpoint] {
        report.find(
            part,
            Finding::waiting(
                reason::WAITING,
                format!("waits for {}", Part::Identity.condition()),
            ),
        );
    }
}

/// Bucket, identity and certificate.
pub fn of_cloud(report: &mut Report, want: &ValidatedRegistry, facts: &CloudFacts) {
    report.findings.extend(facts.findings.clone());
    if want.desired.certificate.is_none() {
        let message = if want.service.allow_insecure {
            "no certificate is asked for; service.allowInsecure lets passwords travel in the clear"
        } else {
            "no certificate is asked for; without one the registry is reachable in the cluster only"
        };
        report.find(
            Part::Certificate,
            Finding {
                reason: reason::NOT_REQUESTED,
                ..Finding::ready(message)
            },
        );
    }
    let bucket = &want.desired.bucket;
    report.facts.storage = Some(StorageStatus {
        bucket: bucket.name.to_string(),
        region: Some(bucket.region.to_string()),
        prefix: Some(bucket.prefix.to_string()).filter(|prefix| !prefix.is_empty()),
        provenance: facts.provenance.filter(|_| {
            facts
                .findings
                .get(&Part::Bucket)
                .is_some_and(|found| found.state == State::Ready)
        }),
    });
    report.facts.identity = Some(identity(want));
    report.facts.certificate = Some(want.desired.certificate.as_ref().map(|arn| {
        CertificateStatus {
            arn: arn.to_string(),
            source: match arn {
                CertificateArn::Acm { .. } => "acm",
                CertificateArn::IamServerCertificate { .. } => "iamServerCertificate",
            }
            .to_owned(),
            domain: facts.certificate.clone().and_then(|(domain, _)| domain),
            not_after: facts
                .certificate
                .clone()
                .and_then(|(_, not_after)| not_after),
        }
    }));
}

fn identity(want: &ValidatedRegistry) -> IdentityStatus {
    let key = |keys: &crate::aws::StaticCredentials| keys.access_key_id.clone();
    match (&want.desired.identity, &want.provided_keys) {
        (DesiredIdentity::IamUser { user, .. }, _) => IdentityStatus {
            kind: "iamUser".to_owned(),
            name: user.to_string(),
            access_key_id: want.managed_keys.as_ref().map(key),
        },
        (DesiredIdentity::Provided { .. }, provided) => IdentityStatus {
            kind: "secretRef".to_owned(),
            name: provided
                .as_ref()
                .map(|provided| provided.secret.clone())
                .unwrap_or_default(),
            access_key_id: provided.as_ref().map(|provided| key(&provided.keys)),
        },
    }
}

/// Host name, or address, of the load balancer that a Service has.
#[must_use]
pub fn balancer(service: &Service) -> Option<String> {
    let ingress = service
        .status
        .as_ref()?
        .load_balancer
        .as_ref()?
        .ingress
        .as_ref()?
        .first()?;
    ingress.hostname.clone().or_else(|| ingress.ip.clone())
}

/// Host under which clients come, without scheme. `None` while the load balancer has none.
#[must_use]
pub fn host(
    want: &ValidatedRegistry,
    exposure: &Exposure,
    service: Option<&Service>,
) -> Option<String> {
    match (&want.hostname, exposure) {
        (Some(_), Exposure::InsideUntilCertified)
        | (None, Exposure::Inside | Exposure::InsideUntilCertified) => {
            Some(format!("{}.{}.svc", want.name, want.namespace))
        }
        (Some(hostname), Exposure::Inside | Exposure::Tls { .. } | Exposure::Plain) => {
            Some(hostname.clone())
        }
        (None, Exposure::Tls { .. } | Exposure::Plain) => service.and_then(balancer),
    }
}

/// Logins, pods and the way in, from the objects as the cluster has them.
pub fn of_applied(
    report: &mut Report,
    want: &ValidatedRegistry,
    exposure: &Exposure,
    applied: &Resources<Applied>,
    pods: &[Pod],
) {
    let users: Vec<&str> = want.users.iter().map(|user| user.name.as_str()).collect();
    let what = if users.len() == 1 { "user" } else { "users" };
    report.find(
        Part::Auth,
        Finding::ready(format!("{} {what} may log in", users.len())),
    );
    report.facts.auth = Some(AuthStatus {
        htpasswd_secret: Some(naming::htpasswd_secret(&want.name)),
        pull_secret: Some(naming::pull_secret(&want.name)),
        login_secrets: want.users.iter().map(|user| user.secret.clone()).collect(),
    });
    report.find(
        Part::Server,
        server_state::finding(&applied.deployment, pods),
    );
    report.facts.replicas = Some(server_state::replicas(&applied.deployment));
    report.facts.selector = Some(naming::query(&naming::selector(&want.name)));
    report.facts.image = Some(want.image.clone());
    let host = host(want, exposure, Some(&applied.service));
    let balancer = balancer(&applied.service).filter(|_| exposure.is_load_balancer());
    report.find(
        Part::Endpoint,
        endpoint(want, exposure, host.as_deref(), balancer.as_deref()),
    );
    report.facts.endpoint = host
        .as_ref()
        .map(|host| format!("{}://{host}", exposure.scheme(want.hostname.as_deref())));
    report.facts.hostname = host;
    report.facts.load_balancer = Some(balancer.map(|hostname| LoadBalancerStatus { hostname }));
}

fn endpoint(
    want: &ValidatedRegistry,
    exposure: &Exposure,
    host: Option<&str>,
    balancer: Option<&str>,
) -> Finding {
    let name = &want.name;
    match (exposure, host, balancer) {
        (Exposure::Tls { .. } | Exposure::Plain, _, None) => Finding::waiting(
            reason::LOAD_BALANCER_PENDING,
            format!(
                "waits for the cloud's load-balancer controller to give Service {name:?} a host name; if it takes long, see \
                 `kubectl describe service {name}`"
            ),
        ),
        (Exposure::Tls { .. } | Exposure::Plain, Some(host), Some(balancer))
            if host != balancer =>
        {
            Finding::ready(format!(
                "clients reach {host} when its DNS record points at {balancer}"
            ))
        }
        (Exposure::Tls { .. } | Exposure::Plain, _, Some(balancer)) => {
            Finding::ready(format!("clients reach {balancer}"))
        }
        (Exposure::InsideUntilCertified, ..) if want.desired.certificate.is_some() => {
            Finding::waiting(
                reason::WAITING,
                format!("waits for {}", Part::Certificate.condition()),
            )
        }
        (Exposure::InsideUntilCertified, ..) => Finding {
            reason: reason::CLUSTER_INTERNAL,
            ..Finding::ready(
                "reachable in the cluster only, because no certificate is named: set spec.tls, or spec.service.allowInsecure to serve \
                 passwords in the clear",
            )
        },
        (Exposure::Inside, ..) => Finding {
            reason: reason::CLUSTER_INTERNAL,
            ..Finding::ready(format!(
                "Service {name:?} has no load balancer, as spec.service.type says"
            ))
        },
    }
}
