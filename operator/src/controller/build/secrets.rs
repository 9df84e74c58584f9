//! Secrets: access key, htpasswd file, logins, pull Secret.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{Known, metadata};
use crate::{
    aws::StaticCredentials,
    controller::{
        auth::{self, Login},
        naming,
        validate::ValidatedRegistry,
    },
};

fn secret<const N: usize>(
    want: &ValidatedRegistry,
    name: &str,
    kind: &str,
    data: [(&str, String); N],
) -> Secret {
    let data = data
        .into_iter()
        .map(|(key, value)| (key.to_owned(), ByteString(value.into_bytes())))
        .collect();
    Secret {
        metadata: metadata(want, name),
        type_: Some(kind.to_owned()),
        data: Some(data),
        ..Secret::default()
    }
}

pub(super) fn of_credentials(want: &ValidatedRegistry, credentials: &StaticCredentials) -> Secret {
    secret(
        want,
        &naming::credentials_secret(&want.name),
        "Opaque",
        [
            (naming::ACCESS_KEY_ID, credentials.access_key_id.clone()),
            (
                naming::SECRET_ACCESS_KEY,
                credentials.secret_access_key.expose_secret().to_owned(),
            ),
        ],
    )
}

pub(super) fn of_auth(want: &ValidatedRegistry, known: Known<'_>) -> Vec<Secret> {
    let inside = format!("{}.{}.svc", want.name, want.namespace);
    let host = known.host.unwrap_or(&inside);
    let mut secrets: Vec<Secret> = known
        .logins
        .iter()
        .map(|login| of_login(want, login, host))
        .collect();
    let file = auth::htpasswd(known.logins);
    secrets.push(secret(
        want,
        &naming::htpasswd_secret(&want.name),
        "Opaque",
        [(naming::HTPASSWD, file)],
    ));
    if let Some(first) = known.logins.first() {
        let file = docker_config(first, [host, &inside]).to_string();
        let kind = "kubernetes.io/dockerconfigjson";
        secrets.push(secret(
            want,
            &naming::pull_secret(&want.name),
            kind,
            [(".dockerconfigjson", file)],
        ));
    }
    secrets
}

fn of_login(want: &ValidatedRegistry, login: &Login, host: &str) -> Secret {
    let data = [
        (naming::USERNAME, login.name.clone()),
        (naming::PASSWORD, login.password.expose_secret().to_owned()),
        (naming::ENDPOINT, host.to_owned()),
    ];
    secret(want, &login.secret, "kubernetes.io/basic-auth", data)
}

/// What `docker login` writes into `~/.docker/config.json`.
fn docker_config(login: &Login, hosts: [&str; 2]) -> Value {
    let (user, password) = (&login.name, login.password.expose_secret());
    let entry = json!({ "username": user, "password": password, "auth": STANDARD.encode(format!("{user}:{password}")) });
    let auths: BTreeMap<&str, Value> = hosts
        .into_iter()
        .map(|host| (host, entry.clone()))
        .collect();
    json!({ "auths": auths })
}
