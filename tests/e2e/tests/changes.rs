//! A change of the spec is carried through, and where nothing changes nothing is done.
#![allow(
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test tells one story from top to bottom, and one that indexes wrongly fails as it should"
)]

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use moorage_e2e::{Registry, aws, eventually, in_namespace};
use serde_json::{Value, json};

async fn deployment(registry: &Registry) -> Result<Value> {
    Ok(serde_json::to_value(
        registry
            .namespace
            .api::<Deployment>()
            .get(&registry.name)
            .await?,
    )?)
}

async fn service(registry: &Registry) -> Result<Value> {
    Ok(serde_json::to_value(
        registry
            .namespace
            .api::<Service>()
            .get(&registry.name)
            .await?,
    )?)
}

#[tokio::test]
async fn replicas_resources_and_placement_reach_the_pods() {
    in_namespace("server-fields", async |namespace| {
        let registry = namespace.registry("changing", json!({})).await?;
        registry.ready().await?;
        registry
            .patch_spec(json!({"server": {
                "replicas": 2,
                "resources": {"requests": {"cpu": "0.05", "memory": "32Mi"}, "limits": {"memory": "128Mi"}},
                "nodeSelector": {"kubernetes.io/os": "linux"},
            }}))
            .await?;
        registry.ready().await?;
        let now = deployment(&registry).await?;
        ensure!(now.pointer("/spec/replicas") == Some(&json!(2)), "{now:#}");
        let container = now.pointer("/spec/template/spec/containers/0").context("a container")?;
        ensure!(container.pointer("/resources/requests/cpu") == Some(&json!("50m")), "{container:#}");
        ensure!(container.pointer("/resources/limits/memory") == Some(&json!("128Mi")), "{container:#}");
        ensure!(registry.status("/readyReplicas").await? == json!(2));
        registry.carries_an_image("hello").await?;

        registry.patch_spec(json!({"server": {"nodeSelector": null}})).await?;
        eventually("a removed field is removed from the child", async || {
            let now = deployment(&registry).await?;
            let selector = now.pointer("/spec/template/spec/nodeSelector").cloned();
            ensure!(selector.is_none(), "still {selector:?}");
            Ok::<_, anyhow::Error>(())
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn the_server_image_of_the_spec_is_the_one_that_runs() {
    in_namespace("server-image", async |namespace| {
        let registry = namespace.registry("imaged", json!({})).await?;
        registry.ready().await?;
        let image = registry.status_text("/image").await?;
        // The same image under its other name, which the node also knows.
        let other = image.replacen("ghcr.io/moorage-dev/", "moorage.test/", 1);
        ensure!(
            other != image,
            "{image} is not named as the images builder names it"
        );
        registry
            .patch_spec(json!({"server": {"image": other}}))
            .await?;
        registry.complains("ServerAvailable", &[&other]).await?;
        registry
            .patch_spec(json!({"server": {"image": null}}))
            .await?;
        registry.ready().await?;
        ensure!(registry.status_text("/image").await? == image);
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_certificate_is_exchanged_without_losing_the_listener() {
    in_namespace("new-certificate", async |namespace| {
        let info = &namespace.cluster.info;
        let tls = |arn: &str| json!({"acm": {"arn": arn}});
        let spec =
            json!({"hostname": "registry.example.com", "tls": tls(&info.aws.acm_certificate_arn)});
        let registry = namespace.registry("renewed", spec).await?;
        registry.ready().await?;
        let hostname = registry.status_text("/loadBalancer/hostname").await?;
        let on_listener = async || {
            let balancer = aws::load_balancer(&namespace.cluster, &hostname)
                .await?
                .context("no load balancer")?;
            let description = balancer
                .listener_descriptions()
                .first()
                .cloned()
                .context("no listener")?;
            let listener = description
                .listener()
                .cloned()
                .context("an empty listener")?;
            Ok::<_, anyhow::Error>(listener.ssl_certificate_id().unwrap_or_default().to_owned())
        };
        registry
            .patch_spec(json!({
                "tls": {"acm": null, "iamServerCertificate": {"arn": info.aws.iam_certificate_arn}},
                "service": {"idleTimeoutSeconds": 1200},
            }))
            .await?;
        eventually("the listener has the new certificate", async || {
            let now = on_listener().await?;
            ensure!(
                now == info.aws.iam_certificate_arn,
                "the listener has {now}"
            );
            Ok::<_, anyhow::Error>(())
        })
        .await?;

        // A certificate that is not there: the cloud controller would take the listener away for it.
        let (head, _) = info
            .aws
            .acm_certificate_arn
            .rsplit_once('/')
            .context("an ARN has a slash")?;
        let missing = format!("{head}/00000000-0000-0000-0000-000000000000");
        registry
            .patch_spec(json!({"tls": {"iamServerCertificate": null, "acm": {"arn": missing}}}))
            .await?;
        registry.complains("CertificateReady", &[&missing]).await?;
        let now = on_listener().await?;
        ensure!(
            now == info.aws.iam_certificate_arn,
            "the listener lost its certificate to one that is not there: {now}"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn service_fields_reach_the_service() {
    in_namespace("service-fields", async |namespace| {
        let arn = &namespace.cluster.info.aws.acm_certificate_arn;
        let spec = json!({"hostname": "registry.example.com", "tls": {"acm": {"arn": arn}}});
        let registry = namespace.registry("exposed", spec).await?;
        registry.ready().await?;
        registry
            .patch_spec(json!({"service": {
                "idleTimeoutSeconds": 900,
                "loadBalancerSourceRanges": ["10.0.0.0/8"],
                "annotations": {"example.com/team": "a"},
                "labels": {"example.com/cost-centre": "7"},
            }}))
            .await?;
        eventually("the Service has what was asked for", async || {
            let now = service(&registry).await?;
            let annotations = &now["metadata"]["annotations"];
            let timeout = &annotations["service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout"];
            ensure!(timeout == "900", "{now:#}");
            ensure!(annotations["example.com/team"] == "a", "{now:#}");
            ensure!(now["metadata"]["labels"]["example.com/cost-centre"] == "7", "{now:#}");
            ensure!(now["spec"]["loadBalancerSourceRanges"] == json!(["10.0.0.0/8"]), "{now:#}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        registry.ready().await?;
        registry.patch_spec(json!({"service": {"annotations": null}})).await?;
        eventually("a removed annotation is removed", async || {
            let now = service(&registry).await?;
            ensure!(now["metadata"]["annotations"].get("example.com/team").is_none(), "{now:#}");
            Ok::<_, anyhow::Error>(())
        })
        .await
    })
    .await;
}

#[tokio::test]
async fn users_come_and_go_without_a_restart() {
    in_namespace("users", async |namespace| {
        namespace
            .secret("chosen", &[("password", "correct horse battery staple")])
            .await?;
        let registry = namespace.registry("shared", json!({})).await?;
        registry.ready().await?;
        let generation = deployment(&registry).await?["metadata"]["generation"].clone();
        registry
            .patch_spec(json!({"auth": {"users": [
                {"name": "admin"},
                {"name": "ci", "passwordSecretRef": {"name": "chosen", "key": "password"}},
            ]}}))
            .await?;
        registry.ready().await?;
        let address = registry.address().await?;
        let crane = moorage_e2e::Crane::new(&namespace.cluster)?;
        eventually("the new user gets in", async || {
            crane
                .login(&address, "ci", "correct horse battery staple")
                .await?;
            crane
                .push_small_image(&format!("{address}/ci/app:v1"))
                .await
        })
        .await?;
        registry
            .patch_spec(json!({"auth": {"users": [{"name": "admin"}]}}))
            .await?;
        registry.ready().await?;
        eventually(
            "the user that was taken away is refused",
            async || match crane
                .run(&["manifest", &format!("{address}/ci/app:v1")])
                .await
            {
                Err(error) if format!("{error:#}").contains("UNAUTHORIZED") => Ok(()),
                other => Err(anyhow::anyhow!("the answer is {other:?}")),
            },
        )
        .await?;
        ensure!(
            deployment(&registry).await?["metadata"]["generation"] == generation,
            "a change of users rolled the pods"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn the_policy_moves_between_inline_and_managed_and_drift_is_mended() {
    in_namespace("policy", async |namespace| {
        let registry = namespace.registry("governed", json!({})).await?;
        registry.ready().await?;
        let iam = aws_sdk_iam::Client::new(&namespace.cluster.admin);
        let user = registry.status_text("/identity/name").await?;
        let policies = async || {
            let inline = iam
                .list_user_policies()
                .user_name(&user)
                .send()
                .await?
                .policy_names()
                .len();
            let attached = iam
                .list_attached_user_policies()
                .user_name(&user)
                .send()
                .await?
                .attached_policies()
                .len();
            Ok::<_, anyhow::Error>((inline, attached))
        };
        ensure!(policies().await? == (1, 0), "inline is the default");
        registry
            .patch_spec(json!({"identity": {"iamUser": {"policy": "Managed"}}}))
            .await?;
        registry.ready().await?;
        ensure!(policies().await? == (0, 1), "{:?}", policies().await?);
        registry.carries_an_image("managed").await?;
        registry
            .patch_spec(json!({"identity": {"iamUser": {"policy": "Inline"}}}))
            .await?;
        registry.ready().await?;
        ensure!(policies().await? == (1, 0), "{:?}", policies().await?);

        let name = iam
            .list_user_policies()
            .user_name(&user)
            .send()
            .await?
            .policy_names()[0]
            .clone();
        iam.delete_user_policy()
            .user_name(&user)
            .policy_name(&name)
            .send()
            .await?;
        registry
            .patch(json!({"metadata": {"annotations": {"moorage.dev/reconcile": "drift"}}}))
            .await?;
        eventually("the policy that somebody removed is back", async || {
            let now = policies().await?;
            ensure!(now == (1, 0), "{now:?}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        registry.carries_an_image("inline").await
    })
    .await;
}

#[tokio::test]
async fn a_suspended_registry_is_left_as_it_is() {
    in_namespace("suspend", async |namespace| {
        let registry = namespace.registry("paused", json!({})).await?;
        registry.ready().await?;
        registry.patch_spec(json!({"suspend": true})).await?;
        registry
            .patch_spec(json!({"server": {"replicas": 2}}))
            .await?;
        eventually("the status says that it is suspended", async || {
            let said = registry.get().await?["status"]["conditions"].to_string();
            ensure!(said.contains("Suspended"), "{said}");
            Ok::<_, anyhow::Error>(())
        })
        .await?;
        ensure!(deployment(&registry).await?.pointer("/spec/replicas") == Some(&json!(1)));
        registry.patch_spec(json!({"suspend": false})).await?;
        registry.ready().await?;
        ensure!(deployment(&registry).await?.pointer("/spec/replicas") == Some(&json!(2)));
        Ok(())
    })
    .await;
}
