//! The configuration files of the node's programs. JSON throughout, which kubelet reads as YAML.

use std::path::Path;

use anyhow::Result;
use serde_json::json;

use crate::{location::text, pod_image};

/// containerd's socket inside the node's mount namespace.
pub(crate) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// containerd's configuration (version 2 of the format: containerd 1.x, and migrated by 2.x).
pub(crate) fn containerd(root: &Path, cni_programs: &Path, cni_config: &Path) -> Result<String> {
    // A JSON string is a TOML basic string.
    let quote = |path: &Path| -> Result<String> { Ok(serde_json::to_string(text(path)?)?) };
    Ok(format!(
        r#"version = 2
root = {root}
state = "/run/containerd/state"
# Would make /opt/containerd on the host.
disabled_plugins = ["io.containerd.internal.v1.opt"]

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{sandbox}"
disable_apparmor = true
# Without CAP_SYS_RESOURCE a score below the own one cannot be set, and runc would fail every pod.
restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "{snapshotter}"
default_runtime_name = "runc"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = false

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = {bin}
conf_dir = {conf}
"#,
        root = quote(root)?,
        sandbox = pod_image::reference(),
        snapshotter = snapshotter(root)?,
        bin = quote(cni_programs)?,
        conf = quote(cni_config)?,
    ))
}

/// overlayfs, unless the directory is itself on one: the kernel refuses that as an upper layer.
pub(crate) fn snapshotter(root: &Path) -> Result<&'static str> {
    /// linux/magic.h, `OVERLAYFS_SUPER_MAGIC`.
    const OVERLAY: u64 = 0x794c_7630;
    let kind = u64::try_from(rustix::fs::statfs(root)?.f_type)?;
    Ok(if kind == OVERLAY {
        "native"
    } else {
        "overlayfs"
    })
}

/// The pods' network: a bridge inside the node.
pub(crate) fn cni(pod_cidr: &str, data: &Path) -> Result<String> {
    Ok(serde_json::to_string_pretty(&json!({
        "cniVersion": "0.4.0",
        "name": "pods",
        "plugins": [
            {
                "type": "bridge",
                "bridge": "cni0",
                "isGateway": true,
                "ipMasq": true,
                "hairpinMode": true,
                "ipam": {
                    "type": "host-local",
                    "ranges": [[{"subnet": pod_cidr}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                    "dataDir": text(data)?,
                },
            },
            {"type": "portmap", "capabilities": {"portMappings": true}},
        ],
    }))?)
}

/// What differs from cluster to cluster in kubelet's configuration.
pub(crate) struct Kubelet<'a> {
    pub(crate) address: String,
    pub(crate) cgroup: &'a str,
    pub(crate) provider_id: String,
    pub(crate) directory: &'a Path,
}

pub(crate) fn kubelet(kubelet: &Kubelet<'_>) -> Result<String> {
    let Kubelet {
        address,
        cgroup,
        provider_id,
        directory,
    } = kubelet;
    Ok(serde_json::to_string_pretty(&json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "authentication": {"anonymous": {"enabled": true}, "webhook": {"enabled": false}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": format!("unix://{CONTAINERD_SOCKET}"),
        "providerID": provider_id,
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": cgroup,
        "failCgroupV1": false,
        "failSwapOn": false,
        "enforceNodeAllocatable": [],
        // Not the cluster's business: the machine's disk may be as full as its owner likes.
        "evictionHard": {},
        "imageGCHighThresholdPercent": 100,
        // The usual -999 needs CAP_SYS_RESOURCE, and would outlive nothing but this process.
        "oomScoreAdj": 0,
        "resolvConf": text(&directory.join("resolv.conf"))?,
        "volumePluginDir": text(&directory.join("volume-plugins"))?,
        // Images come from load-image, one after the other; a failed pull is tried again soon.
        "serializeImagePulls": false,
        "maxPods": 250,
        "shutdownGracePeriod": "0s",
    }))?)
}

/// There is no DNS server, so that a lookup fails at once instead of asking the host's in vain.
pub(crate) const RESOLV_CONF: &str = "# Endpoints are addresses; nothing answers here.\nnameserver 127.0.0.1\noptions attempts:1 timeout:1\n";
