//! The rules of the custom resource, judged by the real API server.
#![allow(
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test tells one story from top to bottom, and one that indexes wrongly fails as it should"
)]

use std::{fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, PostParams},
    core::GroupVersionKind,
};
use moorage_e2e::{Namespace, Registry, in_namespace, registry};
use serde_json::{Value, json};

/// Every example that people may copy is accepted as it stands.
#[tokio::test]
async fn every_example_is_accepted() {
    in_namespace("examples", async |namespace| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let mut seen = 0;
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "yaml") {
                continue;
            }
            for document in fs::read_to_string(&path)?.split("\n---") {
                let object: Value = serde_saphyr::from_str(document)
                    .with_context(|| format!("{}", path.display()))?;
                accepted(namespace, object)
                    .await
                    .with_context(|| format!("{}", path.display()))?;
                seen += 1;
            }
        }
        ensure!(seen >= 3, "only {seen} examples were found");
        Ok(())
    })
    .await;
}

async fn accepted(namespace: &Namespace, object: Value) -> Result<()> {
    let object: DynamicObject = serde_json::from_value(object)?;
    let types = object.types.clone().context("an example says what it is")?;
    if types.kind == "Namespace" {
        return Ok(());
    }
    let kind = GroupVersionKind::try_from(&types)?;
    let resource = ApiResource::from_gvk(&kind);
    let resource = if kind.kind == "ContainerRegistry" {
        ApiResource::from_gvk_with_plural(&kind, "containerregistries")
    } else {
        resource
    };
    let api: Api<DynamicObject> =
        Api::namespaced_with(namespace.cluster.client.clone(), &namespace.name, &resource);
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut object = object;
    object.metadata.namespace = Some(namespace.name.clone());
    api.create(&dry_run, &object).await?;
    Ok(())
}

/// The cases that the unit tests judge with a library, judged by the real thing.
#[tokio::test]
async fn what_the_rules_accept_the_api_server_accepts() {
    in_namespace("rules-accept", async |namespace| {
        for case in cases("cel/accepted")? {
            verdict(namespace, &case)
                .await?
                .with_context(|| format!("{} is refused", case.path))?;
        }
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_the_rules_and_the_schema_refuse_the_api_server_refuses_in_the_same_words() {
    in_namespace("rules-refuse", async |namespace| {
        for case in cases("cel/refused")?
            .into_iter()
            .chain(cases("schema/refused")?)
        {
            let expected = case
                .expected
                .clone()
                .with_context(|| format!("{} names no message", case.path))?;
            match verdict(namespace, &case).await? {
                Ok(()) => bail!("{} is accepted", case.path),
                Err(error) => ensure!(
                    error.to_string().contains(&expected),
                    "{}: {error}",
                    case.path
                ),
            }
        }
        Ok(())
    })
    .await;
}

struct Case {
    path: String,
    expected: Option<String>,
    documents: Vec<Value>,
}

/// The cases of a folder beside the definition: one document is a creation, two are a creation and its update.
fn cases(folder: &str) -> Result<Vec<Case>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../crds/tests")
        .join(folder);
    let mut cases = Vec::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = entry?.path();
        let text = fs::read_to_string(&path)?;
        let expected = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# refused: "))
            .map(str::to_owned);
        let documents = text
            .split("---\n")
            .map(serde_saphyr::from_str)
            .collect::<Result<Vec<Value>, _>>()?;
        cases.push(Case {
            path: path.display().to_string(),
            expected,
            documents,
        });
    }
    ensure!(!cases.is_empty(), "no cases in {}", folder.display());
    Ok(cases)
}

/// What the API server says to the last step of a case. The outer error is a step before it that failed.
async fn verdict(namespace: &Namespace, case: &Case) -> Result<kube::Result<()>> {
    let api = registry::api(namespace);
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    match case.documents.as_slice() {
        [created] => Ok(api
            .create(&dry_run, &serde_json::from_value(created.clone())?)
            .await
            .map(drop)),
        [created, updated] => {
            // Nothing shall come of it but the verdict.
            let mut created = created.clone();
            created["spec"]["suspend"] = Value::Bool(true);
            created["metadata"]["annotations"] = json!({"moorage.dev/abandon": "true"});
            let stored = api
                .create(&PostParams::default(), &serde_json::from_value(created)?)
                .await?;
            let name = stored
                .metadata
                .name
                .clone()
                .context("the API server names what it creates")?;
            let mut updated: DynamicObject = serde_json::from_value(updated.clone())?;
            let verdict = replace(&api, &name, &mut updated, &dry_run).await;
            Registry::named(namespace, &name).delete().await?;
            Ok(verdict)
        }
        other => bail!("{} has {} documents", case.path, other.len()),
    }
}

/// Replaces the object as `kubectl replace` does; the operator may have written to it in between, which is not what is asked.
async fn replace(
    api: &Api<DynamicObject>,
    name: &str,
    updated: &mut DynamicObject,
    parameters: &PostParams,
) -> kube::Result<()> {
    loop {
        updated.metadata.resource_version = api.get(name).await?.metadata.resource_version;
        match api.replace(name, parameters, updated).await {
            Err(kube::Error::Api(status)) if status.is_conflict() => {}
            answer => return answer.map(drop),
        }
    }
}
