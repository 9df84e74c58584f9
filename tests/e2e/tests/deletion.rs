//! What goes with a registry when it is deleted, and what stays.
#![allow(
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test tells one story from top to bottom, and one that indexes wrongly fails as it should"
)]

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use k8s_openapi::api::events::v1::Event;
use kube::api::ListParams;
use moorage_e2e::{Namespace, aws, eventually, in_namespace};
use serde_json::json;

/// The default keeps the data: everything else can be made again.
#[tokio::test]
async fn a_deleted_registry_leaves_its_bucket_and_finds_it_again() {
    in_namespace("retain", async |namespace| {
        let cluster = &namespace.cluster;
        let arn = &cluster.info.aws.acm_certificate_arn;
        let spec = json!({"hostname": "registry.example.com", "tls": {"acm": {"arn": arn}}});
        let registry = namespace.registry("kept", spec.clone()).await?;
        registry.ready().await?;
        registry.carries_an_image("lib/kept").await?;
        let bucket = registry.status_text("/storage/bucket").await?;
        let user = registry.status_text("/identity/name").await?;
        let balancer = registry.status_text("/loadBalancer/hostname").await?;

        registry.delete().await?;
        ensure!(
            aws::bucket_exists(cluster, &bucket).await?,
            "the bucket is gone with all that was in it"
        );
        ensure!(
            !aws::user_exists(cluster, &user).await?,
            "the user is left over"
        );
        ensure!(
            aws::load_balancer(cluster, &balancer).await?.is_none(),
            "the load balancer is left over"
        );

        told(namespace, &[&bucket, "stays"]).await?;

        registry.create(spec).await?;
        registry.ready().await?;
        ensure!(
            registry.status_text("/storage/bucket").await? == bucket,
            "the bucket was not found again"
        );
        let crane = registry.crane("admin").await?;
        let reference = format!("{}/lib/kept:v1", registry.address().await?);
        crane
            .pull_layer(&reference)
            .await
            .context("the image that was pushed before")?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn delete_empties_a_versioned_bucket_with_open_uploads_and_removes_it() {
    in_namespace("delete", async |namespace| {
        let cluster = &namespace.cluster;
        let registry = namespace
            .registry(
                "gone",
                json!({"storage": {"s3": {"deletionPolicy": "Delete"}}}),
            )
            .await?;
        registry.ready().await?;
        let bucket = registry.status_text("/storage/bucket").await?;
        let s3 = aws::s3(&cluster.admin);
        let enabled = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        s3.put_bucket_versioning()
            .bucket(&bucket)
            .versioning_configuration(enabled)
            .send()
            .await?;
        registry.carries_an_image("one").await?;
        registry.carries_an_image("one").await?;
        s3.delete_object()
            .bucket(&bucket)
            .key("never-was")
            .send()
            .await?;
        s3.create_multipart_upload()
            .bucket(&bucket)
            .key("half-done")
            .send()
            .await?;

        registry.delete().await?;
        ensure!(
            !aws::bucket_exists(cluster, &bucket).await?,
            "the bucket is left over"
        );
        Ok(())
    })
    .await;
}

/// The policy counts as it is at the time of deletion, not as it was at creation.
#[tokio::test]
async fn the_deletion_policy_can_be_changed_until_the_end() {
    in_namespace("policy-change", async |namespace| {
        let registry = namespace
            .registry(
                "undecided",
                json!({"storage": {"s3": {"deletionPolicy": "Delete"}}}),
            )
            .await?;
        registry.ready().await?;
        let bucket = registry.status_text("/storage/bucket").await?;
        registry
            .patch_spec(json!({"storage": {"s3": {"deletionPolicy": "Retain"}}}))
            .await?;
        registry.delete().await?;
        ensure!(
            aws::bucket_exists(&namespace.cluster, &bucket).await?,
            "a retained bucket was deleted"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn an_adopted_bucket_is_used_as_it_is_and_never_deleted() {
    in_namespace("adopt", async |namespace| {
        let cluster = &namespace.cluster;
        let bucket = format!("{}-before", namespace.name);
        let s3 = aws::s3(&cluster.admin);
        s3.create_bucket().bucket(&bucket).send().await?;
        let object = s3.put_object().bucket(&bucket).key("theirs.txt");
        object.body(b"x".to_vec().into()).send().await?;

        let storage = json!({"bucket": bucket, "existing": "Refuse", "deletionPolicy": "Delete"});
        let registry = namespace
            .registry("guest", json!({"storage": {"s3": storage}}))
            .await?;
        registry
            .complains("BucketReady", &[&bucket, "existing", "Adopt"])
            .await?;
        registry
            .patch_spec(json!({"storage": {"s3": {"existing": "Adopt"}}}))
            .await?;
        registry.ready().await?;
        ensure!(registry.status_text("/storage/provenance").await? == "Adopted");
        registry.carries_an_image("hello").await?;

        registry.delete().await?;
        ensure!(
            aws::bucket_exists(cluster, &bucket).await?,
            "a bucket that was not ours was deleted"
        );
        let tags = s3.get_bucket_tagging().bucket(&bucket).send().await;
        ensure!(tags.is_err(), "the adopted bucket was tagged: {tags:?}");
        ensure!(
            !aws::keys(cluster, &bucket, "docker/").await?.is_empty(),
            "the data of an adopted bucket was deleted"
        );
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_registry_that_never_became_ready_can_still_be_deleted() {
    in_namespace("never-ready", async |namespace| {
        let users =
            json!([{"name": "ci", "passwordSecretRef": {"name": "nowhere", "key": "password"}}]);
        let registry = namespace
            .registry("stillborn", json!({"auth": {"users": users}}))
            .await?;
        registry.complains("AuthReady", &["nowhere"]).await?;
        registry.delete().await
    })
    .await;
}

#[tokio::test]
async fn an_abandoned_registry_leaves_everything_in_aws() {
    in_namespace("abandon", async |namespace| {
        let registry = namespace
            .registry(
                "left",
                json!({"storage": {"s3": {"deletionPolicy": "Delete"}}}),
            )
            .await?;
        registry.ready().await?;
        let bucket = registry.status_text("/storage/bucket").await?;
        let user = registry.status_text("/identity/name").await?;
        registry
            .patch(json!({"metadata": {"annotations": {"moorage.dev/abandon": "true"}}}))
            .await?;
        registry.delete().await?;
        ensure!(
            aws::bucket_exists(&namespace.cluster, &bucket).await?,
            "the bucket is gone"
        );
        ensure!(
            aws::user_exists(&namespace.cluster, &user).await?,
            "the user is gone"
        );
        told(namespace, &[&bucket, &user]).await
    })
    .await;
}

/// Waits for an event that has all of `words` in its note.
async fn told(namespace: &Namespace, words: &[&str]) -> Result<()> {
    eventually(&format!("an event says {words:?}"), async || {
        let events = namespace
            .api::<Event>()
            .list(&ListParams::default())
            .await?;
        let notes: Vec<_> = events
            .items
            .iter()
            .filter_map(|event| event.note.clone())
            .collect();
        let said = notes
            .iter()
            .any(|note| words.iter().all(|word| note.contains(word)));
        ensure!(said, "{notes:#?}");
        Ok::<_, anyhow::Error>(())
    })
    .await
}
