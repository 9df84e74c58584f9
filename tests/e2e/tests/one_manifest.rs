//! One manifest becomes a working registry: what the operator makes of it, and what it may do.
#![allow(
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test tells one story from top to bottom, and one that indexes wrongly fails as it should"
)]

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::{config::http::HttpResponse, error::SdkError};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Secret, Service, ServiceAccount},
};
use moorage_e2e::{Namespace, Registry, aws, eventually, in_namespace};
use serde_json::{Value, json};

async fn with_certificate(namespace: &Namespace, name: &str) -> Result<Registry> {
    let arn = &namespace.cluster.info.aws.acm_certificate_arn;
    let spec = json!({"hostname": "registry.example.com", "tls": {"acm": {"arn": arn}}});
    let registry = namespace.registry(name, spec).await?;
    registry.ready().await?;
    Ok(registry)
}

/// The main job: bucket, identity, login, workload, load balancer and status, all from one object, and an image through it.
#[tokio::test]
async fn one_manifest_becomes_a_working_registry() {
    in_namespace("one-manifest", async |namespace| {
        let registry = with_certificate(namespace, "team-a").await?;
        registry.carries_an_image("lib/hello").await?;

        let bucket = registry.status_text("/storage/bucket").await?;
        let keys = aws::keys(
            &namespace.cluster,
            &bucket,
            "docker/registry/v2/repositories/lib/hello/",
        )
        .await?;
        ensure!(
            keys.iter()
                .any(|key| key.ends_with("/_manifests/tags/v1/current/link")),
            "the tag is not where every registry of this layout looks for it: {keys:#?}"
        );
        ensure!(registry.status_text("/endpoint").await? == "https://registry.example.com");
        Ok(())
    })
    .await;
}

