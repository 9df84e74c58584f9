//! The node: a network, mount and process namespace with containerd, kubelet and kube-proxy inside.
//!
//! Its first process holds the namespaces. When that one is killed, the kernel kills everything else in there (pods included)
//! and drops the mounts, interfaces and firewall rules, so that nothing has to be undone by name.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result};

use crate::{
    ClusterInfo, Node, Tool,
    aws::Seeded,
    cgroup,
    location::{create_directory, text, write_file},
    network::Network,
    node_config, packages,
    plan::Plan,
    pod_image,
    process::{Recorded, children, clean_command, output},
    progress::{Seen, wait_for},
    tools::program,
    up::Up,
};

/// The first process of the node's namespaces.
pub(crate) const INIT: &str = "node-init";
/// The program that made the namespaces and waits for the first process.
const HOLDER: &str = "node";
const PROGRAMS: [&str; 3] = ["containerd", "kubelet", "kube-proxy"];

const START: Duration = Duration::from_secs(30);
const READY: Duration = Duration::from_mins(3);

/// Makes the node's mounts before its first process becomes what it stays. `$1` is the directory for logs, `$2` a file whose
/// existence says that the mounts are made, `$3` the program to become.
///
/// What the node's programs write to fixed places goes to file systems of the node's own. kubelet sets a few kernel
/// parameters for the whole machine: it gets copies to write to.
const PREPARE: &str = r#"
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/lib
mkdir -p /run/lock /run/containerd
mount --bind "$1" /var/log
for parameter in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    mkdir -p "/run/parameters/${parameter%/*}"
    cat "/proc/sys/$parameter" > "/run/parameters/$parameter"
    mount --bind "/run/parameters/$parameter" "/proc/sys/$parameter"
done
echo 1 > /proc/sys/net/ipv4/ip_forward
if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then
    echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
fi
ip link set lo up
: > "$2"
exec "$3" pause
"#;

/// The node's directory below the cluster's.
fn directory(up: &Up<'_>) -> PathBuf {
    up.location.state.join("node")
}

/// Whether every part of the node runs.
pub(crate) fn is_alive(up: &Up<'_>) -> bool {
    [HOLDER, INIT]
        .iter()
        .chain(&PROGRAMS)
        .all(|name| up.processes.is_alive(name))
}

/// Makes the namespaces and joins them to the host, unless the whole node runs. A node that lacks a part is made anew: its
/// programs depend on each other, and the pods come back by themselves.
pub(crate) fn ensure_namespaces(up: &mut Up<'_>, network: &Network) -> Result<bool> {
    let complete = is_alive(up);
    // The host's end of the pair is also the API server's address.
    let joined = up.processes.is_alive(INIT) && network.exists();
    if joined && (complete || !up.processes.names().iter().any(|n| n == "containerd")) {
        return Ok(false);
    }
    for name in [INIT, HOLDER].iter().chain(&PROGRAMS) {
        up.processes.kill(name)?;
    }
    cgroup::create(&Plan::cgroup(up.location))?;
    let directory = directory(up);
    let ready = directory.join("ready");
    create_directory(&directory.join("log"))?;
    let _ = fs::remove_file(&ready);
    let mut hold = clean_command("unshare");
    hold.args(["--net", "--mount", "--pid", "--fork", "--kill-child"])
        .args(["--mount-proc", "--propagation", "private"])
        .args(["sh", "-euc", PREPARE, "node"])
        .arg(directory.join("log"))
        .arg(&ready)
        .arg(Tool::Pod.program(up.location));
    up.processes.ensure(HOLDER, &mut hold)?;
    up.processes
        .wait(HOLDER, "the node's namespaces", START, || {
            Ok(if ready.is_file() {
                Seen::Done(())
            } else {
                Seen::NotYet("its mounts are not made yet".to_owned())
            })
        })?;
    let holder = up.processes.get(HOLDER).map(|process| process.pid);
    let init = holder
        .map(children)
        .transpose()?
        .and_then(|children| children.first().copied())
        .context("failed to find the first process of the node")?;
    up.processes.record(INIT, Recorded::of(init)?)?;
    network.connect(init)?;
    Ok(true)
}

