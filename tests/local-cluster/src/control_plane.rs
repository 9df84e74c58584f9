//! etcd, the API server, the controller manager and the scheduler: the flags they get and the conditions they are waited for by.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

use crate::{
    kubeconfig,
    location::text,
    process::{clean_command, output},
    progress::Seen,
    tools::program,
    up::Up,
};

/// On two busy cores the API server takes 4 to 20 seconds.
const PATIENCE: Duration = Duration::from_mins(2);

/// Who may talk to the API server: token, user, uid, groups.
fn tokens(up: &Up<'_>) -> String {
    let tokens = &up.plan.tokens;
    let node = format!("system:node:{}", up.node_name());
    let users: [(&str, &str, &str); 5] = [
        (&tokens.admin, "admin", "system:masters"),
        (
            &tokens.controller_manager,
            "system:kube-controller-manager",
            "",
        ),
        (&tokens.scheduler, "system:kube-scheduler", ""),
        (&tokens.proxy, "system:kube-proxy", ""),
        (&tokens.node, &node, "system:nodes"),
    ];
    let lines = users
        .iter()
        .map(|(token, user, groups)| format!("{token},{user},{user},\"{groups}\""));
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// Writes the API server's list of tokens and everybody's kubeconfig.
pub(crate) fn write_credentials(up: &Up<'_>) -> Result<()> {
    crate::info::write_private(&up.location.state.join("tokens.csv"), tokens(up).as_bytes())?;
    let tokens = &up.plan.tokens;
    for (user, token) in [
        ("admin", &tokens.admin),
        ("controller-manager", &tokens.controller_manager),
        ("scheduler", &tokens.scheduler),
        ("proxy", &tokens.proxy),
        ("node", &tokens.node),
    ] {
        kubeconfig::write(
            &up.location.kubeconfig_of(user),
            &up.node_name(),
            &up.plan.api_server(),
            &up.pki.ca(),
            token,
        )?;
    }
    Ok(())
}

pub(crate) fn start_etcd(up: &mut Up<'_>) -> Result<bool> {
    let client = format!("http://127.0.0.1:{}", up.plan.ports.etcd);
    let peer = format!("http://127.0.0.1:{}", up.plan.ports.etcd_peer);
    let mut etcd = clean_command(program(up.location, "etcd"));
    etcd.arg("--data-dir")
        .arg(up.location.state.join("etcd"))
        .args(["--listen-client-urls", &client])
        .args(["--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer])
        .args(["--initial-advertise-peer-urls", &peer])
        .arg(format!("--initial-cluster=default={peer}"))
        .args(["--log-level", "warn"])
        // The data does not have to survive a power cut.
        .arg("--unsafe-no-fsync");
    up.processes.ensure("etcd", &mut etcd)
}

/// What is written, by whom: one line for each request of a pod's service account that may change something. The control plane's own
/// writes, many a second, are left out.
const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: None
    verbs: [get, list, watch]
  - level: None
    namespaces: [kube-system]
  - level: Metadata
    userGroups: [system:serviceaccounts]
  - level: None
";

pub(crate) fn start_api_server(up: &mut Up<'_>) -> Result<bool> {
    let (plan, pki) = (&up.plan, &up.pki);
    let audit_policy = up.location.state.join("audit-policy.yaml");
    fs::write(&audit_policy, AUDIT_POLICY)
        .with_context(|| format!("failed to write {}", audit_policy.display()))?;
    let host = plan.host_address();
    let mut server = clean_command(program(up.location, "kube-apiserver"));
    server
        .arg(format!(
            "--etcd-servers=http://127.0.0.1:{}",
            plan.ports.etcd
        ))
        .arg(format!("--bind-address={host}"))
        .arg(format!("--advertise-address={host}"))
        .arg(format!("--secure-port={}", plan.ports.api_server))
        .arg(format!(
            "--service-cluster-ip-range={}",
            plan.service_cidr()
        ))
        .arg("--authorization-mode=Node,RBAC")
        .arg("--allow-privileged=true")
        .arg("--service-account-issuer=https://kubernetes.default.svc")
        // Otherwise `kubectl logs` looks the node's name up in the host's DNS.
        .arg("--kubelet-preferred-address-types=InternalIP");
    for (flag, path) in [
        ("audit-policy-file", audit_policy),
        ("audit-log-path", up.location.audit_log()),
        ("token-auth-file", up.location.state.join("tokens.csv")),
        ("cert-dir", up.location.pki()),
        ("tls-cert-file", pki.api_server_certificate()),
        ("tls-private-key-file", pki.api_server_key()),
        ("service-account-key-file", pki.service_account_public_key()),
        (
            "service-account-signing-key-file",
            pki.service_account_key(),
        ),
    ] {
        server.arg(format!("--{flag}={}", text(&path)?));
    }
    if plan.network.is_none() {
        // An endpoint may not be a loopback address, and without pods nobody asks for it.
        server.arg("--endpoint-reconciler-type=none");
    }
    up.processes.ensure("kube-apiserver", &mut server)
}

pub(crate) fn wait_for_api_server(up: &Up<'_>) -> Result<()> {
    up.processes.wait(
        "kube-apiserver",
        "the API server to be ready",
        PATIENCE,
        || {
            Ok(match output(up.kubectl().args(["get", "--raw=/readyz"])) {
                Ok(_) => Seen::Done(()),
                Err(error) => Seen::NotYet(format!("{error:#}")),
            })
        },
    )
}

pub(crate) fn start_controllers(up: &mut Up<'_>) -> Result<bool> {
    let location = up.location;
    let mut manager = clean_command(program(location, "kube-controller-manager"));
    for (flag, path) in [
        ("kubeconfig", location.kubeconfig_of("controller-manager")),
        ("root-ca-file", up.pki.ca()),
        (
            "service-account-private-key-file",
            up.pki.service_account_key(),
        ),
        // Its default would be made, outside the cluster's directory.
        (
            "flex-volume-plugin-dir",
            location.state.join("volume-plugins"),
        ),
    ] {
        manager.arg(format!("--{flag}={}", text(&path)?));
    }
    manager.args([
        "--use-service-account-credentials",
        "--leader-elect=false",
        "--secure-port=0",
    ]);
    let mut scheduler = clean_command(program(location, "kube-scheduler"));
    scheduler
        .arg(format!(
            "--kubeconfig={}",
            text(&location.kubeconfig_of("scheduler"))?
        ))
        .args(["--leader-elect=false", "--secure-port=0"]);
    let started = up
        .processes
        .ensure("kube-controller-manager", &mut manager)?;
    Ok(up.processes.ensure("kube-scheduler", &mut scheduler)? || started)
}

/// Pods need the `ServiceAccount` that the controller manager makes in each namespace.
pub(crate) fn wait_for_controllers(up: &Up<'_>) -> Result<()> {
    let look = || {
        let mut get = up.kubectl();
        get.args(["--namespace=default", "get", "serviceaccount/default"])
            .args(["configmap/kube-root-ca.crt", "--output=name"]);
        Ok(match output(&mut get) {
            Ok(_) => Seen::Done(()),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    };
    up.processes.wait(
        "kube-controller-manager",
        "the default ServiceAccount",
        PATIENCE,
        look,
    )
}
