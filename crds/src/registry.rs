//! The root of the API: `ContainerRegistry` and its spec, with the rules that concern more than one section.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::{
    auth::AuthSpec, identity::IdentitySpec, server::ServerSpec, service::ServiceSpec,
    status::ContainerRegistryStatus, storage::StorageSpec, tls::TlsSpec,
};

/// What the registry should be. Everything has a default: an empty spec is a private registry on its own S3 bucket.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, Deserialize, Serialize, PartialEq)]
#[kube(
    group = "moorage.dev",
    version = "v1alpha1",
    kind = "ContainerRegistry",
    plural = "containerregistries",
    singular = "containerregistry",
    shortname = "creg",
    category = "all",
    category = "moorage",
    namespaced,
    status = "ContainerRegistryStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A private container registry on AWS: a bucket, an identity that may touch only that bucket, the server, and the way in.",
    scale(
        spec_replicas_path = ".spec.server.replicas",
        status_replicas_path = ".status.replicas",
        label_selector_path = ".status.selector"
    ),
    printcolumn(name = "Ready", type_ = "string", json_path = ".status.conditions[?(@.type==\"Ready\")].status"),
    printcolumn(
        name = "Endpoint",
        type_ = "string",
        description = "Where clients log in, push and pull",
        json_path = ".status.endpoint"
    ),
    printcolumn(name = "Bucket", type_ = "string", json_path = ".status.storage.bucket"),
    printcolumn(name = "Replicas", type_ = "integer", description = "Ready pods", json_path = ".status.readyReplicas"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Identity",
        type_ = "string",
        description = "IAM user of the pods, or the Secret that brings the keys",
        json_path = ".status.identity.name",
        priority = "1"
    ),
    printcolumn(
        name = "Certificate",
        type_ = "string",
        description = "When the certificate of the load balancer ends",
        json_path = ".status.certificate.notAfter",
        priority = "1"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        description = "Why the registry is, or is not, ready",
        json_path = ".status.conditions[?(@.type==\"Ready\")].reason",
        priority = "1"
    ),
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]{0,48}[a-z0-9])?$')")
        .message("metadata.name must be at most 50 lower-case letters, digits and hyphens, beginning with a letter: the Service gets the same name")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(
        "(has(self.storage) && has(self.storage.s3.bucket) ? self.storage.s3.bucket : '') == \
         (has(oldSelf.storage) && has(oldSelf.storage.s3.bucket) ? oldSelf.storage.s3.bucket : '')"
    )
    .message("storage.s3.bucket cannot be set, changed or removed after creation: the images would stay behind in the old bucket; create another ContainerRegistry"),
    validation = Rule::new(
        "(has(self.storage) && has(self.storage.s3.region) ? self.storage.s3.region : '') == \
         (has(oldSelf.storage) && has(oldSelf.storage.s3.region) ? oldSelf.storage.s3.region : '')"
    )
    .message("storage.s3.region cannot be set, changed or removed after creation: a bucket does not move; create another ContainerRegistry"),
    validation = Rule::new(
        "(has(self.storage) && has(self.storage.s3.prefix) ? self.storage.s3.prefix : '') == \
         (has(oldSelf.storage) && has(oldSelf.storage.s3.prefix) ? oldSelf.storage.s3.prefix : '')"
    )
    .message("storage.s3.prefix cannot be set, changed or removed after creation: the images would stay behind under the old prefix; create another ContainerRegistry"),
    validation = Rule::new(
        "(has(self.storage) && has(self.storage.s3.endpoint)) == (has(oldSelf.storage) && has(oldSelf.storage.s3.endpoint))"
    )
    .message("storage.s3.endpoint cannot be added or removed after creation: that would be another store; create another ContainerRegistry"),
    validation = Rule::new(
        "!(has(self.storage) && has(self.storage.s3.endpoint)) || (has(self.identity) && has(self.identity.secretRef))"
    )
    .message("storage.s3.endpoint needs identity.secretRef: a store that is not AWS knows no IAM user"),
    validation = Rule::new("!has(self.tls) || !has(self.service) || self.service.type == 'LoadBalancer'")
        .message("tls needs service.type LoadBalancer: it is the load balancer that serves the certificate")
)]
pub struct ContainerRegistrySpec {
    /// Leave everything as it is, in Kubernetes and in AWS, until this is false again. Default: false.
    /// A suspended registry keeps serving. It can be deleted all the same.
    #[serde(default)]
    pub suspend: bool,

    /// Where the images are kept. Default: a bucket of its own in the operator's region and account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<StorageSpec>,

    /// As whom the pods speak to the store. Default: an IAM user of its own that may touch only this bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<IdentitySpec>,

    /// Who may log in.
    #[serde(default)]
    pub auth: AuthSpec,

    /// The certificate that clients see. Without one the registry is not served through a load balancer, because passwords
    /// would travel in the clear (`service.allowInsecure` overrides that).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsSpec>,

    /// Name under which clients reach the registry, such as `registry.example.com`. It becomes the endpoint in the status and
    /// in the pull Secret. Point its DNS record (CNAME, or a Route 53 alias) at `status.loadBalancer.hostname`.
    /// Default: the host name of the load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub hostname: Option<String>,

    /// The way in.
    #[serde(default)]
    pub service: ServiceSpec,

    /// The pods of the registry server.
    #[serde(default)]
    pub server: ServerSpec,
}