/// A registry that says nothing is private to the cluster: no public load balancer carries a password in the clear.
#[tokio::test]
async fn an_empty_spec_yields_a_private_registry_with_one_login() {
    in_namespace("empty-spec", async |namespace| {
        let registry = namespace.registry("smallest", json!({})).await?;
        registry.ready().await?;
        registry.carries_an_image("hello").await?;
        let service = namespace.api::<Service>().get("smallest").await?;
        let kind = service.spec.and_then(|spec| spec.type_);
        ensure!(
            kind.as_deref() == Some("ClusterIP"),
            "the Service is of type {kind:?}"
        );
        let pull = namespace
            .secret_value("smallest-pull", ".dockerconfigjson")
            .await?;
        let pull: Value = serde_json::from_str(&pull)?;
        ensure!(
            pull["auths"]
                .as_object()
                .is_some_and(|auths| !auths.is_empty()),
            "an empty pull Secret"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_load_balancer_listens_on_443_with_our_certificate() {
    in_namespace("load-balancer", async |namespace| {
        let registry = with_certificate(namespace, "balanced").await?;
        let hostname = registry.status_text("/loadBalancer/hostname").await?;
        let balancer = aws::load_balancer(&namespace.cluster, &hostname)
            .await?
            .with_context(|| {
                format!("no load balancer in AWS has the name of our status, {hostname}")
            })?;
        let listeners: Vec<_> = balancer
            .listener_descriptions()
            .iter()
            .filter_map(|description| description.listener())
            .collect();
        ensure!(
            listeners.len() == 1,
            "one listener was asked for: {listeners:#?}"
        );
        let listener = listeners[0];
        ensure!(
            listener.protocol() == "HTTPS" && listener.load_balancer_port() == 443,
            "{listener:#?}"
        );
        ensure!(
            listener.instance_protocol() == Some("HTTP"),
            "{listener:#?}"
        );
        ensure!(
            listener.ssl_certificate_id()
                == Some(namespace.cluster.info.aws.acm_certificate_arn.as_str()),
            "{listener:#?}"
        );
        let service = namespace.api::<Service>().get("balanced").await?;
        let node_port = service.spec.and_then(|spec| spec.ports?.first()?.node_port);
        ensure!(
            Some(listener.instance_port()) == node_port,
            "{listener:#?} does not lead to node port {node_port:?}"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_server_certificate_of_iam_serves_as_well() {
    in_namespace("iam-certificate", async |namespace| {
        let arn = namespace.cluster.info.aws.iam_certificate_arn.clone();
        let spec = json!({"hostname": "registry.example.com", "tls": {"iamServerCertificate": {"arn": arn}}});
        let registry = namespace.registry("classic", spec).await?;
        registry.ready().await?;
        let hostname = registry.status_text("/loadBalancer/hostname").await?;
        let balancer = aws::load_balancer(&namespace.cluster, &hostname).await?.context("a load balancer")?;
        let certificates: Vec<_> = balancer
            .listener_descriptions()
            .iter()
            .filter_map(|description| description.listener()?.ssl_certificate_id())
            .collect();
        ensure!(certificates == [arn.as_str()], "{certificates:?}");
        Ok(())
    })
    .await;
}

/// The pods are spared the data: a pull is sent on to the bucket with a URL that needs no other proof.
#[tokio::test]
async fn a_layer_is_read_from_the_bucket_itself() {
    in_namespace("redirect", async |namespace| {
        let registry = namespace
            .registry("sending-on", json!({"storage": {"s3": {"redirect": true}}}))
            .await?;
        registry.ready().await?;
        let address = registry.address().await?;
        let crane = registry.crane("admin").await?;
        crane
            .push_small_image(&format!("{address}/hello:v1"))
            .await?;
        let manifest = crane
            .run(&["manifest", &format!("{address}/hello:v1")])
            .await?;
        let manifest: Value = serde_json::from_str(&manifest)?;
        let digest = manifest["layers"][0]["digest"]
            .as_str()
            .context("a layer")?;

        let stays = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        let answer = stays
            .get(format!("http://{address}/v2/hello/blobs/{digest}"))
            .basic_auth("admin", Some(registry.password("admin").await?))
            .send()
            .await?;
        ensure!(answer.status() == 307, "{answer:?}");
        let elsewhere = answer.headers()["location"].to_str()?.to_owned();
        ensure!(
            elsewhere.starts_with(&namespace.cluster.info.aws.endpoint),
            "{elsewhere}"
        );
        let layer = reqwest::get(&elsewhere)
            .await?
            .error_for_status()?
            .bytes()
            .await?;
        ensure!(
            layer.len() as u64 == manifest["layers"][0]["size"],
            "{} bytes",
            layer.len()
        );
        Ok(())
    })
    .await;
}

/// The eight actions on the registry's own bucket, and nothing else in the account.
#[tokio::test]
async fn the_pods_own_key_can_do_its_work_and_nothing_else() {
    in_namespace("own-key", async |namespace| {
        let registry = namespace.registry("narrow", json!({})).await?;
        registry.ready().await?;
        registry.carries_an_image("hello").await?;
        let other = namespace.registry("neighbour", json!({})).await?;
        other.ready().await?;
        other.carries_an_image("hello").await?;

        let (id, secret) = s3_credentials(namespace, "narrow").await?;
        let config = namespace.cluster.aws_as(&id, &secret).await;
        let s3 = aws::s3(&config);
        let own = registry.status_text("/storage/bucket").await?;
        let foreign = other.status_text("/storage/bucket").await?;
        let foreign_key = aws::keys(&namespace.cluster, &foreign, "")
            .await?
            .into_iter()
            .next()
            .context("an object")?;

        s3.put_object()
            .bucket(&own)
            .key("probe")
            .body(b"x".to_vec().into())
            .send()
            .await?;
        s3.get_object().bucket(&own).key("probe").send().await?;
        s3.list_objects_v2().bucket(&own).send().await?;
        let upload = s3
            .create_multipart_upload()
            .bucket(&own)
            .key("big")
            .send()
            .await?;
        let upload = upload.upload_id().context("an upload has an id")?;
        s3.list_multipart_uploads().bucket(&own).send().await?;
        let parts = s3
            .list_parts()
            .bucket(&own)
            .key("big")
            .upload_id(upload)
            .send()
            .await;
        // Moto names the root of this answer otherwise than AWS, and the SDK does not read it; a refusal it would read.
        ensure!(
            parts.as_ref().err().is_none_or(|error| error
                .as_service_error()
                .and_then(|error| error.meta().code())
                .is_none()),
            "{parts:?}"
        );
        s3.abort_multipart_upload()
            .bucket(&own)
            .key("big")
            .upload_id(upload)
            .send()
            .await?;
        s3.delete_object().bucket(&own).key("probe").send().await?;

        denied("ListBuckets", s3.list_buckets().send().await)?;
        denied(
            "GetObject elsewhere",
            s3.get_object()
                .bucket(&foreign)
                .key(foreign_key)
                .send()
                .await,
        )?;
        denied(
            "PutObject elsewhere",
            s3.put_object().bucket(&foreign).key("probe").send().await,
        )?;
        denied(
            "ListBucket elsewhere",
            s3.list_objects_v2().bucket(&foreign).send().await,
        )?;
        denied("DeleteBucket", s3.delete_bucket().bucket(&own).send().await)?;
        denied(
            "PutBucketTagging",
            s3.get_bucket_tagging().bucket(&own).send().await,
        )?;
        denied(
            "iam:ListUsers",
            aws_sdk_iam::Client::new(&config).list_users().send().await,
        )?;
        Ok(())
    })
    .await;
}

fn denied<T, E>(what: &str, answer: Result<T, SdkError<E, HttpResponse>>) -> Result<()> {
    let error = answer.err().with_context(|| format!("{what} is allowed"))?;
    let status = error
        .raw_response()
        .map(|response| response.status().as_u16());
    ensure!(
        status == Some(403),
        "{what} failed with {status:?}, not for want of rights"
    );
    Ok(())
}

async fn s3_credentials(namespace: &Namespace, registry: &str) -> Result<(String, String)> {
    let name = format!("{registry}-s3-credentials");
    let id = namespace.secret_value(&name, "accessKeyId").await?;
    Ok((id, namespace.secret_value(&name, "secretAccessKey").await?))
}

/// A user deletes the wrong thing, or a controller does: it comes back, and the registry works as before.
#[tokio::test]
async fn a_deleted_child_comes_back() {
    in_namespace("children", async |namespace| {
        let registry = namespace.registry("parent", json!({})).await?;
        registry.ready().await?;
        registry.carries_an_image("before").await?;
        comes_back::<Deployment>(namespace, "parent").await?;
        comes_back::<Service>(namespace, "parent").await?;
        comes_back::<ServiceAccount>(namespace, "parent").await?;
        for secret in [
            "parent-htpasswd",
            "parent-login-admin",
            "parent-pull",
            "parent-s3-credentials",
        ] {
            comes_back::<Secret>(namespace, secret).await?;
        }
        let keys = aws_sdk_iam::Client::new(&namespace.cluster.admin);
        let user = registry.status_text("/identity/name").await?;
        eventually(
            "the lost key is replaced, and only one is left",
            async || {
                let listed = keys.list_access_keys().user_name(&user).send().await?;
                let ids: Vec<_> = listed
                    .access_key_metadata()
                    .iter()
                    .filter_map(|key| key.access_key_id())
                    .collect();
                let (recorded, _) = s3_credentials(namespace, "parent").await?;
                ensure!(
                    ids == [recorded.as_str()],
                    "{ids:?} in IAM, {recorded} in the Secret"
                );
                Ok::<_, anyhow::Error>(())
            },
        )
        .await?;
        eventually("it carries images again", async || {
            registry.carries_an_image("after").await
        })
        .await?;
        Ok(())
    })
    .await;
}

async fn comes_back<K>(namespace: &Namespace, name: &str) -> Result<()>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let api = namespace.api::<K>();
    let before = api.get(name).await?.meta().uid.clone();
    api.delete(name, &kube::api::DeleteParams::default())
        .await?;
    eventually(
        &format!("{} {name} is made again", K::kind(&())),
        async || {
            let now = api
                .get_opt(name)
                .await?
                .with_context(|| format!("there is no {name}"))?;
            ensure!(
                now.meta().uid != before && now.meta().deletion_timestamp.is_none(),
                "it is still the old one"
            );
            Ok::<_, anyhow::Error>(())
        },
    )
    .await
}

/// The Pod Security profile is enforced on every test namespace; this says that the pod is there because it satisfies it.
#[tokio::test]
async fn the_pod_runs_without_privileges_and_without_a_token() {
    in_namespace("restricted", async |namespace| {
        let registry = namespace.registry("plain", json!({})).await?;
        registry.ready().await?;
        let deployment = namespace.api::<Deployment>().get("plain").await?;
        let pod = serde_json::to_value(deployment.spec.context("a spec")?.template.spec)?;
        ensure!(
            pod["automountServiceAccountToken"] == json!(false),
            "{pod:#}"
        );
        let container = &pod["containers"][0]["securityContext"];
        ensure!(
            container["readOnlyRootFilesystem"] == json!(true),
            "{container:#}"
        );
        ensure!(
            container["allowPrivilegeEscalation"] == json!(false),
            "{container:#}"
        );
        ensure!(
            container["capabilities"]["drop"] == json!(["ALL"]),
            "{container:#}"
        );
        Ok(())
    })
    .await;
}
