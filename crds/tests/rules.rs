//! The rules and the schema of the definition, tried on the manifests beside this file.
//!
//! `cel/accepted`, `cel/refused` and `schema/refused` hold one case per file: one document is a creation, two are a creation and
//! its update. The first line of a refused case is `# refused: <part of the message>`. The end-to-end tests feed the same files
//! to a real API server.

#![expect(
    clippy::expect_used,
    clippy::unwrap_in_result,
    reason = "a broken case stops the test that reads it"
)]

use std::{fs, path::PathBuf};

use kube::core::cel::Validator;
use moorage_crds::{ContainerRegistry, custom_resource_definition};
use rstest::rstest;
use serde_json::Value;

struct Case {
    expected: Option<String>,
    created: Value,
    updated: Option<Value>,
}

fn case(path: &PathBuf) -> Case {
    let text = fs::read_to_string(path).expect("the case can be read");
    let expected = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("# refused: "))
        .map(str::to_owned);
    let mut documents = text
        .split("---\n")
        .map(|document| serde_saphyr::from_str(document).expect("the case is YAML"));
    Case {
        expected,
        created: documents.next().expect("the case has a document"),
        updated: documents.next(),
    }
}

fn schema() -> Value {
    let definition =
        serde_json::to_value(custom_resource_definition()).expect("the definition is JSON");
    definition
        .pointer("/spec/versions/0/schema/openAPIV3Schema")
        .expect("the definition has a schema")
        .clone()
}

/// What the rules say to the last step of the case; the steps before it must be accepted.
fn verdict(case: &Case) -> Result<(), String> {
    let (schema, validator) = (schema(), Validator::new());
    let creation = validator
        .validate(&schema, &case.created, None)
        .map_err(|errors| errors.to_string());
    match &case.updated {
        None => creation,
        Some(updated) => {
            creation.expect("the object that is updated could be created");
            validator
                .validate(&schema, updated, Some(&case.created))
                .map_err(|errors| errors.to_string())
        }
    }
}

#[rstest]
fn accepted_manifests_pass_every_rule_and_are_understood(
    #[files("tests/cel/accepted/*.yaml")] path: PathBuf,
) {
    let case = case(&path);
    verdict(&case).expect("the manifest is accepted");
    for document in [Some(case.created), case.updated].into_iter().flatten() {
        serde_json::from_value::<ContainerRegistry>(document).expect("the manifest fits the types");
    }
}

#[rstest]
fn refused_manifests_fail_with_the_message_they_name(
    #[files("tests/cel/refused/*.yaml")] path: PathBuf,
) {
    let case = case(&path);
    let expected = case.expected.clone().expect("the case names a message");
    let message = verdict(&case).expect_err("the manifest is refused");
    assert!(
        message.contains(&expected),
        "{message:?} does not contain {expected:?}"
    );
}

/// These are refused by a pattern, a bound or a list key, so no rule needs to say it again.
#[rstest]
fn manifests_that_the_schema_refuses_name_the_field(
    #[files("tests/schema/refused/*.yaml")] path: PathBuf,
) {
    let expected = case(&path).expected.expect("the case names a field");
    let field = expected.split(':').next().expect("a first part");
    let pointer = field.split('.').fold(String::new(), |pointer, part| {
        match part.strip_suffix("[0]") {
            Some(list) => format!("{pointer}/properties/{list}/items"),
            None => format!("{pointer}/properties/{part}"),
        }
    });
    assert!(
        schema().pointer(&pointer).is_some(),
        "the schema has no {pointer}"
    );
}

#[test]
fn the_committed_definition_is_the_one_of_the_types() {
    let committed = concat!(env!("CARGO_MANIFEST_DIR"), "/containerregistries.yaml");
    let committed = fs::read_to_string(committed).expect("the definition is committed");
    let wanted = moorage_crds::custom_resource_definition_yaml().expect("the definition is YAML");
    assert!(
        committed == wanted,
        "run `cargo run -p moorage-crds > crds/containerregistries.yaml` and commit the result"
    );
}

/// `kubectl explain` shows nothing else.
#[test]
fn every_field_of_ours_is_described() {
    fn walk(path: &str, schema: &Value, missing: &mut Vec<String>) {
        // Types of Kubernetes bring their own descriptions, or none.
        if ["affinity", "conditions"]
            .iter()
            .any(|foreign| path.ends_with(foreign))
        {
            return;
        }
        for (name, property) in schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            let path = format!("{path}.{name}");
            if property.get("description").is_none() && path != ".metadata" {
                missing.push(path.clone());
            }
            walk(&path, property, missing);
        }
        if let Some(items) = schema.get("items") {
            walk(path, items, missing);
        }
    }
    let mut missing = Vec::new();
    walk("", &schema(), &mut missing);
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn an_object_that_nobody_has_looked_at_is_not_observed() {
    assert_eq!(
        schema().pointer("/properties/status/default/observedGeneration"),
        Some(&Value::from(-1))
    );
}

#[test]
fn the_defaults_of_the_types_are_the_defaults_of_the_schema() {
    let empty: ContainerRegistry = serde_json::from_value(serde_json::json!({
        "apiVersion": "moorage.dev/v1alpha1", "kind": "ContainerRegistry", "metadata": {"name": "images"}, "spec": {}
    }))
    .expect("an empty spec is a spec");
    assert_eq!(empty.spec, moorage_crds::ContainerRegistrySpec::default());
    let schema = schema();
    for (section, field, value) in [
        ("server", "replicas", Value::from(1)),
        ("service", "idleTimeoutSeconds", 3600.into()),
        ("auth", "realm", "Registry".into()),
    ] {
        let default = schema.pointer(&format!(
            "/properties/spec/properties/{section}/default/{field}"
        ));
        assert_eq!(default, Some(&value), "spec.{section}.{field}");
    }
}
