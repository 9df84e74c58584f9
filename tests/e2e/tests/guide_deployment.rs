//! The Deployment that people copy from guides, with only the image exchanged for ours.
#![allow(
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test tells one story from top to bottom, and one that indexes wrongly fails as it should"
)]

use std::{collections::BTreeMap, fs, process::Stdio};

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{ConfigMap, Pod},
};
use kube::api::{ListParams, ObjectMeta, PostParams};
use moorage_e2e::{Crane, Namespace, aws, eventually, in_namespace};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, process::Command};

/// A htpasswd line of the user `hand` with the password `by hand`, bcrypt cost 5, as `htpasswd -Bbn` writes it.
const HTPASSWD: &str = include_str!("guide_deployment/htpasswd");

#[tokio::test]
async fn the_guides_deployment_runs_with_only_the_image_changed() {
    in_namespace("guide", async |namespace| {
        let info = &namespace.cluster.info;
        let bucket = format!("{}-images", namespace.name);
        let s3 = aws::s3(&namespace.cluster.admin);
        s3.create_bucket().bucket(&bucket).send().await?;
        // Guides have people turn this on; a registry must not mind.
        let enabled = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        s3.put_bucket_versioning()
            .bucket(&bucket)
            .versioning_configuration(enabled)
            .send()
            .await?;

        let htpasswd = BTreeMap::from([("htpasswd".to_owned(), HTPASSWD.to_owned())]);
        let metadata = ObjectMeta {
            name: Some("registry-auth".to_owned()),
            ..ObjectMeta::default()
        };
        let config = ConfigMap {
            metadata,
            data: Some(htpasswd),
            ..ConfigMap::default()
        };
        namespace
            .api::<ConfigMap>()
            .create(&PostParams::default(), &config)
            .await?;
        let image = moorage_images::contents::REGISTRY_SERVER;
        let deployment = guide(
            image,
            &bucket,
            &info.aws.region,
            &info.aws.admin.access_key_id,
            &info.aws.admin.secret_access_key,
            &info.aws.endpoint,
        );
        namespace
            .api::<Deployment>()
            .create(&PostParams::default(), &serde_json::from_value(deployment)?)
            .await?;

        let address = eventually("the guide's pod is ready", async || {
            ready_pod(namespace).await
        })
        .await?;
        let crane = Crane::new(&namespace.cluster)?;
        crane.login(&address, "hand", "by hand").await?;
        let reference = format!("{address}/lib/guide:v1");
        let pushed = crane.push_small_image(&reference).await?;
        ensure!(
            pulled_with_skopeo(&reference).await? == pushed,
            "what comes back is not what was pushed"
        );
        let keys = aws::keys(
            &namespace.cluster,
            &bucket,
            "docker/registry/v2/repositories/lib/guide/",
        )
        .await?;
        ensure!(!keys.is_empty(), "nothing of it is in the bucket");
        let stranger = Crane::new(&namespace.cluster)?;
        let refused = stranger
            .run(&["manifest", &reference])
            .await
            .err()
            .context("a stranger gets in")?;
        ensure!(
            format!("{refused:#}").contains("UNAUTHORIZED"),
            "{refused:#}"
        );
        Ok(())
    })
    .await;
}

/// The guide says nothing of redirects, so a pull is sent on to the bucket; crane does not follow to a private address, skopeo does.
async fn pulled_with_skopeo(reference: &str) -> Result<Vec<u8>> {
    let folder = tempfile::tempdir()?;
    let keys = folder.path().join("keys.json");
    let image = folder.path().join("image");
    let registry = reference.split('/').next().unwrap_or_default();
    let mut login = Command::new("skopeo");
    login.args([
        "login",
        "--tls-verify=false",
        "--username",
        "hand",
        "--password-stdin",
        registry,
    ]);
    skopeo(login.arg("--authfile").arg(&keys), "by hand").await?;
    let mut copy = Command::new("skopeo");
    copy.args(["copy", "--src-tls-verify=false"])
        .arg("--authfile")
        .arg(&keys);
    copy.arg(format!("docker://{reference}"))
        .arg(format!("dir:{}", image.display()));
    skopeo(&mut copy, "").await?;
    let manifest: Value = serde_json::from_slice(&fs::read(image.join("manifest.json"))?)?;
    let digest = manifest["layers"][0]["digest"]
        .as_str()
        .context("a layer")?;
    let layer = image.join(digest.trim_start_matches("sha256:"));
    let content = Command::new("tar")
        .arg("-xOf")
        .arg(layer)
        .arg("hello.txt")
        .output()
        .await?;
    ensure!(
        content.status.success(),
        "{}",
        String::from_utf8_lossy(&content.stderr)
    );
    Ok(content.stdout)
}

async fn skopeo(command: &mut Command, input: &str) -> Result<()> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("skopeo is needed (apt-get install skopeo)")?;
    child
        .stdin
        .take()
        .context("standard input")?
        .write_all(input.as_bytes())
        .await?;
    let output = child.wait_with_output().await?;
    ensure!(
        output.status.success(),
        "skopeo: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

async fn ready_pod(namespace: &Namespace) -> Result<String> {
    let pods = namespace
        .api::<Pod>()
        .list(&ListParams::default().labels("app=registry"))
        .await?;
    let pod = pods.items.first().context("no pod yet")?;
    let status = pod.status.as_ref().context("no status yet")?;
    let ready = status
        .conditions
        .iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ensure!(ready, "{status:?}");
    Ok(format!(
        "{}:5000",
        status
            .pod_ip
            .as_ref()
            .context("a ready pod has an address")?
    ))
}

/// The environment is the guide's to the letter. The security context is what the test's namespace asks of every pod; the S3 endpoint is
/// there because the S3 of this cluster is not Amazon's.
fn guide(
    image: &str,
    bucket: &str,
    region: &str,
    access_key: &str,
    secret_key: &str,
    endpoint: &str,
) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "registry"},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "registry"}},
            "template": {
                "metadata": {"labels": {"app": "registry"}},
                "spec": {
                    "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
                    "containers": [{
                        "name": "registry",
                        "image": image,
                        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
                        "ports": [{"containerPort": 5000}],
                        "readinessProbe": {"httpGet": {"path": "/", "port": 5000}, "periodSeconds": 1},
                        "env": [
                            {"name": "REGISTRY_AUTH", "value": "htpasswd"},
                            {"name": "REGISTRY_AUTH_HTPASSWD_PATH", "value": "/auth/htpasswd"},
                            {"name": "REGISTRY_AUTH_HTPASSWD_REALM", "value": "Registry Realm"},
                            {"name": "REGISTRY_STORAGE", "value": "s3"},
                            {"name": "REGISTRY_STORAGE_S3_ACCESSKEY", "value": access_key},
                            {"name": "REGISTRY_STORAGE_S3_BUCKET", "value": bucket},
                            {"name": "REGISTRY_STORAGE_S3_REGION", "value": region},
                            {"name": "REGISTRY_STORAGE_S3_SECRETKEY", "value": secret_key},
                            {"name": "REGISTRY_STORAGE_S3_REGIONENDPOINT", "value": endpoint},
                        ],
                        "volumeMounts": [{"name": "auth", "mountPath": "/auth"}],
                    }],
                    "volumes": [{"name": "auth", "configMap": {"name": "registry-auth"}}],
                },
            },
        },
    })
}
