//! Bad input: a clear message in the right place, and nothing lost or leaked.
#![allow(
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test tells one story from top to bottom, and one that indexes wrongly fails as it should"
)]

use anyhow::{Context, Result, ensure};
use aws_sdk_s3::types::{BucketLocationConstraint, CreateBucketConfiguration};
use moorage_e2e::{Namespace, aws, in_namespace};
use serde_json::json;

#[tokio::test]
async fn a_bucket_that_another_account_owns_is_refused() {
    in_namespace("foreign-bucket", async |namespace| {
        let info = &namespace.cluster.info;
        let bucket = format!("{}-theirs", namespace.name);
        let theirs = namespace
            .cluster
            .aws_as(
                &info.aws.other_account.access_key_id,
                &info.aws.other_account.secret_access_key,
            )
            .await;
        aws::s3(&theirs)
            .create_bucket()
            .bucket(&bucket)
            .send()
            .await?;
        let storage = json!({"bucket": bucket, "existing": "Adopt", "deletionPolicy": "Delete"});
        let registry = namespace
            .registry("thief", json!({"storage": {"s3": storage}}))
            .await?;
        registry
            .complains("BucketReady", &[&bucket, "another"])
            .await?;
        registry.delete().await?;
        aws::s3(&theirs)
            .head_bucket()
            .bucket(&bucket)
            .send()
            .await
            .context("the bucket is still theirs")?;
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn a_bucket_in_another_region_is_refused_by_name() {
    in_namespace("region", async |namespace| {
        let bucket = format!("{}-far", namespace.name);
        let place = CreateBucketConfiguration::builder()
            .location_constraint(BucketLocationConstraint::EuWest1)
            .build();
        let far = aws_sdk_s3::config::Builder::from(&namespace.cluster.admin)
            .region(aws_config::Region::new("eu-west-1"))
            .force_path_style(true)
            .build();
        let far = aws_sdk_s3::Client::from_conf(far);
        far.create_bucket()
            .bucket(&bucket)
            .create_bucket_configuration(place)
            .send()
            .await?;
        let storage = json!({"bucket": bucket, "region": "us-east-1", "existing": "Adopt"});
        let registry = namespace
            .registry("near", json!({"storage": {"s3": storage}}))
            .await?;
        registry
            .complains("BucketReady", &[&bucket, "eu-west-1", "us-east-1"])
            .await
    })
    .await;
}

#[tokio::test]
async fn of_two_registries_with_one_bucket_the_older_keeps_it() {
    in_namespace("one-bucket", async |namespace| {
        let bucket = format!("{}-shared", namespace.name);
        let first = namespace
            .registry("first", json!({"storage": {"s3": {"bucket": bucket}}}))
            .await?;
        first.ready().await?;
        let second = namespace
            .registry("second", json!({"storage": {"s3": {"bucket": bucket}}}))
            .await?;
        second.complains("BucketReady", &[&bucket, "first"]).await?;
        first.carries_an_image("still-mine").await?;
        second.delete().await?;
        first.carries_an_image("and-still").await
    })
    .await;
}

#[tokio::test]
async fn two_prefixes_of_one_bucket_are_two_registries() {
    in_namespace("two-prefixes", async |namespace| {
        let bucket = format!("{}-shared", namespace.name);
        let storage =
            |prefix: &str| json!({"storage": {"s3": {"bucket": bucket, "prefix": prefix}}});
        let first = namespace.registry("first", storage("a")).await?;
        first.ready().await?;
        let second = namespace.registry("second", storage("b")).await?;
        second.ready().await?;
        first.carries_an_image("in-a").await?;
        second.carries_an_image("in-b").await?;
        let all = aws::keys(&namespace.cluster, &bucket, "").await?;
        let of = |prefix: &str, name: &str| {
            all.iter()
                .any(|key| key.starts_with(prefix) && key.contains(name))
        };
        ensure!(
            of("a/docker/", "/in-a/") && of("b/docker/", "/in-b/"),
            "{all:#?}"
        );
        ensure!(!of("a/", "/in-b/") && !of("b/", "/in-a/"), "{all:#?}");
        second.delete().await?;
        first.carries_an_image("afterwards").await
    })
    .await;
}

#[tokio::test]
async fn a_secret_that_does_not_exist_yet_is_named_and_waited_for() {
    in_namespace("late-secret", async |namespace| {
        let users =
            json!([{"name": "admin", "passwordSecretRef": {"name": "from-vault", "key": "word"}}]);
        let registry = namespace
            .registry("patient", json!({"auth": {"users": users}}))
            .await?;
        registry.complains("AuthReady", &["from-vault"]).await?;
        namespace
            .secret("from-vault", &[("word", "open sesame, 40 thieves")])
            .await?;
        registry.ready().await?;
        registry.carries_an_image("hello").await
    })
    .await;
}

#[tokio::test]
async fn a_secret_without_the_key_is_named_with_the_key() {
    in_namespace("keyless-secret", async |namespace| {
        namespace.secret("from-vault", &[("other", "x")]).await?;
        let users =
            json!([{"name": "admin", "passwordSecretRef": {"name": "from-vault", "key": "word"}}]);
        let registry = namespace
            .registry("patient", json!({"auth": {"users": users}}))
            .await?;
        registry
            .complains("AuthReady", &["from-vault", "word"])
            .await
    })
    .await;
}

#[tokio::test]
async fn a_malformed_arn_is_refused_at_the_door() {
    in_namespace("bad-arn", async |namespace| {
        let refused = refusal(
            namespace,
            json!({"hostname": "r.example.com", "tls": {"acm": {"arn": "arn:aws:acm:nonsense"}}}),
        )
        .await?;
        ensure!(refused.contains("spec.tls.acm.arn"), "{refused}");
        let refused = refusal(
            namespace,
            json!({"storage": {"s3": {"bucket": "Not A Bucket"}}}),
        )
        .await?;
        ensure!(refused.contains("spec.storage.s3.bucket"), "{refused}");
        Ok(())
    })
    .await;
}

async fn refusal(namespace: &Namespace, spec: serde_json::Value) -> Result<String> {
    match namespace.registry("refused", spec.clone()).await {
        Ok(_) => anyhow::bail!("the API server accepts {spec}"),
        Err(error) => Ok(format!("{error:#}")),
    }
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_named_in_the_status() {
    in_namespace("no-image", async |namespace| {
        let image = "registry.invalid/nobody/nothing:v0";
        let registry = namespace
            .registry("imageless", json!({"server": {"image": image}}))
            .await?;
        registry.complains("ServerAvailable", &[image]).await?;
        let (ready, _, _) = registry.condition("Ready").await?;
        ensure!(ready == "False");
        registry
            .patch_spec(json!({"server": {"image": null}}))
            .await?;
        registry.ready().await
    })
    .await;
}

/// Somebody's Secret that happens to have the name we would choose is not ours to write.
#[tokio::test]
async fn a_foreign_object_of_our_name_is_left_alone() {
    in_namespace("foreign-object", async |namespace| {
        namespace
            .secret("precious-htpasswd", &[("mine", "hands off")])
            .await?;
        let registry = namespace.registry("precious", json!({})).await?;
        registry.complains("Ready", &["precious-htpasswd"]).await?;
        ensure!(namespace.secret_value("precious-htpasswd", "mine").await? == "hands off");
        registry.delete().await?;
        ensure!(namespace.secret_value("precious-htpasswd", "mine").await? == "hands off");
        Ok(())
    })
    .await;
}
