//! How a registry is reached: a decision of its own, because a password must not cross a public load balancer in the clear, and
//! because a load balancer that works must not lose its certificate to a typing error.

use k8s_openapi::api::core::v1::Service;
use moorage_crds::ServiceType;

use super::super::validate::ValidatedRegistry;

/// Annotation with the certificate of a load balancer.
pub(super) const CERTIFICATE_ANNOTATION: &str =
    "service.beta.kubernetes.io/aws-load-balancer-ssl-cert";

/// How a registry is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// In the cluster only: ClusterIP, or NodePort.
    Inside,
    /// In the cluster only, until there is a certificate; the spec wants a load balancer.
    InsideUntilCertified,
    /// A load balancer that serves this certificate on 443.
    Tls {
        /// ARN.
        certificate: String,
    },
    /// A load balancer on 80, by express wish.
    Plain,
}

impl Exposure {
    /// Scheme of the URL under which clients come.
    #[must_use]
    pub fn scheme(&self, hostname: Option<&str>) -> &'static str {
        match self {
            Self::Tls { .. } => "https",
            // Who names a host without a load balancer of ours has something else in front, with a certificate.
            Self::Inside if hostname.is_some() => "https",
            Self::Inside | Self::InsideUntilCertified | Self::Plain => "http",
        }
    }

    /// Whether this is a load balancer.
    #[must_use]
    pub const fn is_load_balancer(&self) -> bool {
        matches!(self, Self::Tls { .. } | Self::Plain)
    }
}

/// How this registry is reached. `certified` says whether AWS knows the certificate that the spec names; `live` is the certificate
/// of the load balancer that there is.
///
/// The cloud controller removes the listener of a live load balancer before it notices that the new certificate does not exist, so
/// an ARN that was not found never gets that far: the old one stays.
#[must_use]
pub fn exposure(want: &ValidatedRegistry, certified: bool, live: Option<&str>) -> Exposure {
    match (want.service.kind, &want.desired.certificate) {
        (ServiceType::ClusterIP | ServiceType::NodePort, _) => Exposure::Inside,
        (ServiceType::LoadBalancer, Some(arn)) if certified => Exposure::Tls {
            certificate: arn.to_string(),
        },
        (ServiceType::LoadBalancer, Some(_)) => match live {
            Some(live) => Exposure::Tls {
                certificate: live.to_owned(),
            },
            None => Exposure::InsideUntilCertified,
        },
        (ServiceType::LoadBalancer, None) if want.service.allow_insecure => Exposure::Plain,
        (ServiceType::LoadBalancer, None) => Exposure::InsideUntilCertified,
    }
}

/// The certificate of a load balancer that is there.
#[must_use]
pub fn live_certificate(service: Option<&Service>) -> Option<&str> {
    let service = service?;
    let is_load_balancer = service.spec.as_ref()?.type_.as_deref() == Some("LoadBalancer");
    let annotation = service
        .metadata
        .annotations
        .as_ref()?
        .get(CERTIFICATE_ANNOTATION)?;
    is_load_balancer.then_some(annotation.as_str())
}
