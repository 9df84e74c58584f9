//! What needs the operator to itself: its credentials, its rights, and counting what it does. These tests run one at a time.
#![allow(
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test tells one story from top to bottom, and one that indexes wrongly fails as it should"
)]

use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Pod};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use moorage_e2e::{Cluster, Namespace, Registry, eventually, in_namespace, never_within};
use serde_json::{Value, json};

const SYSTEM: &str = "moorage-system";
const OPERATOR: &str = "moorage-operator";

/// One at a time: each of these tests changes the one operator of the cluster.
static OPERATOR_TO_ITSELF: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A registry that is as it should be costs nothing: no call to AWS, no write to Kubernetes, however often it is looked at.
#[tokio::test]
async fn a_second_reconcile_does_nothing() {
    let _turn = OPERATOR_TO_ITSELF.lock().await;
    in_namespace("idle", async |namespace| {
        let registry = namespace.registry("quiet", json!({})).await?;
        registry.ready().await?;
        settled(&registry).await?;
        let (aws_before, writes_before) = (
            aws_calls(&namespace.cluster).await?,
            writes(&namespace.cluster)?,
        );
        // Each of these wakes the operator: the object itself changes, but nothing that it asks for.
        for round in 0..3 {
            let stamp = format!("{round}");
            registry
                .patch(json!({"metadata": {"labels": {"example.com/touched": stamp}}}))
                .await?;
            let touch = json!({"metadata": {"labels": {"example.com/touched": stamp}}});
            let deployments = namespace.api::<Deployment>();
            deployments
                .patch("quiet", &PatchParams::default(), &Patch::Merge(&touch))
                .await?;
        }
        never_within(Duration::from_secs(15), async || {
            let aws = aws_calls(&namespace.cluster).await?;
            ensure!(aws == aws_before, "{} calls to AWS", aws - aws_before);
            let made = writes(&namespace.cluster)?;
            ensure!(
                made.len() == writes_before.len(),
                "writes: {:#?}",
                &made[writes_before.len()..]
            );
            Ok(())
        })
        .await
    })
    .await;
}

/// Nothing has been written or asked for a while: the last consequence of getting ready has passed.
async fn settled(registry: &Registry) -> Result<()> {
    let cluster = &registry.namespace.cluster;
    let quiet_for = Duration::from_secs(5);
    eventually("the operator has come to rest", async || {
        let before = (aws_calls(cluster).await?, writes(cluster)?.len());
        never_within(quiet_for, async || {
            let now = (aws_calls(cluster).await?, writes(cluster)?.len());
            ensure!(now == before, "still at work: {before:?}, then {now:?}");
            Ok(())
        })
        .await
    })
    .await
}

/// The AWS stand-in logs every request with the address it came from; the operator's pod has one of its own.
async fn aws_calls(cluster: &Cluster) -> Result<usize> {
    let pods = Api::<Pod>::namespaced(cluster.client.clone(), SYSTEM)
        .list(&ListParams::default())
        .await?;
    let address = pods
        .items
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .find_map(|pod| pod.status.as_ref()?.pod_ip.clone())
        .context("the operator's pod has no address")?;
    let log = fs::read_to_string(&cluster.info.aws.access_log)?;
    Ok(log
        .lines()
        .filter(|line| line.starts_with(&format!("{address} ")))
        .count())
}

/// The API server's audit log says who wrote what.
fn writes(cluster: &Cluster) -> Result<Vec<String>> {
    let log = fs::read_to_string(&cluster.info.audit_log)?;
    let user = format!("system:serviceaccount:{SYSTEM}:{OPERATOR}");
    let events = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let own = events.filter(|event| event["user"]["username"] == user.as_str());
    Ok(own
        .filter(|event| !matches!(event["verb"].as_str(), Some("get" | "list" | "watch")))
        .map(|event| format!("{} {}", event["verb"], event["requestURI"]))
        .collect())
}

/// The operator without credentials says so in each registry, and goes on by itself when it has them.
#[tokio::test]
async fn an_operator_without_aws_credentials_says_so() {
    let _turn = OPERATOR_TO_ITSELF.lock().await;
    in_namespace("no-credentials", async |namespace| {
        let before = operator(namespace).await?;
        let outcome = without_credentials(namespace).await;
        restore(namespace, before).await?;
        outcome?;
        Registry::named(namespace, "poor").ready().await
    })
    .await;
}

async fn without_credentials(namespace: &Namespace) -> Result<()> {
    let mut deployment = serde_json::to_value(operator(namespace).await?)?;
    let sources = deployment
        .pointer_mut("/spec/template/spec/containers/0/envFrom")
        .and_then(Value::as_array_mut)
        .context("the operator takes its credentials from a Secret")?;
    sources.retain(|source| source.get("secretRef").is_none());
    change(
        namespace,
        json!({"spec": {"template": deployment["spec"]["template"]}}),
    )
    .await?;
    let registry = namespace.registry("poor", json!({})).await?;
    registry.complains("Ready", &["credentials"]).await
}

/// A right that is missing is named, with the action; once it is given, the registry goes on by itself.
#[tokio::test]
async fn a_missing_permission_is_named_by_its_action() {
    let _turn = OPERATOR_TO_ITSELF.lock().await;
    in_namespace("no-permission", async |namespace| {
        let iam = aws_sdk_iam::Client::new(&namespace.cluster.admin);
        let user = OPERATOR;
        let deny = json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Action": "iam:CreateUser", "Resource": "*"},
        ]});
        iam.put_user_policy()
            .user_name(user)
            .policy_name("deny-for-test")
            .policy_document(deny.to_string())
            .send()
            .await?;
        let outcome = async {
            let registry = namespace.registry("limited", json!({})).await?;
            registry
                .complains("IdentityReady", &["iam:CreateUser"])
                .await?;
            Ok::<_, anyhow::Error>(registry)
        }
        .await;
        iam.delete_user_policy()
            .user_name(user)
            .policy_name("deny-for-test")
            .send()
            .await?;
        let registry = outcome?;
        registry
            .patch(json!({"metadata": {"annotations": {"moorage.dev/reconcile": "now"}}}))
            .await?;
        registry.ready().await
    })
    .await;
}

async fn operator(namespace: &Namespace) -> Result<Deployment> {
    let api = Api::<Deployment>::namespaced(namespace.cluster.client.clone(), SYSTEM);
    Ok(api.get(OPERATOR).await?)
}

async fn change(namespace: &Namespace, patch: Value) -> Result<()> {
    let api = Api::<Deployment>::namespaced(namespace.cluster.client.clone(), SYSTEM);
    api.patch(OPERATOR, &PatchParams::default(), &Patch::Merge(&patch))
        .await?;
    rolled_out(namespace).await
}

async fn restore(namespace: &Namespace, before: Deployment) -> Result<()> {
    let spec = serde_json::to_value(before.spec.context("a spec")?)?;
    change(namespace, json!({"spec": {"template": spec["template"]}})).await
}

async fn rolled_out(namespace: &Namespace) -> Result<()> {
    eventually("the operator has rolled out", async || {
        let deployment = operator(namespace).await?;
        let status = deployment.status.clone().unwrap_or_default();
        ensure!(
            status.observed_generation == deployment.metadata.generation,
            "not yet observed"
        );
        ensure!(
            status.updated_replicas == Some(1) && status.replicas == Some(1),
            "{status:?}"
        );
        ensure!(status.ready_replicas == Some(1), "{status:?}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}
