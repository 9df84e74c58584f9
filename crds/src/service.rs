//! `spec.service`.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The way in: a Service, named as the ContainerRegistry, from port 443 (80 without TLS) to the server's port 5000.
#[derive(KubeSchema, Clone, Debug, Deserialize, Serialize, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.loadBalancerClass) || self.type == 'LoadBalancer'")
        .message("service.loadBalancerClass needs service.type LoadBalancer"),
    validation = Rule::new("!has(self.loadBalancerSourceRanges) || self.type == 'LoadBalancer'")
        .message("service.loadBalancerSourceRanges needs service.type LoadBalancer"),
    validation = Rule::new("!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'")
        .message("service.externalTrafficPolicy needs service.type LoadBalancer or NodePort"),
    validation = Rule::new("!self.allowInsecure || self.type == 'LoadBalancer'")
        .message("service.allowInsecure is about load balancers and needs service.type LoadBalancer")
)]
pub struct ServiceSpec {
    /// `LoadBalancer`, `ClusterIP` or `NodePort`. A LoadBalancer without a certificate is made as ClusterIP, unless
    /// `allowInsecure`. Default: LoadBalancer.
    #[serde(default, rename = "type")]
    pub kind: ServiceType,

    /// Whether the load balancer has public addresses: `Internet` or `Internal`. Default: Internet.
    #[serde(default)]
    pub scheme: Scheme,

    /// After how many seconds without a byte the load balancer cuts a connection, 1 to 4000. The load balancer's own default
    /// of 60 breaks uploads of large layers. Default: 3600.
    #[serde(default = "default_idle_timeout")]
    #[schemars(range(min = 1, max = 4000))]
    pub idle_timeout_seconds: u16,

    /// Which load-balancer controller is responsible. Kubernetes lets nobody change it on a Service of type LoadBalancer.
    /// Default: not set, which means the cluster's default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 128),
        regex(pattern = r"^[A-Za-z0-9]([A-Za-z0-9./_-]*[A-Za-z0-9])?$")
    )]
    pub load_balancer_class: Option<String>,

    /// CIDR blocks from which clients may come, such as `10.0.0.0/8`. At most 50. Default: from everywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 50),
        inner(length(max = 49), regex(pattern = r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$"))
    )]
    pub load_balancer_source_ranges: Vec<String>,

    /// `Cluster`, or `Local` to keep the addresses of clients and reach only pods on the node that was asked. Default: what
    /// Kubernetes defaults to (Cluster).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_traffic_policy: Option<ExternalTrafficPolicy>,

    /// More annotations for the Service. They win over the operator's own. At most 50.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 50))]
    #[x_kube(validation = Rule::new("self.all(key, !key.startsWith('moorage.dev/'))")
        .message("service.annotations must not begin with 'moorage.dev/'"))]
    pub annotations: BTreeMap<String, String>,

    /// More labels for the Service. At most 50. Labels of the operator (`app.kubernetes.io/...`, `moorage.dev/...`) are refused.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 50))]
    #[x_kube(validation = Rule::new("self.all(key, !key.startsWith('app.kubernetes.io/') && !key.startsWith('moorage.dev/'))")
        .message("service.labels must not begin with 'app.kubernetes.io/' or 'moorage.dev/'"))]
    pub labels: BTreeMap<String, String>,

    /// Make a load balancer without a certificate too, on port 80: passwords and images then travel in the clear.
    /// Default: false.
    #[serde(default)]
    pub allow_insecure: bool,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self {
            kind: ServiceType::default(),
            scheme: Scheme::default(),
            idle_timeout_seconds: default_idle_timeout(),
            load_balancer_class: None,
            load_balancer_source_ranges: Vec::new(),
            external_traffic_policy: None,
            annotations: BTreeMap::new(),
            labels: BTreeMap::new(),
            allow_insecure: false,
        }
    }
}

/// One hour: an upload may pause for longer than the 60 s of a classic load balancer, and 4000 s is the most that one accepts.
const fn default_idle_timeout() -> u16 {
    3600
}

/// Type of the Service.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ServiceType {
    /// A load balancer of the cloud.
    #[default]
    LoadBalancer,
    /// Reachable in the cluster only.
    ClusterIP,
    /// A port of each node.
    NodePort,
}

/// From where the load balancer can be reached.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum Scheme {
    /// From everywhere.
    #[default]
    Internet,
    /// From the VPC.
    Internal,
}

/// `Cluster`, or `Local` to keep the addresses of clients and reach only pods on the node that was asked. Default: what
/// Kubernetes defaults to (Cluster).
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, JsonSchema)]
pub enum ExternalTrafficPolicy {
    /// Over any node.
    Cluster,
    /// Only over nodes that have a pod.
    Local,
}
