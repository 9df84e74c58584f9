//! The access keys of the IAM user of a registry.
//!
//! AWS shows the secret of a key once, in the answer that creates it. A key whose secret did not reach the Secret is of no use to
//! anybody; the plan deletes it, so nothing has to be remembered here.

use aws_config::retry::RetryConfig;
use aws_sdk_iam::types::StatusType;
use jiff::Timestamp;
use secrecy::SecretString;

use super::{
    clients::Aws,
    desired::Desired,
    error::Error,
    iam::{empty_answer, gone, if_there},
    names::{AccessKeyId, UserName},
    observed::KeyState,
    s3::timestamp,
    step::{NewAccessKey, StepOutcome},
};

impl Aws {
    pub(super) async fn access_keys(
        &self,
        want: &Desired,
        user: &UserName,
    ) -> Result<Vec<KeyState>, Error> {
        let call = self.user_call("iam:ListAccessKeys", want, user);
        let answer = self
            .iam(want)
            .list_access_keys()
            .user_name(user.as_str())
            .send()
            .await;
        let Some(answer) = if_there(&call, answer)? else {
            return Ok(Vec::new());
        };
        let key = |found: &aws_sdk_iam::types::AccessKeyMetadata| {
            Some(KeyState {
                id: found.access_key_id()?.parse().ok()?,
                active: found.status() == Some(&StatusType::Active),
                created: found
                    .create_date()
                    .and_then(timestamp)
                    .unwrap_or(Timestamp::UNIX_EPOCH),
            })
        };
        answer
            .access_key_metadata()
            .iter()
            .map(|found| key(found).ok_or_else(|| empty_answer(&call)))
            .collect()
    }

    /// Without the SDK's own retries: a repeated request whose first answer got lost would make a second key.
    pub(super) async fn create_access_key(
        &self,
        want: &Desired,
        user: &UserName,
    ) -> Result<StepOutcome, Error> {
        let call = self.user_call("iam:CreateAccessKey", want, user);
        let once = aws_sdk_iam::config::Builder::new().retry_config(RetryConfig::disabled());
        let answer = self
            .iam(want)
            .create_access_key()
            .user_name(user.as_str())
            .customize()
            .config_override(once)
            .send()
            .await
            .map_err(|error| call.failed(error))?;
        let key = answer.access_key.ok_or_else(|| empty_answer(&call))?;
        let id = key.access_key_id.parse().map_err(|_| empty_answer(&call))?;
        Ok(StepOutcome::KeyCreated(NewAccessKey {
            id,
            secret: SecretString::from(key.secret_access_key),
        }))
    }

    pub(super) async fn delete_access_key(
        &self,
        want: &Desired,
        user: &UserName,
        id: &AccessKeyId,
    ) -> Result<StepOutcome, Error> {
        let call = self.user_call("iam:DeleteAccessKey", want, user);
        let request = self
            .iam(want)
            .delete_access_key()
            .user_name(user.as_str())
            .access_key_id(id.as_str());
        let outcome = gone(&call, request.send().await);
        self.unless_it_is_gone(want, user, outcome).await
    }
}
