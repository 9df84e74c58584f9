//! The Deployment: pods that pass the `restricted` Pod Security profile, and are replaced without an interruption.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment},
        core::v1::{
            Affinity, Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar,
            EnvVarSource, HTTPGetAction, KeyToPath, LocalObjectReference, PodAffinityTerm,
            PodAntiAffinity, PodSecurityContext, PodSpec, PodTemplateSpec, Probe,
            ResourceRequirements, SeccompProfile, SecretKeySelector, SecretVolumeSource,
            SecurityContext, Volume, VolumeMount, WeightedPodAffinityTerm,
        },
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use moorage_crds::{ImagePullPolicy, LogFormat, LogLevel, names::CHECKSUM_ANNOTATION};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use super::metadata;
use crate::{
    aws::StaticCredentials,
    controller::{naming, validate::ValidatedRegistry},
};

/// Where the server listens.
const PORT: i32 = 5000;
pub(super) const PORT_NAME: &str = "registry";
/// The user of the image; any but root would do.
const UID: i64 = 65532;
/// How long a pod that is told to end may finish uploads, in seconds.
const GRACE: i64 = 600;
/// How long a pod takes requests after it is told to end, in seconds: nodes and load balancers need that long to notice. It is the
/// server that waits and not a hook before the signal, because it then ends each connection that is used with its next answer.
const LINGER: i64 = 10;
const AUTH_DIRECTORY: &str = "/etc/moorage/auth";

pub(super) fn deployment(want: &ValidatedRegistry, credentials: &StaticCredentials) -> Deployment {
    let selector = naming::selector(&want.name);
    Deployment {
        metadata: metadata(want, &want.name),
        spec: Some(DeploymentSpec {
            replicas: Some(want.server.replicas),
            selector: LabelSelector {
                match_labels: Some(selector),
                ..LabelSelector::default()
            },
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            revision_history_limit: Some(3),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(naming::labels(&want.name)),
                    annotations: Some(BTreeMap::from([(
                        CHECKSUM_ANNOTATION.to_owned(),
                        checksum(credentials),
                    )])),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(want, credentials)),
            },
            ..DeploymentSpec::default()
        }),
        ..Deployment::default()
    }
}

/// Of what the server reads only at its start. The htpasswd file is not in it: the server sees that change.
fn checksum(credentials: &StaticCredentials) -> String {
    let mut digest = Sha256::new();
    let token = credentials
        .session_token
        .as_ref()
        .map_or("", |token| token.expose_secret());
    for part in [
        credentials.access_key_id.as_str(),
        credentials.secret_access_key.expose_secret(),
        token,
    ] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    hex::encode(digest.finalize())
}

fn pod(want: &ValidatedRegistry, credentials: &StaticCredentials) -> PodSpec {
    let server = &want.server;
    PodSpec {
        service_account_name: Some(want.name.clone()),
        automount_service_account_token: Some(false),
        // Variables for each Service of the namespace; one named `registry` would look like configuration.
        enable_service_links: Some(false),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(UID),
            run_as_group: Some(UID),
            fs_group: Some(UID),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".to_owned(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        termination_grace_period_seconds: Some(GRACE),
        containers: vec![container(want, credentials)],
        volumes: Some(volumes(want)),
        image_pull_secrets: list(
            server
                .image_pull_secrets
                .iter()
                .map(|secret| LocalObjectReference {
                    name: secret.name.clone(),
                })
                .collect(),
        ),
        node_selector: Some(server.node_selector.clone()).filter(|labels| !labels.is_empty()),
        tolerations: list(server.tolerations.clone()),
        affinity: Some(server.affinity.clone().unwrap_or_else(|| apart(want))),
        topology_spread_constraints: list(server.topology_spread_constraints.clone()),
        priority_class_name: server.priority_class_name.clone(),
        ..PodSpec::default()
    }
}

/// Absent rather than empty: the API server drops empty lists, and would seem to differ for ever.
fn list<T>(items: Vec<T>) -> Option<Vec<T>> {
    Some(items).filter(|items| !items.is_empty())
}

/// Pods of one registry prefer different nodes.
fn apart(want: &ValidatedRegistry) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(LabelSelector {
            match_labels: Some(naming::selector(&want.name)),
            ..LabelSelector::default()
        }),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..PodAffinityTerm::default()
    };
    let preferred = vec![WeightedPodAffinityTerm {
        weight: 100,
        pod_affinity_term: term,
    }];
    Affinity {
        pod_anti_affinity: Some(PodAntiAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(preferred),
            ..PodAntiAffinity::default()
        }),
        ..Affinity::default()
    }
}

fn container(want: &ValidatedRegistry, credentials: &StaticCredentials) -> Container {
    let mount = |name: &str, path: &str, read_only: Option<bool>| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        read_only,
        ..VolumeMount::default()
    };
    Container {
        name: "registry".to_owned(),
        image: Some(want.image.clone()),
        image_pull_policy: want.server.image_pull_policy.map(|policy| {
            match policy {
                ImagePullPolicy::Always => "Always",
                ImagePullPolicy::IfNotPresent => "IfNotPresent",
                ImagePullPolicy::Never => "Never",
            }
            .to_owned()
        }),
        ports: Some(vec![ContainerPort {
            name: Some(PORT_NAME.to_owned()),
            container_port: PORT,
            protocol: Some("TCP".to_owned()),
            ..ContainerPort::default()
        }]),
        env: Some(environment(want, credentials)),
        resources: Some(
            want.server
                .resources
                .clone()
                .unwrap_or_else(default_resources),
        ),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".to_owned()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![
            mount("auth", AUTH_DIRECTORY, Some(true)),
            mount("tmp", "/tmp", None),
        ]),
        readiness_probe: Some(probe("/readyz", 5, 2)),
        // Slow to act on purpose: a restart ends uploads.
        liveness_probe: Some(probe("/livez", 10, 6)),
        ..Container::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.to_owned()),
            port: IntOrString::String(PORT_NAME.to_owned()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(3),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

fn default_resources() -> ResourceRequirements {
    let requests = [("cpu", "50m"), ("memory", "64Mi")];
    let requests = requests
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Quantity(value.to_owned())))
        .collect();
    ResourceRequirements {
        requests: Some(requests),
        ..ResourceRequirements::default()
    }
}

