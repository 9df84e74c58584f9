//! Checks on a running cluster what the tests of Moorage rely on, so that a broken machine is not mistaken for a broken operator.

use std::{
    io::Write,
    net::SocketAddr,
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::{
    AccessKey, Aws, ClusterInfo, Location, Node, aws, http, pod_image,
    process::{clean_command, output},
    progress::{Seen, phase, wait_for},
};

const NAMESPACE: &str = "moorage-self-test";
const PORT: u16 = 5000;
const PATIENCE: Duration = Duration::from_mins(2);

/// Runs a pod under the `restricted` Pod Security Standard, reaches it, has it reach AWS, makes a load balancer of its
/// Service, and sees a foreign key and a missing image refused.
///
/// # Errors
/// The first check that failed.
pub fn self_test(location: &Location) -> Result<()> {
    let test = Test {
        info: ClusterInfo::read(location)?,
    };
    let node = test
        .info
        .node
        .clone()
        .context("the cluster was started without a node: there is nothing to test")?;
    test.delete_namespace()?;
    let checks: [(&str, Check); 8] = [
        (
            "a namespace that enforces `restricted`",
            Test::make_namespace,
        ),
        ("a privileged pod is refused", Test::privileged_is_refused),
        ("a restricted pod with probes is ready", Test::pod_is_ready),
        (
            "ClusterIP and NodePort answer the host",
            Test::services_answer,
        ),
        ("the pod reaches AWS", Test::pod_reaches_aws),
        ("a Service becomes a load balancer", Test::load_balancer),
        (
            "IAM policies and accounts are enforced",
            Test::iam_is_enforced,
        ),
        (
            "a missing image is reported",
            Test::missing_image_is_reported,
        ),
    ];
    for (name, check) in checks {
        phase(name, || check(&test, &node)).inspect_err(|_| test.diagnose())?;
    }
    phase("everything is deleted", || test.delete_namespace())
}

type Check = fn(&Test, &Node) -> Result<()>;

struct Test {
    info: ClusterInfo,
}

impl Test {
    fn kubectl(&self) -> Command {
        let mut kubectl = clean_command(&self.info.kubectl);
        kubectl
            .env("HOME", &self.info.state_dir)
            .arg("--kubeconfig")
            .arg(&self.info.kubeconfig)
            .args(["--namespace", NAMESPACE]);
        kubectl
    }

    fn apply(&self, manifest: &Value) -> Result<String> {
        let mut child = self
            .kubectl()
            .args(["apply", "--filename=-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("failed to run kubectl")?;
        child
            .stdin
            .take()
            .context("kubectl has no standard input")?
            .write_all(manifest.to_string().as_bytes())?;
        let done = child.wait_with_output()?;
        ensure!(
            done.status.success(),
            "kubectl apply failed: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(String::from_utf8_lossy(&done.stdout).into_owned())
    }

    fn get(&self, object: &str, jsonpath: &str) -> Result<String> {
        let template = format!("--output=jsonpath={jsonpath}");
        output(self.kubectl().args(["get", object, &template]))
    }

    fn diagnose(&self) {
        for arguments in [
            ["get", "pods,services", "--output=wide"],
            ["get", "events", "--output=wide"],
        ] {
            if let Ok(text) = output(self.kubectl().args(arguments)) {
                eprintln!("{text}");
            }
        }
    }

    fn delete_namespace(&self) -> Result<()> {
        output(self.kubectl().args([
            "delete",
            "namespace",
            NAMESPACE,
            "--ignore-not-found",
            "--timeout=120s",
        ]))?;
        Ok(())
    }

    fn make_namespace(&self, _: &Node) -> Result<()> {
        self.apply(&json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        }))?;
        wait_for("the ServiceAccount of the namespace", PATIENCE, || {
            Ok(
                match self.get("serviceaccount/default", "{.metadata.name}") {
                    Ok(_) => Seen::Done(()),
                    Err(error) => Seen::NotYet(format!("{error:#}")),
                },
            )
        })
    }

    fn privileged_is_refused(&self, _: &Node) -> Result<()> {
        let mut pod = pod("privileged", &pod_image::reference());
        let spec = pod.pointer_mut("/spec").context("a pod has a spec")?;
        insert(spec, "hostNetwork", json!(true))?;
        refused_with("violates PodSecurity", self.apply(&pod))
    }

    fn pod_is_ready(&self, _: &Node) -> Result<()> {
        self.apply(&pod("server", &pod_image::reference()))?;
        self.apply(&json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "server"},
            "spec": {
                "type": "NodePort",
                "selector": {"app": "server"},
                "ports": [{"port": 80, "targetPort": PORT}],
            },
        }))?;
        wait_for("the pod to be ready", PATIENCE, || {
            let ready = self.get(
                "pod/server",
                r#"{.status.conditions[?(@.type=="Ready")].status} {.status.containerStatuses[0].state}"#,
            )?;
            Ok(if ready.starts_with("True") {
                Seen::Done(())
            } else {
                Seen::NotYet(ready)
            })
        })
    }

    /// Waits until `GET path` answers 200, and returns the body.
    fn fetch(address: &str, path: &str) -> Result<String> {
        let address: SocketAddr = address
            .parse()
            .with_context(|| format!("{address:?} is no address"))?;
        wait_for(&format!("{address}{path}"), PATIENCE, || {
            Ok(match http::get(address, path) {
                Ok((200, body)) => Seen::Done(body),
                Ok((status, body)) => Seen::NotYet(format!("status {status}: {body}")),
                Err(error) => Seen::NotYet(format!("{error:#}")),
            })
        })
    }

    fn services_answer(&self, node: &Node) -> Result<()> {
        let ip = self.get("service/server", "{.spec.clusterIP}")?;
        let port = self.get("service/server", "{.spec.ports[0].nodePort}")?;
        for address in [format!("{ip}:80"), format!("{}:{port}", node.address)] {
            let body = Self::fetch(&address, "/")?;
            ensure!(
                body.contains("served by a pod"),
                "{address} answered {body:?}"
            );
        }
        Ok(())
    }

    fn pod_reaches_aws(&self, _: &Node) -> Result<()> {
        let ip = self.get("service/server", "{.spec.clusterIP}")?;
        let path = format!("/fetch?url={}/moto-api/", self.info.aws.endpoint);
        Self::fetch(&format!("{ip}:80"), &path)?;
        Ok(())
    }

    fn load_balancer(&self, _: &Node) -> Result<()> {
        let aws = &self.info.aws;
        self.apply(&json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {
                "name": "public",
                "annotations": {
                    "service.beta.kubernetes.io/aws-load-balancer-ssl-cert": aws.acm_certificate_arn,
                    "service.beta.kubernetes.io/aws-load-balancer-backend-protocol": "http",
                    "service.beta.kubernetes.io/aws-load-balancer-ssl-ports": "443",
                },
            },
            "spec": {
                "type": "LoadBalancer",
                "selector": {"app": "server"},
                "ports": [{"port": 443, "targetPort": PORT}],
            },
        }))?;
        let host = wait_for("the load balancer's host name", PATIENCE, || {
            let host = self.get(
                "service/public",
                "{.status.loadBalancer.ingress[0].hostname}",
            )?;
            Ok(if host.is_empty() {
                Seen::NotYet("none".to_owned())
            } else {
                Seen::Done(host)
            })
        })?;
        wait_for("the load balancer in AWS", PATIENCE, || {
            let answer = aws::call(
                aws,
                &aws.admin,
                "elb",
                "describe_load_balancers",
                &json!({}),
            )?;
            let balancers = answer.pointer("/LoadBalancerDescriptions");
            let mut balancers = balancers.and_then(Value::as_array).into_iter().flatten();
            let ours = balancers.find(|balancer| balancer.get("DNSName") == Some(&json!(host)));
            Ok(match ours {
                Some(balancer) if is_as_wanted(balancer, aws) => Seen::Done(()),
                _ => Seen::NotYet(answer.to_string()),
            })
        })
    }

    fn iam_is_enforced(&self, _: &Node) -> Result<()> {
        let aws = &self.info.aws;
        let bucket = json!({"Bucket": "moorage-self-test"});
        aws::call(aws, &aws.other_account, "s3", "create_bucket", &bucket)?;
        let mut wrong = aws.admin.clone();
        wrong.secret_access_key.push('x');
        let attempts = [
            (&aws.admin, "create_bucket", "BucketAlreadyExists"),
            (&aws.admin, "list_objects_v2", "AccessDenied"),
            (&wrong, "list_objects_v2", "SignatureDoesNotMatch"),
        ];
        let refused = attempts.iter().try_for_each(|(key, operation, code)| {
            refused_with(code, aws::call(aws, key, "s3", operation, &bucket))
        });
        aws::call(aws, &aws.other_account, "s3", "delete_bucket", &bucket)?;
        refused?;
        self.keys_are_enforced()
    }

    /// What a rotation of keys and a deletion in the right order depend on.
    fn keys_are_enforced(&self) -> Result<()> {
        let aws = &self.info.aws;
        let iam = |operation: &str, parameters: &Value| {
            aws::call(aws, &aws.admin, "iam", operation, parameters)
        };
        let user = json!({"UserName": "moorage-self-test"});
        iam("create_user", &user)?;
        let key = iam("create_access_key", &user)?;
        let field = |name: &str| -> Result<String> {
            let value = key.pointer(&format!("/AccessKey/{name}"));
            let text = value.and_then(Value::as_str);
            Ok(text
                .context("an access key has an id and a secret")?
                .to_owned())
        };
        let key = AccessKey {
            access_key_id: field("AccessKeyId")?,
            secret_access_key: field("SecretAccessKey")?,
        };
        let of_user = json!({"UserName": "moorage-self-test", "AccessKeyId": key.access_key_id});
        refused_with(
            "AccessDenied",
            aws::call(aws, &key, "s3", "list_buckets", &json!({})),
        )?;
        refused_with("DeleteConflict", iam("delete_user", &user))?;
        let mut inactive = of_user.clone();
        insert(&mut inactive, "Status", json!("Inactive"))?;
        iam("update_access_key", &inactive)?;
        refused_with(
            "InvalidAccessKeyId",
            aws::call(aws, &key, "s3", "list_buckets", &json!({})),
        )?;
        iam("delete_access_key", &of_user)?;
        iam("delete_user", &user).map(drop)
    }

    fn missing_image_is_reported(&self, _: &Node) -> Result<()> {
        self.apply(&pod("missing", "registry.example.com/missing:1"))?;
        wait_for("ErrImagePull", PATIENCE, || {
            let reason = self.get(
                "pod/missing",
                "{.status.containerStatuses[0].state.waiting.reason}",
            )?;
            Ok(
                if matches!(reason.as_str(), "ErrImagePull" | "ImagePullBackOff") {
                    Seen::Done(())
                } else {
                    Seen::NotYet(reason)
                },
            )
        })
    }
}

