//! What is wrong, in the words of the cluster: printed when a test fails.

use std::fmt::Write;

use tokio::process::Command;

use crate::Namespace;

/// What is in the namespace, the events, and the last words of the operator and of the registries.
pub async fn of(namespace: &Namespace) -> String {
    let name = namespace.name.as_str();
    let questions: [&[&str]; 6] = [
        &["get", "containerregistries", "-n", name, "-o", "yaml"],
        &[
            "get",
            "deployments,pods,services,secrets,serviceaccounts",
            "-n",
            name,
            "-o",
            "wide",
        ],
        &["describe", "pods", "-n", name],
        &["get", "events", "-n", name, "--sort-by=.lastTimestamp"],
        &[
            "logs",
            "-n",
            name,
            "-l",
            "app.kubernetes.io/managed-by=moorage-operator",
            "--tail=60",
            "--prefix",
        ],
        &[
            "logs",
            "-n",
            "moorage-system",
            "deployment/moorage-operator",
            "--tail=150",
        ],
    ];
    let mut report = format!("---- diagnosis of namespace {name}\n");
    for question in questions {
        let answer = Command::new(&namespace.cluster.info.kubectl)
            .env("KUBECONFIG", &namespace.cluster.info.kubeconfig)
            .args(question)
            .output()
            .await;
        let text = match answer {
            Ok(output) => [output.stdout, output.stderr].concat(),
            Err(error) => error.to_string().into_bytes(),
        };
        let _ = writeln!(
            report,
            "\n$ kubectl {}\n{}",
            question.join(" "),
            String::from_utf8_lossy(&text)
        );
    }
    report
}
