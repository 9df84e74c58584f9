//! Can this machine run pods? Asked by trying, before anything is started.

use std::path::Path;

use anyhow::Result;

use crate::{
    cgroup,
    process::{clean_command, output},
};

/// The machine, not the cluster, is why there can be no node.
#[derive(Debug)]
pub struct CannotRunPods {
    reason: String,
}

impl CannotRunPods {
    fn because(reason: impl Into<String>) -> anyhow::Error {
        Self {
            reason: reason.into(),
        }
        .into()
    }
}

impl std::fmt::Display for CannotRunPods {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "this machine cannot run pods: {}. A cluster without a node (API server and AWS stand-in, no pods) needs none of \
             this: `up --no-node`",
            self.reason
        )
    }
}

impl std::error::Error for CannotRunPods {}

/// Fails with [`CannotRunPods`] when the calling user is not root.
pub(crate) fn require_root() -> Result<()> {
    if rustix::process::geteuid().is_root() {
        Ok(())
    } else {
        Err(CannotRunPods::because(
            "only root can make network namespaces and mounts on it; run as root (sudo -E)",
        ))
    }
}

/// Tries everything that the node is made of, in namespaces that vanish with the attempt.
pub(crate) fn require_namespaces_and_cgroups() -> Result<()> {
    cgroup::require_controllers().map_err(CannotRunPods::because)?;
    if !Path::new("/dev/kmsg").try_exists().unwrap_or(false) {
        return Err(CannotRunPods::because(
            "/dev/kmsg is missing, which kubelet reads (in a container: --device /dev/kmsg)",
        ));
    }
    let attempt = "mount -t tmpfs tmpfs /run; ip link add try0 type veth peer name try1; ip link add try2 type bridge; \
                   iptables -t nat -S >/dev/null; echo 1 >/proc/sys/net/ipv4/ip_forward";
    let mut command = clean_command("unshare");
    command.args([
        "--net",
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "sh",
        "-ec",
        attempt,
    ]);
    match output(&mut command) {
        Ok(_) => Ok(()),
        Err(error) => Err(CannotRunPods::because(format!(
            "namespaces, virtual interfaces or firewall rules cannot be made ({error:#})"
        ))),
    }
}
