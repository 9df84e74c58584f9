//! The checks of what comes from Secrets: keys and passwords, those that the spec brings and those that the operator keeps.

use std::collections::BTreeMap;

use kube::ResourceExt;
use moorage_crds::condition::reason;
use secrecy::{ExposeSecret, SecretString};

use super::{
    super::{ProvidedKeys, User, is_foreign, text, user_names},
    Check,
};
use crate::{
    aws::{AccessKeyId, StaticCredentials},
    controller::{naming, report::Part},
    error::Class,
};

/// bcrypt does not look at more of a password (its specification, and every implementation).
const LONGEST_PASSWORD: usize = 72;

impl Check<'_> {
    /// The bytes of one key of a Secret that the spec names.
    fn secret_value(
        &mut self,
        part: Part,
        field: &str,
        secret: &str,
        key: &str,
    ) -> Option<SecretString> {
        let Some(object) = self.references.named.get(secret) else {
            let message = format!(
                "Secret {secret:?} does not exist in this namespace; create it with the key {key:?}"
            );
            self.problem(
                part,
                format!("{field}.name"),
                reason::SECRET_NOT_FOUND,
                Class::Spec,
                message,
            );
            return None;
        };
        let value = text(object, key).filter(|value| !value.is_empty());
        if value.is_none() {
            let message =
                format!("Secret {secret:?} has no key {key:?}, or it is empty or not UTF-8 text");
            self.problem(
                part,
                format!("{field}.key"),
                reason::SECRET_INVALID,
                Class::Spec,
                message,
            );
        }
        value.map(SecretString::from)
    }

    pub(in super::super) fn provided_keys(&mut self) -> Option<ProvidedKeys> {
        let secret = self
            .registry
            .spec
            .identity
            .as_ref()?
            .secret_ref
            .as_ref()?
            .name
            .clone();
        let field = "spec.identity.secretRef";
        let id = self.secret_value(Part::Identity, field, &secret, naming::ACCESS_KEY_ID);
        if id.is_none() && !self.references.named.contains_key(&secret) {
            return None;
        }
        let key = self.secret_value(Part::Identity, field, &secret, naming::SECRET_ACCESS_KEY);
        let token = self
            .references
            .named
            .get(&secret)
            .and_then(|object| text(object, naming::SESSION_TOKEN));
        let keys = StaticCredentials {
            access_key_id: id?.expose_secret().to_owned(),
            secret_access_key: key?,
            session_token: token.map(SecretString::from),
        };
        Some(ProvidedKeys { secret, keys })
    }

    /// The keys in the Secret of ours.
    pub(in super::super) fn managed_keys(&self, uid: &str) -> Option<StaticCredentials> {
        let name = naming::credentials_secret(&self.registry.name_any());
        let secret = self
            .references
            .live
            .secrets
            .get(&name)
            .filter(|secret| !is_foreign(*secret, uid))?;
        Some(StaticCredentials {
            access_key_id: text(secret, naming::ACCESS_KEY_ID)
                .filter(|id| id.parse::<AccessKeyId>().is_ok())?,
            secret_access_key: text(secret, naming::SECRET_ACCESS_KEY)
                .filter(|key| !key.is_empty())?
                .into(),
            session_token: None,
        })
    }

    pub(in super::super) fn users(&mut self) -> Vec<User> {
        let (spec, name) = (&self.registry.spec, self.registry.name_any());
        let references: BTreeMap<&str, _> = spec
            .auth
            .users
            .iter()
            .enumerate()
            .filter_map(|(index, user)| {
                Some((
                    user.name.as_str(),
                    (index, user.password_secret_ref.as_ref()?),
                ))
            })
            .collect();
        let mut users = Vec::new();
        for user in user_names(spec) {
            let secret = naming::login_secret(&name, user);
            let password = if let Some((index, reference)) = references.get(user) {
                self.given_password(*index, &reference.name, &reference.key)
            } else {
                let kept = self
                    .references
                    .live
                    .secrets
                    .get(&secret)
                    .and_then(|object| text(object, naming::PASSWORD));
                kept.filter(|password| is_password(password).is_ok())
                    .map(SecretString::from)
            };
            users.push(User {
                name: user.to_owned(),
                secret,
                password,
            });
        }
        users
    }

    fn given_password(&mut self, index: usize, secret: &str, key: &str) -> Option<SecretString> {
        let field = format!("spec.auth.users[{index}].passwordSecretRef");
        let value = self.secret_value(Part::Auth, &field, secret, key)?;
        // `kubectl create secret --from-file` keeps the line end of the file, which nobody types at a login.
        let password = value.expose_secret();
        let password = password
            .strip_suffix('\n')
            .map_or(password, |line| line.strip_suffix('\r').unwrap_or(line));
        if let Err(rule) = is_password(password) {
            let message =
                format!("the value of key {key:?} of Secret {secret:?} is no password: {rule}");
            self.problem(
                Part::Auth,
                field,
                reason::SECRET_INVALID,
                Class::Spec,
                message,
            );
            return None;
        }
        Some(password.to_owned().into())
    }
}

fn is_password(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        Err("it is empty")
    } else if text.len() > LONGEST_PASSWORD {
        Err("it is longer than 72 bytes, and bcrypt would ignore the rest")
    } else if text.contains('\0') {
        Err("it has a zero byte")
    } else {
        Ok(())
    }
}