fn volumes(want: &ValidatedRegistry) -> Vec<Volume> {
    let htpasswd = SecretVolumeSource {
        secret_name: Some(naming::htpasswd_secret(&want.name)),
        // 0440: for the group of the pod.
        default_mode: Some(0o440),
        items: Some(vec![KeyToPath {
            key: naming::HTPASSWD.to_owned(),
            path: naming::HTPASSWD.to_owned(),
            ..KeyToPath::default()
        }]),
        ..SecretVolumeSource::default()
    };
    let tmp = EmptyDirVolumeSource {
        size_limit: Some(Quantity("64Mi".to_owned())),
        ..EmptyDirVolumeSource::default()
    };
    vec![
        Volume {
            name: "auth".to_owned(),
            secret: Some(htpasswd),
            ..Volume::default()
        },
        Volume {
            name: "tmp".to_owned(),
            empty_dir: Some(tmp),
            ..Volume::default()
        },
    ]
}

/// The configuration of the server, in distribution's names, but for `http.draindelay`, which it does not have.
fn environment(want: &ValidatedRegistry, credentials: &StaticCredentials) -> Vec<EnvVar> {
    let bucket = &want.desired.bucket;
    let drain = GRACE - LINGER * 2;
    let log = match want.server.log_level {
        LogLevel::Debug => "debug",
        LogLevel::Info => "info",
        LogLevel::Warn => "warn",
        LogLevel::Error => "error",
    };
    let format = match want.server.log_format {
        LogFormat::Text => "text",
        LogFormat::Json => "json",
    };
    let mut variables = vec![
        value("AWS_EC2_METADATA_DISABLED", "true"),
        value("REGISTRY_AUTH", "htpasswd"),
        value(
            "REGISTRY_AUTH_HTPASSWD_PATH",
            &format!("{AUTH_DIRECTORY}/{}", naming::HTPASSWD),
        ),
        value("REGISTRY_AUTH_HTPASSWD_REALM", &want.realm),
        value("REGISTRY_HTTP_ADDR", &format!(":{PORT}")),
        value("REGISTRY_HTTP_DRAINDELAY", &format!("{LINGER}s")),
        value("REGISTRY_HTTP_DRAINTIMEOUT", &format!("{drain}s")),
        value("REGISTRY_HTTP_RELATIVEURLS", "true"),
        value("REGISTRY_LOG_FORMATTER", format),
        value("REGISTRY_LOG_LEVEL", log),
        value("REGISTRY_STORAGE", "s3"),
        value(
            "REGISTRY_STORAGE_DELETE_ENABLED",
            bool(want.server.delete_enabled),
        ),
        value(
            "REGISTRY_STORAGE_MAINTENANCE_READONLY_ENABLED",
            bool(want.server.read_only),
        ),
        value("REGISTRY_STORAGE_REDIRECT_DISABLE", bool(!want.redirect)),
        value("REGISTRY_STORAGE_S3_BUCKET", bucket.name.as_str()),
        value("REGISTRY_STORAGE_S3_REGION", bucket.region.as_str()),
    ];
    if let Some(endpoint) = &want.s3_endpoint {
        variables.push(value("REGISTRY_STORAGE_S3_REGIONENDPOINT", &endpoint.url));
        variables.push(value(
            "REGISTRY_STORAGE_S3_FORCEPATHSTYLE",
            bool(endpoint.path_style),
        ));
        variables.push(value(
            "REGISTRY_STORAGE_S3_SECURE",
            bool(endpoint.url.starts_with("https://")),
        ));
    }
    if !bucket.prefix.is_whole_bucket() {
        variables.push(value(
            "REGISTRY_STORAGE_S3_ROOTDIRECTORY",
            &format!("/{}", bucket.prefix),
        ));
    }
    variables.extend(secret_variables(want, credentials));
    variables
}

fn secret_variables(want: &ValidatedRegistry, credentials: &StaticCredentials) -> Vec<EnvVar> {
    let managed = naming::credentials_secret(&want.name);
    let secret = want
        .provided_keys
        .as_ref()
        .map_or(managed.as_str(), |provided| provided.secret.as_str());
    let from = |variable: &str, key: &str| EnvVar {
        name: variable.to_owned(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: secret.to_owned(),
                key: key.to_owned(),
                optional: None,
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    let mut variables = vec![
        from("REGISTRY_STORAGE_S3_ACCESSKEY", naming::ACCESS_KEY_ID),
        from("REGISTRY_STORAGE_S3_SECRETKEY", naming::SECRET_ACCESS_KEY),
    ];
    if credentials.session_token.is_some() {
        variables.push(from(
            "REGISTRY_STORAGE_S3_SESSIONTOKEN",
            naming::SESSION_TOKEN,
        ));
    }
    variables
}

/// Kubernetes reads `$(NAME)` in a value as another variable; `$$` is one `$`.
fn value(name: &str, value: &str) -> EnvVar {
    EnvVar {
        name: name.to_owned(),
        value: Some(value.replace('$', "$$")),
        ..EnvVar::default()
    }
}

const fn bool(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
