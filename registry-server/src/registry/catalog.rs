//! The list of all repositories: the directories that have manifests in them.

use std::cmp::Ordering;

use super::{Listing, Registry, RepositoryName, error::Result};
use crate::{layout, store::ListMode};

/// The most a store returns at once (S3 user guide, "Listing object keys").
const PAGE: usize = 1000;

/// A directory that has been read, and what is left to look into.
struct Directory {
    segments: Vec<String>,
    /// Names of subdirectories, the next one last.
    rest: Vec<String>,
}

impl Registry {
    /// At most `limit` names of repositories after `last`, in the order in which a store lists their directories: by segments, a
    /// repository before those inside it. One call to the store per directory passed.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn repositories(
        &self,
        last: Option<&str>,
        limit: usize,
    ) -> Result<Listing<RepositoryName>> {
        let last: Vec<&str> = last
            .map(|last| last.split('/').collect())
            .unwrap_or_default();
        let wanted = limit.saturating_add(1);
        let mut found = Vec::new();
        let (root, _) = self.read_directory(Vec::new(), &last).await?;
        let mut path = vec![root];
        while found.len() < wanted {
            let Some(directory) = path.last_mut() else {
                break;
            };
            let Some(next) = directory.rest.pop() else {
                path.pop();
                continue;
            };
            let mut segments = directory.segments.clone();
            segments.push(next);
            // What is no name was not put there by a registry.
            let Ok(name) = segments.join("/").parse::<RepositoryName>() else {
                continue;
            };
            let is_new = order(&segments, &last) == Ordering::Greater;
            let (directory, has_manifests) = self.read_directory(segments, &last).await?;
            if has_manifests && is_new {
                found.push(name);
            }
            path.push(directory);
        }
        Ok(Listing::cut(found, limit))
    }

    /// The subdirectories that hold anything after `last`, and whether there are manifests.
    async fn read_directory(
        &self,
        segments: Vec<String>,
        last: &[&str],
    ) -> Result<(Directory, bool)> {
        let mut rest = Vec::new();
        let mut has_manifests = false;
        let Some(folder) = layout::directory(&segments) else {
            return Ok((Directory { segments, rest }, false));
        };
        let mut after: Option<String> = None;
        loop {
            let page = self
                .store()
                .list(&folder, ListMode::Shallow, after.as_deref(), PAGE)
                .await?;
            for name in page
                .folders
                .iter()
                .filter_map(|found| layout::folder_name(&folder, found))
            {
                if name.starts_with('_') {
                    has_manifests |= name == layout::MANIFESTS_FOLDER;
                } else if may_hold_later(&segments, name, last) {
                    rest.push(name.to_owned());
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        rest.reverse();
        Ok((Directory { segments, rest }, has_manifests))
    }
}

/// Whether the directory `name` in `parent`, or anything inside it, comes after `last`.
fn may_hold_later(parent: &[String], name: &str, last: &[&str]) -> bool {
    let path: Vec<&str> = parent.iter().map(String::as_str).chain([name]).collect();
    last.starts_with(&path) || order(&path, last) == Ordering::Greater
}

/// The order of directories, as a store lists them: each segment with a slash behind, a directory before what is in it.
fn order<A: AsRef<str>, B: AsRef<str>>(a: &[A], b: &[B]) -> Ordering {
    let with_slash = |segment: &str| format!("{segment}/");
    a.iter()
        .map(|segment| with_slash(segment.as_ref()))
        .cmp(b.iter().map(|segment| with_slash(segment.as_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_comes_before_those_inside_it() {
        assert_eq!(order(&["a"], &["a", "b"]), Ordering::Less);
        assert_eq!(order(&["a-b"], &["a"]), Ordering::Less);
        assert_eq!(order(&["a", "z"], &["b"]), Ordering::Less);
    }

    #[test]
    fn the_directories_above_the_last_name_are_looked_into_again() {
        let above = ["team".to_owned()];
        assert!(may_hold_later(&[], "team", &["team", "b"]));
        assert!(may_hold_later(&above, "b", &["team", "b"]));
        assert!(!may_hold_later(&above, "a", &["team", "b"]));
        assert!(may_hold_later(&above, "a", &[]));
    }
}
