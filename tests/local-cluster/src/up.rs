//! Brings a cluster up, phase by phase. Every phase starts only what does not run, so that a second `up` repairs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail};

use crate::{
    ClusterInfo, Location, Tool, aws,
    certificates::Pki,
    cloud_controller, control_plane,
    location::create_directory,
    machine,
    network::Network,
    node, packages,
    plan::Plan,
    process::{Processes, clean_command},
    progress::{note, phase},
    tools::program,
};

/// What the caller of [`up`] decides.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Whether pods can run. Needs root.
    pub node: bool,
    /// IAM policy document (JSON) of the user `moorage-operator`; `None` is a broad one, or leaves what a running cluster has.
    pub operator_policy: Option<PathBuf>,
}

/// A cluster on its way up.
pub(crate) struct Up<'a> {
    pub(crate) location: &'a Location,
    pub(crate) plan: Plan,
    pub(crate) pki: Pki,
    pub(crate) processes: Processes,
}

impl Up<'_> {
    pub(crate) fn node_name(&self) -> String {
        Plan::node_name(self.location)
    }

    /// kubectl as the administrator.
    pub(crate) fn kubectl(&self) -> Command {
        let mut kubectl = clean_command(program(self.location, "kubectl"));
        kubectl
            .arg("--kubeconfig")
            .arg(self.location.kubeconfig_of("admin"))
            .arg("--request-timeout=10s")
            .env("HOME", &self.location.state);
        kubectl
    }
}

/// Brings the cluster up, or repairs it, and returns when it can be used.
///
/// # Errors
/// [`CannotRunPods`](crate::CannotRunPods) when a node is wanted and the machine cannot have one; otherwise the phase that
/// failed, with the last lines of the log to read.
pub fn up(location: &Location, wanted: &Wanted) -> Result<ClusterInfo> {
    let start = Instant::now();
    let _lock = location.lock(&format!("cluster-{}", location.name.as_str()))?;
    if wanted.node {
        machine::require_root()?;
        phase("packages", packages::ensure_node_packages)?;
        phase(
            "namespaces and cgroups",
            machine::require_namespaces_and_cgroups,
        )?;
    }
    phase("tools", || {
        Tool::OF_CLUSTER
            .iter()
            .try_for_each(|tool| tool.install(location).map(drop))
    })?;
    let network_lock = location.lock("network")?;
    let mut up = prepare(location, wanted.node)?;
    let network = up.plan.network.clone();
    let mut started = false;
    if let Some(network) = &network {
        started |= phase("node: namespaces", || {
            node::ensure_namespaces(&mut up, network)
        })?;
    }
    // From here on the routes show that the network is taken.
    drop(network_lock);
    started |= start_everything(&mut up, network.as_ref(), wanted.operator_policy.as_deref())?;
    let info = describe(&up, network.as_ref())?;
    if !started {
        note("everything ran already");
    }
    eprintln!(
        "cluster {} is up after {:.1} s: {}",
        location.name.as_str(),
        start.elapsed().as_secs_f64(),
        location.info_file().display()
    );
    Ok(info)
}

fn prepare(location: &Location, with_node: bool) -> Result<Up<'_>> {
    let plan = match Plan::load(location)? {
        Some(plan) => plan,
        None => Plan::make(location, with_node)?,
    };
    if plan.network.is_some() != with_node {
        bail!(
            "cluster {} was started {} a node: run `down` first",
            location.name.as_str(),
            if with_node { "without" } else { "with" }
        );
    }
    create_directory(&location.logs())?;
    let addresses = [
        plan.host_address(),
        plan.first_service(),
        "127.0.0.1".to_owned(),
        "localhost".to_owned(),
        "kubernetes.default.svc".to_owned(),
    ];
    let pki = Pki::ensure(location.pki(), &addresses)?;
    let up = Up {
        location,
        plan,
        pki,
        processes: Processes::load(&location.state, location.logs())?,
    };
    control_plane::write_credentials(&up)?;
    Ok(up)
}

fn start_everything(
    up: &mut Up<'_>,
    network: Option<&Network>,
    policy: Option<&Path>,
) -> Result<bool> {
    // What takes long to start is started first and waited for later.
    let mut started = phase("etcd, API server, moto: start", || {
        Ok(control_plane::start_etcd(up)? | control_plane::start_api_server(up)? | aws::start(up)?)
    })?;
    if let Some(network) = network {
        started |= phase("node: containerd", || node::start_containerd(up, network))?;
    }
    let seeded = phase("AWS: account, IAM enforcement", || aws::seed(up, policy))?;
    phase("API server: ready", || {
        control_plane::wait_for_api_server(up)
    })?;
    started |= phase("controllers, scheduler, cloud: start", || {
        Ok(control_plane::start_controllers(up)? | cloud_controller::start(up, &seeded)?)
    })?;
    if let Some(network) = network {
        started |= phase("node: kubelet, kube-proxy: start", || {
            node::start_kubernetes(up, network, &seeded)
        })?;
        phase("node: ready", || node::wait(up, network))?;
    }
    phase("controllers: working", || {
        control_plane::wait_for_controllers(up)?;
        cloud_controller::wait(up)
    })?;
    Ok(started)
}

fn describe(up: &Up<'_>, network: Option<&Network>) -> Result<ClusterInfo> {
    let location = up.location;
    let seeded = aws::seed(up, None)?;
    let kubectl = program(location, "kubectl");
    let crane = Tool::Crane.program(location);
    create_directory(&location.bin())?;
    for (name, target) in [("kubectl", &kubectl), ("crane", &crane)] {
        let link = location.bin().join(name);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(target, &link)
            .with_context(|| format!("failed to link {}", link.display()))?;
    }
    let info = ClusterInfo {
        name: location.name.as_str().to_owned(),
        state_dir: location.state.clone(),
        logs: location.logs(),
        audit_log: location.audit_log(),
        kubeconfig: location.kubeconfig_of("admin"),
        api_server: up.plan.api_server(),
        ca_file: up.pki.ca(),
        kubectl,
        crane,
        host_address: up.plan.host_address(),
        aws: seeded.describe(up)?,
        node: network
            .map(|network| node::describe(up, network))
            .transpose()?,
    };
    info.write(&location.info_file())?;
    Ok(info)
}