/// A command that runs inside the node.
fn inside(up: &Up<'_>, program: impl AsRef<Path>) -> Result<Command> {
    let init = init_pid(up)?;
    let mut command = clean_command("nsenter");
    command
        .args(["--target", &init.to_string()])
        .args(["--net", "--mount", "--pid", "--"])
        .arg(program.as_ref());
    Ok(command)
}

fn init_pid(up: &Up<'_>) -> Result<u32> {
    up.processes
        .get(INIT)
        .map(|process| process.pid)
        .context("the node has no first process")
}

/// Starts containerd and gives it the image that every pod needs.
pub(crate) fn start_containerd(up: &mut Up<'_>, network: &Network) -> Result<bool> {
    let directory = directory(up);
    let root = directory.join("containerd");
    let cni = directory.join("cni");
    create_directory(&root)?;
    create_directory(&cni)?;
    let programs = packages::cni_directory().context("failed to find the network plugins")?;
    write_file(
        &cni.join("pods.conflist"),
        node_config::cni(&network.pods(), &directory.join("addresses"))?,
    )?;
    let config = directory.join("containerd.toml");
    write_file(&config, node_config::containerd(&root, &programs, &cni)?)?;
    let mut containerd = inside(up, "containerd")?;
    containerd.arg("--config").arg(&config);
    if !up.processes.ensure("containerd", &mut containerd)? {
        return Ok(false);
    }
    let ctr = ctr(up)?;
    up.processes
        .wait("containerd", "containerd to answer", START, || {
            let mut version = command_of(&ctr);
            Ok(match output(version.args(["images", "ls", "-q"])) {
                Ok(_) => Seen::Done(()),
                Err(error) => Seen::NotYet(format!("{error:#}")),
            })
        })?;
    let archive = directory.join("pod.tar");
    pod_image::write(&Tool::Pod.program(up.location), &archive)?;
    load_image(&ctr, node_config::snapshotter(&root)?, &archive)?;
    Ok(true)
}

/// `ctr` on the node's containerd.
fn ctr(up: &Up<'_>) -> Result<Vec<String>> {
    let init = init_pid(up)?.to_string();
    let words = [
        "nsenter",
        "--target",
        &init,
        "--mount",
        "--",
        "ctr",
        "--address",
        node_config::CONTAINERD_SOCKET,
        "--namespace",
        "k8s.io",
    ];
    Ok(words.iter().map(|word| (*word).to_owned()).collect())
}

fn command_of(words: &[String]) -> Command {
    let mut words = words.iter();
    let mut command = clean_command(words.next().map_or("nsenter", String::as_str));
    command.args(words);
    command
}

fn load_image(ctr: &[String], snapshotter: &str, archive: &Path) -> Result<()> {
    // By standard input, because the node may see another file system at the archive's path.
    let file = fs::File::open(archive)
        .with_context(|| format!("failed to open the image {}", archive.display()))?;
    let mut import = command_of(ctr);
    import
        .args(["images", "import", "--snapshotter", snapshotter, "-"])
        .stdin(file);
    output(&mut import)
        .with_context(|| format!("failed to load the image {}", archive.display()))?;
    Ok(())
}

impl ClusterInfo {
    /// Gives the node an image from an archive (docker-archive or OCI layout in a tar). A pod uses it by the name in the
    /// archive, with `imagePullPolicy: IfNotPresent`.
    ///
    /// # Errors
    /// When there is no node, or the file cannot be read or is no image.
    pub fn load_image(&self, archive: &Path) -> Result<()> {
        let node = self
            .node
            .as_ref()
            .context("the cluster was started without a node: nothing can run images")?;
        let root = self.state_dir.join("node/containerd");
        load_image(&node.ctr, node_config::snapshotter(&root)?, archive)
    }
}

