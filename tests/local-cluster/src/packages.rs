//! What comes from the distribution's packages: installed when missing, and said so.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    process::{clean_command, output},
    progress::note,
};

/// A program of the node and the Debian package that has it.
const PROGRAMS: [(&str, &str); 8] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("nsenter", "util-linux"),
    ("mount", "mount"),
];
/// Where distributions put the plugins of the container network interface.
const CNI_DIRECTORIES: [&str; 4] = [
    "/usr/lib/cni",
    "/opt/cni/bin",
    "/usr/libexec/cni",
    "/usr/lib/cni/bin",
];

/// Installs what the node needs and this machine lacks.
pub(crate) fn ensure_node_packages() -> Result<()> {
    let mut missing: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !is_on_path(program))
        .map(|(_, package)| *package)
        .collect();
    if cni_directory().is_none() {
        missing.push("containernetworking-plugins");
    }
    missing.dedup();
    if missing.is_empty() {
        return Ok(());
    }
    install(&missing)
}

/// The directory of the network plugins.
pub(crate) fn cni_directory() -> Option<PathBuf> {
    CNI_DIRECTORIES
        .iter()
        .map(Path::new)
        .find(|directory| {
            directory.join("bridge").is_file() && directory.join("host-local").is_file()
        })
        .map(Path::to_path_buf)
}

/// Installs Debian packages.
pub(crate) fn install(packages: &[&str]) -> Result<()> {
    let wanted = packages.join(" ");
    if !rustix::process::geteuid().is_root() {
        bail!("missing packages, and only root can install them: apt-get install {wanted}");
    }
    if !is_on_path("apt-get") {
        bail!("missing packages, and this is no Debian or Ubuntu: install what they call {wanted}");
    }
    note(&format!("installing packages: {wanted}"));
    output(Command::new("apt-get").args(["-qq", "update"]))
        .context("failed to update the lists of packages")?;
    let mut command = Command::new("apt-get");
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["-qq", "install", "-y", "--no-install-recommends"])
        .args(packages);
    output(&mut command).with_context(|| format!("failed to install {wanted}"))?;
    Ok(())
}

fn is_on_path(program: &str) -> bool {
    // The search path of the cluster's programs, not of the caller: it has the sbin directories.
    clean_command("sh")
        .args(["-c", "command -v \"$0\" >/dev/null", program])
        .status()
        .is_ok_and(|status| status.success())
}
