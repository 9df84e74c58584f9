//! Types and reasons of the conditions. People write alerts on them: they are never renamed.

/// The registry serves, as the spec says, at `status.endpoint`.
pub const READY: &str = "Ready";
/// The operator is at work, or waits for something that will come by itself (kstatus).
pub const RECONCILING: &str = "Reconciling";
/// It goes on only when somebody does something; `message` says what (kstatus).
pub const STALLED: &str = "Stalled";
/// The bucket is there, ours or adopted, and reachable.
pub const BUCKET_READY: &str = "BucketReady";
/// The pods have an identity that may touch the bucket.
pub const IDENTITY_READY: &str = "IdentityReady";
/// The htpasswd file and the logins are as the spec says.
pub const AUTH_READY: &str = "AuthReady";
/// The certificate exists and is given to the load balancer.
pub const CERTIFICATE_READY: &str = "CertificateReady";
/// Enough pods serve.
pub const SERVER_AVAILABLE: &str = "ServerAvailable";
/// There is an endpoint that clients can use.
pub const ENDPOINT_READY: &str = "EndpointReady";

/// All types, in the order in which they appear in the status.
pub const ALL: [&str; 9] = [
    READY,
    RECONCILING,
    STALLED,
    BUCKET_READY,
    IDENTITY_READY,
    AUTH_READY,
    CERTIFICATE_READY,
    SERVER_AVAILABLE,
    ENDPOINT_READY,
];

/// Reasons. One word for one thing, whichever condition carries it.
pub mod reason {
    /// As the spec says.
    pub const SUCCEEDED: &str = "Succeeded";
    /// Work is under way.
    pub const PROGRESSING: &str = "Progressing";
    /// Nothing has been looked at yet.
    pub const NOT_STARTED: &str = "NotStarted";
    /// `spec.suspend` is set.
    pub const SUSPENDED: &str = "Suspended";
    /// The object is being deleted.
    pub const DELETING: &str = "Deleting";
    /// A field of the spec contradicts another, or cannot be used.
    pub const INVALID_SPEC: &str = "InvalidSpec";
    /// The spec names a Secret that does not exist.
    pub const SECRET_NOT_FOUND: &str = "SecretNotFound";
    /// The spec names a Secret that lacks a key, or whose value cannot be used.
    pub const SECRET_INVALID: &str = "SecretInvalid";
    /// An object of that name is there and is not ours.
    pub const NAME_TAKEN: &str = "NameTaken";
    /// Another ContainerRegistry has the bucket.
    pub const BUCKET_CLAIMED: &str = "BucketClaimed";
    /// The bucket is in another AWS account.
    pub const BUCKET_OWNED_BY_ANOTHER_ACCOUNT: &str = "BucketOwnedByAnotherAccount";
    /// The bucket is in our account, without our tags, and the spec does not adopt it.
    pub const BUCKET_EXISTS: &str = "BucketExists";
    /// The bucket carries the tags of another registry.
    pub const BUCKET_OWNED_BY_ANOTHER_REGISTRY: &str = "BucketOwnedByAnotherRegistry";
    /// The bucket is in another region than the spec says.
    pub const BUCKET_IN_ANOTHER_REGION: &str = "BucketInAnotherRegion";
    /// An IAM user or policy of our name is there and is not ours.
    pub const USER_NOT_OURS: &str = "UserNotOurs";
    /// AWS did not say which account this is.
    pub const ACCOUNT_UNKNOWN: &str = "AccountUnknown";
    /// The certificate does not exist.
    pub const CERTIFICATE_NOT_FOUND: &str = "CertificateNotFound";
    /// Nothing is asked for.
    pub const NOT_REQUESTED: &str = "NotRequested";
    /// AWS refused the operator's credentials an action.
    pub const ACCESS_DENIED: &str = "AccessDenied";
    /// The operator has no AWS credentials.
    pub const NO_CREDENTIALS: &str = "NoCredentials";
    /// AWS, or the store, asks for fewer calls.
    pub const THROTTLED: &str = "Throttled";
    /// AWS, or the store, does not answer, or answers with a failure of its own.
    pub const UNAVAILABLE: &str = "Unavailable";
    /// A quota of AWS is used up.
    pub const LIMIT_EXCEEDED: &str = "LimitExceeded";
    /// AWS refused the call, and not for the reasons above.
    pub const AWS_ERROR: &str = "AwsError";
    /// The Kubernetes API refused a call.
    pub const KUBERNETES_ERROR: &str = "KubernetesError";
    /// The image of the server cannot be pulled.
    pub const IMAGE_PULL_FAILED: &str = "ImagePullFailed";
    /// The server starts and ends again and again.
    pub const CRASH_LOOP: &str = "CrashLoop";
    /// No node takes the pod.
    pub const UNSCHEDULABLE: &str = "Unschedulable";
    /// Pods are starting or being replaced.
    pub const ROLLING_OUT: &str = "RollingOut";
    /// `spec.server.replicas` is 0.
    pub const SCALED_TO_ZERO: &str = "ScaledToZero";
    /// The load balancer has no host name yet.
    pub const LOAD_BALANCER_PENDING: &str = "LoadBalancerPending";
    /// Reachable in the cluster only.
    pub const CLUSTER_INTERNAL: &str = "ClusterInternal";
    /// Something else must be ready first; the other condition says what is wrong.
    pub const WAITING: &str = "Waiting";
}
