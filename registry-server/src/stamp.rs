//! Tells whether a file is still the one that was read, by asking the file system and not by reading it again.
//!
//! Links are followed, so that the exchange of the `..data` link, which is how Kubernetes updates a mounted Secret or ConfigMap,
//! shows as another file.

use std::{io, os::unix::fs::MetadataExt, path::Path};

/// What of a file changes with its content, or with the file that a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds of the last write.
    modified: (i64, i64),
    /// The same for the last change of anything, which nobody can set back.
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of the file that `path` leads to now. Take it before reading the file: a change in between then shows next time.
    ///
    /// # Errors
    /// Those of `stat(2)`.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let data = std::fs::metadata(path)?;
        Ok(Self {
            device: data.dev(),
            inode: data.ino(),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}
