//! Where a cluster keeps its state and where built tools are cached. The only place that reads the environment.

use std::{
    env,
    fs::{self, File},
    path::{Path, PathBuf},
    str::FromStr,
};

use anyhow::{Context, Result, bail, ensure};

/// The name of a cluster: 1 to 20 lower-case letters, digits and hyphens, beginning with a letter.
///
/// It becomes part of the names of a directory, a cgroup and a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterName(String);

impl ClusterName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ClusterName {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            name.len() <= 20
                && name.starts_with(|c: char| c.is_ascii_lowercase())
                && !name.ends_with('-')
                && name.chars().all(allowed),
            "{name:?} is no name for a cluster: 1 to 20 lower-case letters, digits and hyphens, a letter first"
        );
        Ok(Self(name.to_owned()))
    }
}

/// A cluster's name and its directories.
#[derive(Clone, Debug)]
pub struct Location {
    /// The cluster.
    pub name: ClusterName,
    /// Everything of this cluster; removed by `down`.
    pub state: PathBuf,
    /// Built tools, shared by all clusters and clones, named by the hash of what they are built from.
    pub cache: PathBuf,
}

impl Location {
    /// The directories of the cluster `name`; `state` and `cache` override the defaults
    /// (`${XDG_STATE_HOME:-~/.local/state}/moorage/<name>`, `$MOORAGE_CACHE` or `${XDG_CACHE_HOME:-~/.cache}/moorage`).
    ///
    /// # Errors
    /// When a directory is neither given nor found from `HOME`, or is one that the node hides from itself.
    pub fn new(name: ClusterName, state: Option<PathBuf>, cache: Option<PathBuf>) -> Result<Self> {
        let state = match state {
            Some(state) => state,
            None => base("XDG_STATE_HOME", ".local/state")?
                .join("moorage")
                .join(name.as_str()),
        };
        let cache = match cache.or_else(|| directory("MOORAGE_CACHE")) {
            Some(cache) => cache,
            None => base("XDG_CACHE_HOME", ".cache")?.join("moorage"),
        };
        let state = std::path::absolute(state).context("failed to resolve the state directory")?;
        let cache = std::path::absolute(cache).context("failed to resolve the cache directory")?;
        for path in [&state, &cache] {
            for hidden in ["/run", "/var/run", "/var/lib", "/var/log", "/proc", "/sys"] {
                if path.starts_with(hidden) {
                    bail!(
                        "{} cannot be used: the node has a {hidden} of its own",
                        path.display()
                    );
                }
            }
        }
        Ok(Self { name, state, cache })
    }

    /// The file that describes the running cluster.
    #[must_use]
    pub fn info_file(&self) -> PathBuf {
        self.state.join("cluster.json")
    }

    pub(crate) fn logs(&self) -> PathBuf {
        self.state.join("logs")
    }

    /// The API server's record of who wrote what.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.logs().join("audit.log")
    }

    pub(crate) fn pki(&self) -> PathBuf {
        self.state.join("pki")
    }

    /// Commands for people: links to kubectl and crane.
    pub(crate) fn bin(&self) -> PathBuf {
        self.state.join("bin")
    }

    pub(crate) fn kubeconfig_of(&self, user: &str) -> PathBuf {
        self.state.join(format!("{user}.kubeconfig"))
    }

    /// Waits until no other process works on `what` and keeps others away until the file is dropped.
    pub(crate) fn lock(&self, what: &str) -> Result<File> {
        let directory = self.cache.join("locks");
        create_directory(&directory)?;
        let path = directory.join(what);
        let file = File::create(&path)
            .with_context(|| format!("failed to create the lock file {}", path.display()))?;
        file.lock()
            .with_context(|| format!("failed to lock {}", path.display()))?;
        Ok(file)
    }
}

pub(crate) fn create_directory(path: &Path) -> Result<()> {
    fs::create_dir_all(path)
        .with_context(|| format!("failed to create the directory {}", path.display()))
}

pub(crate) fn write_file(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, content).with_context(|| format!("failed to write {}", path.display()))
}

/// A path as text: configuration files of the cluster's programs are UTF-8.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str()
        .with_context(|| format!("{} is not UTF-8", path.display()))
}

fn base(variable: &str, below_home: &str) -> Result<PathBuf> {
    if let Some(path) = directory(variable) {
        return Ok(path);
    }
    let home = directory("HOME")
        .with_context(|| format!("neither {variable} nor HOME is set: where should files go?"))?;
    Ok(home.join(below_home))
}

fn directory(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_break_a_path_or_a_cgroup_are_refused() {
        for name in ["", "A", "1a", "a/b", "..", "a-", "abcdefghijklmnopqrstu"] {
            assert!(name.parse::<ClusterName>().is_err(), "{name:?}");
        }
        assert_eq!("e2e-1".parse::<ClusterName>().unwrap().as_str(), "e2e-1");
    }

    #[test]
    fn a_state_directory_that_the_node_would_not_see_is_refused() {
        let error = Location::new(
            "a".parse().unwrap(),
            Some("/run/moorage".into()),
            Some("/tmp/cache".into()),
        )
        .unwrap_err();
        assert!(error.to_string().contains("/run of its own"), "{error}");
    }
}