fn insert(object: &mut Value, field: &str, value: Value) -> Result<()> {
    let fields = object.as_object_mut().context("not a JSON object")?;
    fields.insert(field.to_owned(), value);
    Ok(())
}

/// Succeeds when the attempt failed, and for this reason.
fn refused_with<T>(reason: &str, attempt: Result<T>) -> Result<()> {
    match attempt {
        Ok(_) => bail!("allowed, but should have been refused with {reason}"),
        Err(error) => {
            let text = format!("{error:#}");
            ensure!(
                text.contains(reason),
                "refused, but not with {reason}: {text}"
            );
            Ok(())
        }
    }
}

/// TLS ends at the balancer, with our certificate; the node is behind it.
fn is_as_wanted(balancer: &Value, aws: &Aws) -> bool {
    [
        ("LoadBalancerPort", json!(443)),
        ("Protocol", json!("HTTPS")),
        ("InstanceProtocol", json!("HTTP")),
        ("SSLCertificateId", json!(aws.acm_certificate_arn)),
    ]
    .iter()
    .all(|(field, wanted)| {
        balancer.pointer(&format!("/ListenerDescriptions/0/Listener/{field}")) == Some(wanted)
    }) && balancer.pointer("/Instances/0/InstanceId") == Some(&json!(aws.instance_id))
}

/// A pod that the `restricted` standard admits, serving HTTP.
fn pod(name: &str, image: &str) -> Value {
    let probe = json!({"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1});
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "server",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "args": ["serve", format!(":{PORT}")],
                "readinessProbe": probe,
                "livenessProbe": probe,
                "securityContext": {
                    "allowPrivilegeEscalation": false,
                    "readOnlyRootFilesystem": true,
                    "capabilities": {"drop": ["ALL"]},
                },
            }],
        },
    })
}
