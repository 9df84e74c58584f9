//! The Service. Its annotations are those of the cloud controller of AWS (`docs/service_controller.md` of cloud-provider-aws).

use std::collections::BTreeMap;

use k8s_openapi::{
    api::core::v1::{Service, ServicePort, ServiceSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use moorage_crds::{ExternalTrafficPolicy, Scheme, ServiceType};

use super::{Exposure, deployment::PORT_NAME, exposure::CERTIFICATE_ANNOTATION, metadata};
use crate::controller::{naming, validate::ValidatedRegistry};

const PREFIX: &str = "service.beta.kubernetes.io/aws-load-balancer-";

pub(super) fn service(want: &ValidatedRegistry, exposure: &Exposure) -> Service {
    let spec = &want.service;
    let (port_name, port) = match exposure {
        Exposure::Tls { .. } => ("https", 443),
        Exposure::Plain | Exposure::Inside | Exposure::InsideUntilCertified => ("http", 80),
    };
    let balanced = exposure.is_load_balancer();
    let kind = match (exposure, spec.kind) {
        (Exposure::Tls { .. } | Exposure::Plain, _) => "LoadBalancer",
        (Exposure::Inside, ServiceType::NodePort) => "NodePort",
        (Exposure::Inside | Exposure::InsideUntilCertified, _) => "ClusterIP",
    };
    let mut metadata = metadata(want, &want.name);
    metadata.annotations =
        Some(annotations(want, exposure)).filter(|annotations| !annotations.is_empty());
    metadata
        .labels
        .get_or_insert_default()
        .extend(spec.labels.clone());
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(kind.to_owned()),
            selector: Some(naming::selector(&want.name)),
            ports: Some(vec![ServicePort {
                name: Some(port_name.to_owned()),
                port,
                protocol: Some("TCP".to_owned()),
                target_port: Some(IntOrString::String(PORT_NAME.to_owned())),
                ..ServicePort::default()
            }]),
            // Not ours when the spec does not say: webhooks set it, and Kubernetes lets nobody change it.
            load_balancer_class: spec.load_balancer_class.clone().filter(|_| balanced),
            load_balancer_source_ranges: Some(spec.load_balancer_source_ranges.clone())
                .filter(|ranges| balanced && !ranges.is_empty()),
            external_traffic_policy: spec
                .external_traffic_policy
                .filter(|_| kind != "ClusterIP")
                .map(|policy| {
                    match policy {
                        ExternalTrafficPolicy::Cluster => "Cluster",
                        ExternalTrafficPolicy::Local => "Local",
                    }
                    .to_owned()
                }),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

/// Those of the operator, under those of the spec, which win.
fn annotations(want: &ValidatedRegistry, exposure: &Exposure) -> BTreeMap<String, String> {
    let spec = &want.service;
    let mut annotations = BTreeMap::new();
    let mut set = |name: &str, value: String| annotations.insert(format!("{PREFIX}{name}"), value);
    if exposure.is_load_balancer() {
        // TLS ends in the load balancer, which tells the server so by `X-Forwarded-Proto`; only protocol http does that.
        set("backend-protocol", "http".to_owned());
        set(
            "connection-idle-timeout",
            spec.idle_timeout_seconds.to_string(),
        );
        if spec.scheme == Scheme::Internal {
            set("internal", "true".to_owned());
        }
        if spec.load_balancer_class.is_some() {
            // The AWS Load Balancer Controller reads this one, and defaults to internal.
            let scheme = match spec.scheme {
                Scheme::Internet => "internet-facing",
                Scheme::Internal => "internal",
            };
            set("scheme", scheme.to_owned());
        }
    }
    if let Exposure::Tls { certificate } = exposure {
        set("ssl-ports", "443".to_owned());
        annotations.insert(CERTIFICATE_ANNOTATION.to_owned(), certificate.clone());
    }
    annotations.extend(spec.annotations.clone());
    annotations
}
