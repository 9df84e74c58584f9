//! One layer of an image: a file system as a tar.
//!
//! Layers are not compressed. A compressed layer's digest depends on the compressor's version, so that the same binary would
//! yield another image after an update of a dependency; a local import is faster without; and `crane push` and
//! `skopeo copy` compress on the way to a registry anyway.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::oci::Blob;

/// Who owns a file of an image. Both images run as [`Owner::NonRoot`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// Uid and gid 0: what the program must not be able to change.
    Root,
    /// Uid and gid 65532, the number that minimal images have agreed upon for "not root".
    NonRoot,
}

impl Owner {
    /// The number, both as uid and as gid.
    #[must_use]
    pub const fn id(self) -> u32 {
        match self {
            Self::Root => 0,
            Self::NonRoot => 65532,
        }
    }
}

#[derive(Clone, Debug)]
enum Node {
    Directory,
    File(Vec<u8>),
    Symlink(String),
}

#[derive(Clone, Debug)]
struct Entry {
    node: Node,
    mode: u32,
    owner: Owner,
}

/// A file system under construction. Paths are absolute; missing parent directories are made, owned by root, 0755.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    // Sorted, so that the order in which the files were added does not reach the digest.
    entries: BTreeMap<String, Entry>,
}

impl Layer {
    /// An empty file system.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a directory.
    ///
    /// # Errors
    /// When the path is not absolute and plain, or is taken by something else.
    pub fn directory(&mut self, path: &str, mode: u32, owner: Owner) -> Result<&mut Self> {
        self.insert(path, Node::Directory, mode, owner)
    }

    /// Adds a file that belongs to root.
    ///
    /// # Errors
    /// When the path is not absolute and plain, or is taken.
    pub fn file(
        &mut self,
        path: &str,
        mode: u32,
        content: impl Into<Vec<u8>>,
    ) -> Result<&mut Self> {
        self.insert(path, Node::File(content.into()), mode, Owner::Root)
    }

    /// Adds a symbolic link to `target`.
    ///
    /// # Errors
    /// When the path is not absolute and plain, or is taken.
    pub fn symlink(&mut self, path: &str, target: &str) -> Result<&mut Self> {
        self.insert(path, Node::Symlink(target.to_owned()), 0o777, Owner::Root)
    }

    fn insert(&mut self, path: &str, node: Node, mode: u32, owner: Owner) -> Result<&mut Self> {
        let relative = path
            .strip_prefix('/')
            .filter(|rest| !rest.split('/').any(|part| matches!(part, "" | "." | "..")))
            .with_context(|| {
                format!("failed to add {path:?}: not an absolute path without empty, . or .. parts")
            })?;
        for (end, _) in relative.match_indices('/') {
            let parent = relative.get(..end).unwrap_or_default();
            let entry = self.entries.entry(parent.to_owned()).or_insert(Entry {
                node: Node::Directory,
                mode: 0o755,
                owner: Owner::Root,
            });
            ensure!(
                matches!(entry.node, Node::Directory),
                "failed to add {path:?}: /{parent} is not a directory"
            );
        }
        let entry = Entry { node, mode, owner };
        let previous = self.entries.insert(relative.to_owned(), entry);
        // A directory that was made on the way to an earlier file may be given its real mode and owner later.
        ensure!(
            previous.is_none_or(|previous| matches!(previous.node, Node::Directory)
                && matches!(
                    self.entries.get(relative),
                    Some(Entry {
                        node: Node::Directory,
                        ..
                    })
                )),
            "failed to add {path:?}: the path is taken"
        );
        Ok(self)
    }

    /// The layer as a tar.
    ///
    /// # Errors
    /// When a path or a link does not fit into a tar header.
    pub fn pack(&self) -> Result<Blob> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, entry) in &self.entries {
            let mut header = deterministic_header(entry.mode, entry.owner);
            let written = match &entry.node {
                Node::Directory => {
                    header.set_entry_type(tar::EntryType::Directory);
                    tar.append_data(&mut header, format!("{path}/"), std::io::empty())
                }
                Node::File(content) => {
                    header.set_size(content.len() as u64);
                    tar.append_data(&mut header, path, content.as_slice())
                }
                Node::Symlink(target) => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    tar.append_link(&mut header, path, target)
                }
            };
            written.with_context(|| format!("failed to write /{path} into the layer"))?;
        }
        let bytes = tar.into_inner().context("failed to finish the layer")?;
        Ok(Blob::new(bytes))
    }
}

