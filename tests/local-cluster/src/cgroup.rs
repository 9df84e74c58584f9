//! The cgroup that every pod of a cluster runs below, in version 1 (one hierarchy per controller) and version 2 (one for all).

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// What kubelet refuses to start without.
const REQUIRED_V1: [&str; 5] = ["cpu", "cpuacct", "cpuset", "memory", "pids"];
const REQUIRED_V2: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];
/// What kubelet misses in a child when the root has it (pkg/kubelet/cm, `getSupportedUnifiedControllers`).
const DELEGATED_V2: [&str; 5] = ["cpu", "cpuset", "memory", "hugetlb", "pids"];
/// A task that was killed leaves its cgroup a moment later.
const PATIENCE: Duration = Duration::from_secs(20);

/// The mounted hierarchies.
enum Hierarchies {
    V1(Vec<PathBuf>),
    V2(PathBuf),
}

/// One line of /proc/mounts.
struct Mount<'a> {
    path: &'a str,
    kind: &'a str,
    options: &'a str,
}

fn parse(mounts: &str) -> impl Iterator<Item = Mount<'_>> {
    mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        Some(Mount {
            path: fields.next()?,
            kind: fields.next()?,
            options: fields.next()?,
        })
    })
}

fn hierarchies(mounts: &str) -> Result<Hierarchies, String> {
    let v1: Vec<Mount<'_>> = parse(mounts).filter(|m| m.kind == "cgroup").collect();
    if v1.is_empty() {
        return parse(mounts)
            .find(|m| m.kind == "cgroup2" && m.path == "/sys/fs/cgroup")
            .map(|m| Hierarchies::V2(m.path.into()))
            .ok_or_else(|| "no cgroups are mounted on /sys/fs/cgroup".to_owned());
    }
    for controller in REQUIRED_V1 {
        if !v1
            .iter()
            .any(|m| m.options.split(',').any(|option| option == controller))
        {
            return Err(format!("the cgroup controller {controller} is not mounted"));
        }
    }
    // A machine between the versions has an empty version 2 hierarchy beside, in which runc makes directories too.
    let unified = parse(mounts).filter(|m| m.kind == "cgroup2");
    Ok(Hierarchies::V1(
        v1.into_iter()
            .chain(unified)
            .map(|m| m.path.into())
            .collect(),
    ))
}

fn mounted() -> Result<Hierarchies, String> {
    let mounts = fs::read_to_string("/proc/mounts")
        .map_err(|e| format!("/proc/mounts is unreadable: {e}"))?;
    hierarchies(&mounts)
}

/// Says why when kubelet could not limit pods on this machine.
pub(crate) fn require_controllers() -> Result<(), String> {
    if let Hierarchies::V2(root) = mounted()? {
        let path = root.join("cgroup.controllers");
        let available =
            fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        for controller in REQUIRED_V2 {
            if !available.split_whitespace().any(|name| name == controller) {
                return Err(format!(
                    "the cgroup controller {controller} is not available"
                ));
            }
        }
        delegate(&root, &available)?;
    }
    Ok(())
}

/// Lets children of a version 2 root have the controllers: kubelet wants each one that the root has.
fn delegate(root: &Path, available: &str) -> Result<(), String> {
    let path = root.join("cgroup.subtree_control");
    fs::write(&path, delegation(available)).map_err(|error| {
        format!(
            "cgroup controllers cannot be passed on ({}: {error}; in a container, move its processes out of the root cgroup \
             first)",
            path.display()
        )
    })
}

/// What to write into `cgroup.subtree_control` (kernel documentation, cgroup-v2, "Enabling and Disabling").
fn delegation(available: &str) -> String {
    let enabled: Vec<String> = available
        .split_whitespace()
        .filter(|name| DELEGATED_V2.contains(name))
        .map(|name| format!("+{name}"))
        .collect();
    enabled.join(" ")
}

/// The directories of `cgroup` in every hierarchy.
fn directories(cgroup: &str) -> Result<Vec<PathBuf>> {
    let relative = cgroup.trim_start_matches('/');
    Ok(match mounted().map_err(anyhow::Error::msg)? {
        Hierarchies::V1(roots) => roots.iter().map(|root| root.join(relative)).collect(),
        Hierarchies::V2(root) => vec![root.join(relative)],
    })
}

/// Creates the cgroup: kubelet expects its root to be there.
pub(crate) fn create(cgroup: &str) -> Result<()> {
    for directory in directories(cgroup)? {
        match fs::create_dir(&directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(error).with_context(|| {
                    format!("failed to create the cgroup {}", directory.display())
                });
            }
            _ => {}
        }
    }
    Ok(())
}

/// Removes the cgroup and everything below it. Its processes must have been killed.
pub(crate) fn remove(cgroup: &str) -> Result<()> {
    for directory in directories(cgroup)? {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match remove_tree(&directory) {
                Ok(()) => break,
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) if Instant::now() >= deadline => {
                    return Err(error).with_context(|| {
                        format!("failed to remove the cgroup {}", directory.display())
                    });
                }
                Err(_) => thread::sleep(Duration::from_millis(50)),
            }
        }
    }
    Ok(())
}

/// A cgroup's files cannot be deleted and do not have to be: only its directories are removed, innermost first.
fn remove_tree(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_tree(&entry.path())?;
        }
    }
    fs::remove_dir(directory)
}

/// Directories of `cgroup` that still exist.
pub(crate) fn leftovers(cgroup: &str) -> Result<Vec<PathBuf>> {
    Ok(directories(cgroup)?
        .into_iter()
        .filter(|directory| directory.is_dir())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_both_versions_mounted_uses_the_first() {
        let mounts = "cgroup /c/cpu cgroup rw,cpu,cpuacct 0 0\ncgroup /c/set cgroup rw,cpuset 0 0\n\
                      cgroup /c/mem cgroup rw,memory,pids 0 0\ncgroup2 /c/unified cgroup2 rw 0 0\n";
        let Ok(Hierarchies::V1(roots)) = hierarchies(mounts) else {
            panic!("version 1 expected");
        };
        assert_eq!(roots.len(), 4);
    }

    #[test]
    fn a_missing_controller_is_named() {
        let refused = hierarchies("cgroup /c/cpu cgroup rw,cpu,cpuacct,cpuset,memory 0 0\n");
        assert_eq!(
            refused.err().unwrap(),
            "the cgroup controller pids is not mounted"
        );
    }

    #[test]
    fn version_2_alone_is_found_at_its_usual_place() {
        let found = hierarchies("cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n");
        assert!(matches!(found, Ok(Hierarchies::V2(_))));
        assert!(hierarchies("proc /proc proc rw 0 0\n").is_err());
    }

    #[test]
    fn only_controllers_that_the_root_has_are_passed_on() {
        assert_eq!(
            delegation("cpuset cpu io memory pids\n"),
            "+cpuset +cpu +memory +pids"
        );
    }
}
