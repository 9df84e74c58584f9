//! What AWS holds, seen by an administrator and by others.

use anyhow::Result;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_iam::operation::get_user::GetUserError;
use aws_sdk_s3::operation::head_bucket::HeadBucketError;

use crate::Cluster;

/// AWS as somebody with these keys sees it.
///
/// `endpoint` is the one URL under which the stand-in for AWS answers to pods and to this machine.
pub(crate) async fn config(
    endpoint: &str,
    region: &str,
    access_key: &str,
    secret_key: &str,
) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .endpoint_url(endpoint)
        .region(Region::new(region.to_owned()))
        .credentials_provider(Credentials::new(
            access_key,
            secret_key,
            None,
            None,
            "cluster.json",
        ))
        .load()
        .await
}

/// An S3 client of that configuration; path style, since the endpoint is an address.
#[must_use]
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(config)
            .force_path_style(true)
            .build(),
    )
}

/// The keys of a bucket below a prefix, the first thousand of them.
///
/// # Errors
/// What S3 answers.
pub async fn keys(cluster: &Cluster, bucket: &str, prefix: &str) -> Result<Vec<String>> {
    let page = s3(&cluster.admin)
        .list_objects_v2()
        .bucket(bucket)
        .prefix(prefix)
        .send()
        .await?;
    Ok(page
        .contents()
        .iter()
        .filter_map(|object| object.key().map(ToOwned::to_owned))
        .collect())
}

/// Whether a bucket exists.
///
/// # Errors
/// What S3 answers, other than that there is none.
pub async fn bucket_exists(cluster: &Cluster, bucket: &str) -> Result<bool> {
    match s3(&cluster.admin).head_bucket().bucket(bucket).send().await {
        Ok(_) => Ok(true),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(HeadBucketError::is_not_found) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether an IAM user exists.
///
/// # Errors
/// What IAM answers, other than that there is none.
pub async fn user_exists(cluster: &Cluster, user: &str) -> Result<bool> {
    match aws_sdk_iam::Client::new(&cluster.admin)
        .get_user()
        .user_name(user)
        .send()
        .await
    {
        Ok(_) => Ok(true),
        Err(error)
            if error
                .as_service_error()
                .is_some_and(GetUserError::is_no_such_entity_exception) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// The load balancer with that DNS name, if there is one.
///
/// # Errors
/// What ELB answers.
pub async fn load_balancer(
    cluster: &Cluster,
    dns_name: &str,
) -> Result<Option<aws_sdk_elasticloadbalancing::types::LoadBalancerDescription>> {
    let client = aws_sdk_elasticloadbalancing::Client::new(&cluster.admin);
    let all = client.describe_load_balancers().send().await?;
    Ok(all
        .load_balancer_descriptions()
        .iter()
        .find(|lb| lb.dns_name() == Some(dns_name))
        .cloned())
}
