//! The objects as people see them, and what must not happen to them.

use rstest::rstest;
use serde_json::{Value, json};

use super::*;
use crate::controller::fixtures::valid;

const ACM: &str =
    "arn:aws:acm:eu-west-1:123456789012:certificate/0f6b8a3e-1c55-4a51-9f29-1f2f5a7cde01";

fn built(spec: &Value, certified: bool) -> Resources<Prepared> {
    let want = valid(spec);
    let login = Login {
        name: "admin".to_owned(),
        secret: "images-login-admin".to_owned(),
        password: "a kept password".into(),
        hash: "$2y$10$hash".to_owned(),
    };
    let exposure = exposure(&want, certified, None);
    let credentials = want.managed_keys.clone().expect("the fixture has keys");
    let known = Known {
        logins: &[login],
        credentials: &credentials,
        exposure: &exposure,
        host: Some("registry.example.com"),
    };
    build(&want, known)
}

#[test]
fn the_objects_of_an_empty_spec() {
    let Resources {
        secrets,
        service_account,
        deployment,
        service,
        state: _,
    } = built(&json!({}), false);
    insta::assert_yaml_snapshot!("deployment", deployment);
    insta::assert_yaml_snapshot!("service_inside", service);
    insta::assert_yaml_snapshot!("service_account", service_account);
    let names: Vec<_> = secrets
        .iter()
        .map(|secret| (secret.metadata.name.clone(), secret.type_.clone()))
        .collect();
    insta::assert_yaml_snapshot!("secrets", names);
}

#[test]
fn the_service_of_a_registry_with_a_certificate() {
    let spec = json!({"tls": {"acm": {"arn": ACM}}, "service": {"scheme": "Internal", "loadBalancerSourceRanges": ["10.0.0.0/8"]}});
    insta::assert_yaml_snapshot!("service_with_certificate", built(&spec, true).service);
}

#[test]
fn annotations_of_the_spec_win_and_labels_of_the_selector_stay() {
    let spec = json!({"tls": {"acm": {"arn": ACM}}, "service": {
        "annotations": {"service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout": "99"}, "labels": {"team": "a"}
    }});
    let service = built(&spec, true).service;
    let annotations = service.metadata.annotations.expect("annotations");
    assert_eq!(
        annotations["service.beta.kubernetes.io/aws-load-balancer-connection-idle-timeout"],
        "99"
    );
    assert_eq!(
        annotations["service.beta.kubernetes.io/aws-load-balancer-ssl-cert"],
        ACM
    );
    let labels = service.metadata.labels.expect("labels");
    assert_eq!(
        (
            labels["team"].as_str(),
            labels["moorage.dev/registry"].as_str()
        ),
        ("a", "images")
    );
}

/// Argo CD prunes what carries its labels and is not in its repository.
#[test]
fn nothing_of_the_registry_s_own_labels_and_annotations_reaches_a_child() {
    let Resources {
        secrets,
        service_account,
        deployment,
        service,
        state: _,
    } = built(&json!({}), false);
    let mut text = serde_json::to_string(&(service_account, deployment, service)).expect("JSON");
    text.push_str(&serde_json::to_string(&secrets).expect("JSON"));
    assert!(!text.contains("argo"), "{text}");
}

#[rstest]
#[case::no_certificate(json!({}), false, None, Exposure::InsideUntilCertified)]
#[case::insecure_by_wish(json!({"service": {"allowInsecure": true}}), false, None, Exposure::Plain)]
#[case::certified(json!({"tls": {"acm": {"arn": ACM}}}), true, None, Exposure::Tls { certificate: ACM.to_owned() })]
#[case::not_found_and_nothing_there(json!({"tls": {"acm": {"arn": ACM}}}), false, None, Exposure::InsideUntilCertified)]
#[case::not_found_and_one_there(json!({"tls": {"acm": {"arn": ACM}}}), false, Some("the old one"), Exposure::Tls { certificate: "the old one".to_owned() })]
#[case::not_found_is_not_plain(json!({"tls": {"acm": {"arn": ACM}}, "service": {"allowInsecure": true}}), false, None, Exposure::InsideUntilCertified)]
#[case::inside_by_wish(json!({"service": {"type": "NodePort"}}), false, Some("the old one"), Exposure::Inside)]
fn a_password_does_not_travel_in_the_clear_unless_asked_for(
    #[case] spec: Value,
    #[case] certified: bool,
    #[case] live: Option<&str>,
    #[case] expected: Exposure,
) {
    assert_eq!(exposure(&valid(&spec), certified, live), expected);
}

#[test]
fn a_new_key_rolls_the_pods_and_a_new_password_does_not() {
    let checksum = |resources: Resources<Prepared>| {
        resources
            .deployment
            .spec
            .and_then(|spec| spec.template.metadata)
            .and_then(|metadata| metadata.annotations)
    };
    let want = valid(&json!({}));
    let credentials = want.managed_keys.clone().expect("keys");
    let rotated = StaticCredentials {
        secret_access_key: "another".into(),
        ..credentials.clone()
    };
    let exposure = Exposure::Inside;
    let login = |hash: &str| {
        vec![Login {
            name: "admin".into(),
            secret: "s".into(),
            password: "p".into(),
            hash: hash.to_owned(),
        }]
    };
    let with = |logins: &[Login], credentials: &StaticCredentials| {
        checksum(build(
            &want,
            Known {
                logins,
                credentials,
                exposure: &exposure,
                host: None,
            },
        ))
    };
    let before = with(&login("one"), &credentials);
    assert_eq!(with(&login("two"), &credentials), before);
    assert_ne!(with(&login("one"), &rotated), before);
}

/// The spec of a person becomes that of the pods, field by field.
#[test]
fn what_the_spec_says_of_the_server_reaches_the_pods() {
    let spec = json!({
        "auth": {"realm": "Team A"},
        "storage": {"s3": {"prefix": "team/a", "redirect": false}},
        "server": {
            "image": "registry.example.com/own:2", "imagePullPolicy": "Never", "imagePullSecrets": [{"name": "pull"}], "replicas": 4,
            "resources": {"limits": {"memory": "1Gi"}}, "nodeSelector": {"disk": "ssd"}, "tolerations": [{"key": "a", "operator": "Exists"}],
            "affinity": {"nodeAffinity": {}}, "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule"}],
            "priorityClassName": "high", "logLevel": "debug", "logFormat": "text", "deleteEnabled": false, "readOnly": true
        }
    });
    insta::assert_yaml_snapshot!("deployment_of_a_full_spec", built(&spec, false).deployment);
}

/// Kubernetes reads `$(NAME)` in the value of a variable as another variable, and `$$` as one `$`.
#[test]
fn a_dollar_in_a_value_reaches_the_server_as_it_is() {
    let deployment = built(&json!({"auth": {"realm": "$$ $(REGISTRY_AUTH)"}}), false).deployment;
    let pod = deployment.spec.expect("a spec").template.spec;
    let variables = pod.expect("a pod").containers[0].env.clone();
    let realm = variables
        .into_iter()
        .flatten()
        .find(|variable| variable.name == "REGISTRY_AUTH_HTPASSWD_REALM")
        .and_then(|variable| variable.value);
    assert_eq!(realm.as_deref(), Some("$$$$ $$(REGISTRY_AUTH)"));
}
