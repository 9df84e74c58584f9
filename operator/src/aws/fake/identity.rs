//! The users, policies and keys of the fake.

use std::collections::BTreeMap;

use super::{FakePolicy, FakeUser, World, conflict};
use crate::aws::{
    AccessKeyId, Desired, DesiredIdentity, KeyState, Kind, ManagedPolicyState, NewAccessKey,
    PolicyDocument, PolicyKind, Step, StepOutcome, UserName, UserState, policy::POLICY_NAME,
};

fn reads_managed(want: &Desired) -> bool {
    matches!(
        want.identity,
        DesiredIdentity::IamUser {
            policy: PolicyKind::Managed,
            ..
        }
    )
}

impl World {
    pub(super) fn user_state(&self, want: &Desired, name: &UserName) -> Option<UserState> {
        let found = self.users.get(name.as_str())?;
        let text = |document: &PolicyDocument| {
            if reads_managed(want) {
                PolicyDocument::unread()
            } else {
                document.clone()
            }
        };
        Some(UserState {
            arn: format!("arn:aws:iam::{}:user{}{name}", self.account, found.path),
            path: found.path.clone(),
            tags: found.tags.clone(),
            inline: found.inline.get(POLICY_NAME).map(text),
            other_inline: found
                .inline
                .keys()
                .filter(|policy| *policy != POLICY_NAME)
                .cloned()
                .collect(),
            attached: found.attached.iter().cloned().collect(),
            keys: found.keys.clone(),
        })
    }

    pub(super) fn policy_state(
        &self,
        want: &Desired,
        name: &UserName,
    ) -> Option<ManagedPolicyState> {
        let arn = want.policy_arn(&self.account, name);
        let found = self.policies.get(&arn)?;
        let others = found
            .versions
            .keys()
            .filter(|version| **version != found.default);
        Some(ManagedPolicyState {
            other_versions: others.map(|version| format!("v{version}")).collect(),
            document: found
                .versions
                .get(&found.default)
                .filter(|_| reads_managed(want))
                .cloned(),
            arn,
        })
    }

    pub(super) fn carry_out_on_policy(
        &mut self,
        want: &Desired,
        step: &Step,
    ) -> Result<StepOutcome, Kind> {
        match step {
            Step::CreatePolicy { name, document, .. } => {
                let arn = want.policy_arn(&self.account, name);
                if self.policies.contains_key(&arn) {
                    return Err(conflict());
                }
                let versions = BTreeMap::from([(1, document.clone())]);
                self.policies.insert(
                    arn,
                    FakePolicy {
                        versions,
                        default: 1,
                    },
                );
            }
            Step::CreatePolicyVersion { arn, document } => {
                let found = self.policies.get_mut(arn).ok_or(Kind::NotFound)?;
                if found.versions.len() >= 5 {
                    return Err(Kind::LimitExceeded {
                        message: "5 versions".to_owned(),
                    });
                }
                found.default = found.versions.keys().max().map_or(1, |newest| newest + 1);
                found.versions.insert(found.default, document.clone());
            }
            Step::DeletePolicyVersion { arn, version } => {
                let Some(found) = self.policies.get_mut(arn) else {
                    return Ok(StepOutcome::Done);
                };
                let number = version
                    .trim_start_matches('v')
                    .parse()
                    .map_err(|_| Kind::NotFound)?;
                if number == found.default {
                    return Err(conflict());
                }
                found.versions.remove(&number);
            }
            Step::DeletePolicy { arn } => {
                let is_attached = self.users.values().any(|user| user.attached.contains(arn));
                if is_attached
                    || self
                        .policies
                        .get(arn)
                        .is_some_and(|found| found.versions.len() > 1)
                {
                    return Err(conflict());
                }
                self.policies.remove(arn);
            }
            other => unreachable!("not about a policy: {other}"),
        }
        Ok(StepOutcome::Done)
    }

    pub(super) fn carry_out_on_user(&mut self, step: &Step) -> Result<StepOutcome, Kind> {
        match step {
            Step::CreateUser { user, path, tags } => {
                if self.users.contains_key(user.as_str()) {
                    return Err(conflict());
                }
                let made = FakeUser {
                    path: path.clone(),
                    tags: tags.clone(),
                    ..FakeUser::default()
                };
                self.users.insert(user.to_string(), made);
            }
            Step::DeleteUser { user } => {
                let Some(found) = self.users.get(user.as_str()) else {
                    return Ok(StepOutcome::Done);
                };
                if !found.keys.is_empty() || !found.inline.is_empty() || !found.attached.is_empty()
                {
                    return Err(conflict());
                }
                self.users.remove(user.as_str());
            }
            Step::TagUser { user, tags } => self.user(user.as_str())?.tags.extend(tags.clone()),
            Step::PutUserPolicy { user, document } => {
                self.user(user.as_str())?
                    .inline
                    .insert(POLICY_NAME.to_owned(), document.clone());
            }
            Step::DeleteUserPolicy { user, policy } => {
                if let Ok(found) = self.user(user.as_str()) {
                    found.inline.remove(policy);
                }
            }
            Step::AttachPolicy { user, arn } => {
                if !self.policies.contains_key(arn) {
                    return Err(Kind::NotFound);
                }
                self.user(user.as_str())?.attached.insert(arn.clone());
            }
            Step::DetachPolicy { user, arn } => {
                if let Ok(found) = self.user(user.as_str()) {
                    found.attached.remove(arn);
                }
            }
            Step::CreateAccessKey { user } => return self.create_key(user),
            Step::DeleteAccessKey { user, id } => {
                if let Ok(found) = self.user(user.as_str()) {
                    found.keys.retain(|key| key.id != *id);
                }
            }
            other => unreachable!("not about a user: {other}"),
        }
        Ok(StepOutcome::Done)
    }

    fn create_key(&mut self, user: &UserName) -> Result<StepOutcome, Kind> {
        self.keys_made += 1;
        let (number, created) = (self.keys_made, self.now);
        let found = self.user(user.as_str())?;
        if found.keys.len() >= 2 {
            return Err(Kind::LimitExceeded {
                message: "AccessKeysPerUser: 2".to_owned(),
            });
        }
        let id: AccessKeyId = format!("AKIAFAKE{number:08}")
            .parse()
            .map_err(|_| conflict())?;
        found.keys.push(KeyState {
            id: id.clone(),
            active: true,
            created,
        });
        Ok(StepOutcome::KeyCreated(NewAccessKey {
            id,
            secret: format!("secret-{number}").into(),
        }))
    }

    pub(super) fn user(&mut self, name: &str) -> Result<&mut FakeUser, Kind> {
        self.users.get_mut(name).ok_or(Kind::NotFound)
    }
}