/// Starts kubelet and kube-proxy.
pub(crate) fn start_kubernetes(up: &mut Up<'_>, network: &Network, aws: &Seeded) -> Result<bool> {
    let directory = directory(up);
    let root = directory.join("kubelet");
    create_directory(&root)?;
    write_file(&directory.join("resolv.conf"), node_config::RESOLV_CONF)?;
    let config = directory.join("kubelet.json");
    write_file(
        &config,
        node_config::kubelet(&node_config::Kubelet {
            address: network.node(),
            cgroup: &Plan::cgroup(up.location),
            provider_id: format!("aws:///{}/{}", aws.zone, aws.instance_id),
            directory: &directory,
        })?,
    )?;
    let name = up.node_name();
    let mut kubelet = inside(up, program(up.location, "kubelet"))?;
    kubelet
        .arg(format!("--config={}", text(&config)?))
        .arg(format!(
            "--kubeconfig={}",
            text(&up.location.kubeconfig_of("node"))?
        ))
        .arg(format!("--root-dir={}", text(&root)?))
        .arg(format!("--cert-dir={}", text(&root.join("pki"))?))
        .arg(format!("--hostname-override={name}"))
        .arg(format!("--node-ip={}", network.node()));
    let mut proxy = inside(up, program(up.location, "kube-proxy"))?;
    proxy
        .arg(format!(
            "--kubeconfig={}",
            text(&up.location.kubeconfig_of("proxy"))?
        ))
        .arg(format!("--hostname-override={name}"))
        .arg("--proxy-mode=iptables")
        // Traffic from outside this range is masqueraded, so that its answers come back through the node.
        .arg(format!("--cluster-cidr={}", network.pods()))
        .args(["--conntrack-max-per-core=0", "--conntrack-min=0"]);
    let started = up.processes.ensure("kubelet", &mut kubelet)?;
    Ok(up.processes.ensure("kube-proxy", &mut proxy)? || started)
}

/// Waits until the node takes pods and Services are routed.
pub(crate) fn wait(up: &Up<'_>, network: &Network) -> Result<()> {
    let ready = r#"jsonpath={.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].message}"#;
    // The condition below may be one that an earlier kubelet left.
    let health = format!("--raw=/api/v1/nodes/{}/proxy/healthz", up.node_name());
    up.processes
        .wait("kubelet", "kubelet to be healthy", READY, || {
            Ok(match output(up.kubectl().args(["get", &health])) {
                Ok(_) => Seen::Done(()),
                Err(error) => Seen::NotYet(format!("{error:#}")),
            })
        })?;
    up.processes
        .wait("kubelet", "the node to be ready", READY, || {
            let mut get = up.kubectl();
            get.args(["get", "node", &up.node_name(), "--output", ready]);
            Ok(match output(&mut get) {
                Ok(condition) if condition.starts_with("True") => Seen::Done(()),
                Ok(condition) => Seen::NotYet(condition),
                Err(error) => Seen::NotYet(format!("{error:#}")),
            })
        })?;
    let service = format!("{}:443", network.first_service()).parse()?;
    up.processes.wait(
        "kube-proxy",
        "the Service kubernetes to answer",
        READY,
        || {
            let connection = std::net::TcpStream::connect_timeout(&service, Duration::from_secs(1));
            Ok(match connection {
                Ok(_) => Seen::Done(()),
                Err(error) => Seen::NotYet(error.to_string()),
            })
        },
    )
}

/// The node as tests need to know it.
pub(crate) fn describe(up: &Up<'_>, network: &Network) -> Result<Node> {
    Ok(Node {
        name: up.node_name(),
        address: network.node(),
        pod_cidr: network.pods(),
        service_cidr: network.services(),
        cgroup: Plan::cgroup(up.location),
        init_pid: init_pid(up)?,
        ctr: ctr(up)?,
    })
}

/// Waits until no process is left in the cgroup: the kernel ends a namespace's processes one after the other.
pub(crate) fn remove_cgroup(cgroup: &str) -> Result<()> {
    wait_for("the pods' processes to end", START, || {
        Ok(match cgroup::remove(cgroup) {
            Ok(()) => Seen::Done(()),
            Err(error) => Seen::NotYet(format!("{error:#}")),
        })
    })
}
