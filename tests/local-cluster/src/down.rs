//! Takes a cluster down and makes sure that nothing of it is left.

use std::{fs, time::Instant};

use anyhow::{Context, Result, ensure};

use crate::{
    Location, cgroup,
    network::Network,
    node,
    plan::Plan,
    process::Processes,
    progress::{note, phase},
};

/// Ends the cluster's processes, removes what it made outside its directory, and then the directory. A cluster that is not up
/// is no error.
///
/// # Errors
/// When something of the cluster is left; the message lists it. The directory then still exists, and `down` can be repeated.
pub fn down(location: &Location) -> Result<()> {
    let start = Instant::now();
    let name = location.name.as_str();
    let _lock = location.lock(&format!("cluster-{name}"))?;
    if !location.state.is_dir() {
        note(&format!("cluster {name} is not up"));
        return Ok(());
    }
    let plan = Plan::load(location)?;
    let network = plan.and_then(|plan| plan.network);
    let mut processes = Processes::load(&location.state, location.logs())?;
    phase("processes", || {
        // First the one that takes all pods with it; the rest in any order.
        processes.kill(node::INIT)?;
        for process in processes.names() {
            processes
                .kill(&process)
                .with_context(|| format!("failed to end {process}"))?;
        }
        Ok(())
    })?;
    let cgroup = Plan::cgroup(location);
    if let Some(network) = &network {
        phase("network", || network.disconnect())?;
        phase("cgroups", || node::remove_cgroup(&cgroup))?;
    }
    let left = leftovers(location, &processes, network.as_ref(), &cgroup)?;
    ensure!(
        left.is_empty(),
        "cluster {name} left something behind:\n  {}",
        left.join("\n  ")
    );
    phase("files", || {
        fs::remove_dir_all(&location.state)
            .with_context(|| format!("failed to remove {}", location.state.display()))?;
        // The directory of all clusters goes with the last one; the system refuses while it has another.
        if let Some(parent) = location.state.parent().filter(|p| p.ends_with("moorage")) {
            let _ = fs::remove_dir(parent);
        }
        Ok(())
    })?;
    eprintln!(
        "cluster {name} is down after {:.1} s",
        start.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Everything outside the cluster's directory that still bears its marks.
fn leftovers(
    location: &Location,
    processes: &Processes,
    network: Option<&Network>,
    cgroup: &str,
) -> Result<Vec<String>> {
    let mut left: Vec<String> = processes
        .names()
        .into_iter()
        .filter(|name| processes.is_alive(name))
        .map(|name| format!("process {name}"))
        .collect();
    if let Some(network) = network {
        if network.exists() {
            left.push(format!("interface {}", network.interface));
        }
        let directories = cgroup::leftovers(cgroup)?;
        left.extend(
            directories
                .iter()
                .map(|d| format!("cgroup {}", d.display())),
        );
    }
    let state = location.state.display().to_string();
    let mounts = fs::read_to_string("/proc/self/mounts").context("failed to read the mounts")?;
    let below_state = mounts.lines().filter(|line| line.contains(&state));
    left.extend(below_state.map(|line| format!("mount {line}")));
    Ok(left)
}