/// A tar header in which nothing depends on when or by whom it is written.
pub(crate) fn deterministic_header(mode: u32, owner: Owner) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Regular);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(owner.id().into());
    header.set_gid(owner.id().into());
    header.set_size(0);
    header
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn listing(layer: &Layer) -> Vec<String> {
        let blob = layer.pack().unwrap();
        let mut archive = tar::Archive::new(blob.bytes());
        let entries = archive.entries().unwrap();
        entries
            .map(|entry| {
                let mut entry = entry.unwrap();
                let mut content = String::new();
                entry.read_to_string(&mut content).unwrap();
                let header = entry.header();
                format!(
                    "{} {:04o} {}:{} {:?} {} {content}{}",
                    entry.path().unwrap().display(),
                    header.mode().unwrap(),
                    header.uid().unwrap(),
                    header.gid().unwrap(),
                    header.entry_type(),
                    header.mtime().unwrap(),
                    entry.link_name().unwrap().unwrap_or_default().display(),
                )
            })
            .collect()
    }

    #[test]
    fn entries_are_sorted_after_their_parents_and_keep_owner_and_mode() {
        let mut layer = Layer::new();
        layer
            .symlink("/bin/registry", "../usr/local/bin/tool")
            .unwrap();
        layer.file("/usr/local/bin/tool", 0o755, "tool").unwrap();
        layer.directory("/data", 0o750, Owner::NonRoot).unwrap();
        assert_eq!(
            listing(&layer),
            [
                "bin/ 0755 0:0 Directory 0 ",
                "bin/registry 0777 0:0 Symlink 0 ../usr/local/bin/tool",
                "data/ 0750 65532:65532 Directory 0 ",
                "usr/ 0755 0:0 Directory 0 ",
                "usr/local/ 0755 0:0 Directory 0 ",
                "usr/local/bin/ 0755 0:0 Directory 0 ",
                "usr/local/bin/tool 0755 0:0 Regular 0 tool",
            ]
        );
    }

    #[test]
    fn the_order_of_adding_does_not_change_the_digest() {
        let mut one = Layer::new();
        one.file("/a/x", 0o644, "x")
            .unwrap()
            .file("/b", 0o600, "b")
            .unwrap();
        let mut other = Layer::new();
        other
            .file("/b", 0o600, "b")
            .unwrap()
            .file("/a/x", 0o644, "x")
            .unwrap();
        assert_eq!(one.pack().unwrap().digest(), other.pack().unwrap().digest());
    }

    #[test]
    fn the_content_and_the_owner_change_the_digest() {
        let digest = |owner, content: &str| {
            let mut layer = Layer::new();
            layer.directory("/data", 0o755, owner).unwrap();
            layer.file("/file", 0o644, content).unwrap();
            layer.pack().unwrap().digest().to_owned()
        };
        let original = digest(Owner::Root, "a");
        assert_ne!(original, digest(Owner::Root, "b"));
        assert_ne!(original, digest(Owner::NonRoot, "a"));
    }

    #[test]
    fn a_directory_made_on_the_way_takes_its_own_mode_later() {
        let mut layer = Layer::new();
        layer.file("/tmp/file", 0o644, "").unwrap();
        layer.directory("/tmp", 0o1777, Owner::Root).unwrap();
        assert_eq!(
            listing(&layer),
            ["tmp/ 1777 0:0 Directory 0 ", "tmp/file 0644 0:0 Regular 0 "]
        );
    }

    #[test]
    fn paths_that_are_relative_or_climb_or_collide_are_refused() {
        let mut layer = Layer::new();
        for path in ["etc/passwd", "/../etc", "/a//b", "/", "/a/./b", "/a/"] {
            let error = layer.file(path, 0o644, "").unwrap_err().to_string();
            assert!(
                error.contains(path) && error.contains("absolute"),
                "{error}"
            );
        }
        layer.file("/file", 0o644, "").unwrap();
        let taken = layer.file("/file", 0o644, "").unwrap_err().to_string();
        assert_eq!(taken, r#"failed to add "/file": the path is taken"#);
        let below = layer.file("/file/x", 0o644, "").unwrap_err().to_string();
        assert_eq!(
            below,
            r#"failed to add "/file/x": /file is not a directory"#
        );
    }
}
