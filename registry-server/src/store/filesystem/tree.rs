//! The tree of objects: from keys to files and back, relative to open folders.
//!
//! Every step down is an `openat` that does not follow links, so that a link that somebody planted cannot lead out of the
//! root, and a folder that is removed meanwhile shows as an error instead of as another place.

use std::{
    fs::{self, File},
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
};

use jiff::Timestamp;
use rustix::{
    fs::{
        AtFlags, FileType, Mode, OFlags, Stat, fstat, fsync, linkat, mkdirat, openat, renameat,
        statat, unlinkat,
    },
    io::Errno,
};

use super::super::{ETag, Key, ObjectMeta, PutMode};

/// Beside the root's own folders; no key may begin with it.
pub(super) const PRIVATE: &str = ".moorage";

/// How often a write begins again because a folder it had just made was removed as empty. Each time somebody else has
/// made progress, so this only ends what would otherwise be a fault of ours.
const ATTEMPTS: usize = 1000;

const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);
// A pipe must not make us wait for a writer.
const FILE: OFlags = OFlags::RDONLY
    .union(OFlags::NOFOLLOW)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

#[derive(Debug)]
pub(super) struct Tree {
    root: OwnedFd,
}

/// How moving a file to its key ended, if not with an error.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Placed {
    Done,
    /// The condition did not hold, and the file is where it was.
    Refused,
}

impl Tree {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        // The root itself may be a link: that is how volumes are mounted.
        let root = File::open(root)?;
        if !root.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        Ok(Self { root: root.into() })
    }

    /// The folder `name` directly below the root, made where it is missing.
    pub(super) fn private(&self, name: &str) -> io::Result<OwnedFd> {
        make(self.root.as_fd(), PRIVATE)?;
        let private = openat(&self.root, PRIVATE, FOLDER, Mode::empty())?;
        make(private.as_fd(), name)?;
        Ok(openat(&private, name, FOLDER, Mode::empty())?)
    }

    /// The folder of this path; the root for an empty one. A `/` at its end is allowed.
    pub(super) fn folder(&self, path: &str) -> io::Result<OwnedFd> {
        let mut folder = openat(&self.root, ".", FOLDER, Mode::empty())?;
        for segment in path.split_terminator('/') {
            folder = openat(&folder, segment, FOLDER, Mode::empty())?;
        }
        Ok(folder)
    }

    pub(super) fn meta(&self, key: &Key) -> io::Result<ObjectMeta> {
        let (folder, name) = self.place(key)?;
        let stat = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        object(&stat)
    }

    pub(super) fn read(&self, key: &Key) -> io::Result<(File, ObjectMeta)> {
        let (folder, name) = self.place(key)?;
        let file = openat(folder, name, FILE, Mode::empty())?;
        let meta = object(&fstat(&file)?)?;
        Ok((file.into(), meta))
    }

    /// Moves the file `name` in `folder`, whose bytes the disk has, to where `key` says. The caller holds the key's lock.
    pub(super) fn place_file(
        &self,
        from: BorrowedFd<'_>,
        name: &str,
        key: &Key,
        mode: &PutMode,
    ) -> io::Result<Placed> {
        for _ in 0..ATTEMPTS {
            let place = match mode {
                PutMode::IfMatch(_) => self.place(key),
                PutMode::Overwrite | PutMode::IfAbsent => self.place_made(key),
            };
            let outcome = place.and_then(|(folder, target)| {
                let placed = put(from, name, folder.as_fd(), target, mode)?;
                fsync(&folder)?;
                Ok(placed)
            });
            match outcome {
                // For a condition on what is there, nothing being there is an answer.
                Err(error) if gone(&error) && matches!(mode, PutMode::IfMatch(_)) => {
                    return Ok(Placed::Refused);
                }
                // Either the folder was removed as empty before the file was in it: make it again. Or the file itself
                // is missing, which ends the attempts.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?
                }
                outcome => return outcome,
            };
        }
        Err(io::Error::other("the folder is removed again and again"))
    }

    /// Removes the file and the folders that are empty without it. Yields the deepest folder that is left.
    pub(super) fn remove(&self, key: &Key) -> io::Result<Option<(String, OwnedFd)>> {
        let (folders, name) = match self.folders(key) {
            Err(error) if gone(&error) => return Ok(None),
            found => found?,
        };
        let Some(folder) = folders.last() else {
            return Ok(None);
        };
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT | Errno::ISDIR) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        Ok(prune(folders, key))
    }

    /// The open folder of a key and the file's name in it.
    fn place<'a>(&self, key: &'a Key) -> io::Result<(OwnedFd, &'a str)> {
        let (folder, name) = split(key)?;
        Ok((self.folder(folder)?, name))
    }

    /// As [`Self::place`], making the folders that are missing.
    fn place_made<'a>(&self, key: &'a Key) -> io::Result<(OwnedFd, &'a str)> {
        let (path, name) = split(key)?;
        let mut folder = openat(&self.root, ".", FOLDER, Mode::empty())?;
        for segment in path.split_terminator('/') {
            folder = match openat(&folder, segment, FOLDER, Mode::empty()) {
                Err(Errno::NOENT) => {
                    make(folder.as_fd(), segment)?;
                    openat(&folder, segment, FOLDER, Mode::empty())?
                }
                // What a key is called cannot be a folder: this is not "there is nothing" but a write that cannot be.
                Err(Errno::NOTDIR) => return Err(io::Error::from(io::ErrorKind::IsADirectory)),
                opened => opened?,
            };
        }
        Ok((folder, name))
    }

    /// The open folders from the root down to the one the key's file is in.
    fn folders<'a>(&self, key: &'a Key) -> io::Result<(Vec<OwnedFd>, &'a str)> {
        let (path, name) = split(key)?;
        let mut folders = vec![openat(&self.root, ".", FOLDER, Mode::empty())?];
        for segment in path.split_terminator('/') {
            if let Some(above) = folders.last() {
                folders.push(openat(above, segment, FOLDER, Mode::empty())?);
            }
        }
        Ok((folders, name))
    }
}

/// The path of the folder, and the name in it.
fn split(key: &Key) -> io::Result<(&str, &str)> {
    if key.segments().next() == Some(PRIVATE) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{PRIVATE:?} is where this store keeps its own files"),
        ));
    }
    Ok(key.as_str().rsplit_once('/').unwrap_or(("", key.as_str())))
}

fn make(folder: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    match mkdirat(folder, name, Mode::from_raw_mode(0o777)) {
        Ok(()) => Ok(fsync(folder)?),
        Err(Errno::EXIST) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn put(
    from: BorrowedFd<'_>,
    name: &str,
    to: BorrowedFd<'_>,
    target: &str,
    mode: &PutMode,
) -> io::Result<Placed> {
    match mode {
        PutMode::Overwrite => rename(from, name, to, target)?,
        PutMode::IfAbsent => match linkat(from, name, to, target, AtFlags::empty()) {
            Ok(()) => unlinkat(from, name, AtFlags::empty())?,
            Err(Errno::EXIST) if !is_folder(to, target) => return Ok(Placed::Refused),
            Err(Errno::EXIST) => rename(from, name, to, target)?,
            // A file system without hard links. The key's lock keeps out all writers but those of other programs.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK) => {
                match statat(to, target, AtFlags::SYMLINK_NOFOLLOW) {
                    Err(Errno::NOENT) => rename(from, name, to, target)?,
                    Ok(_) => return Ok(Placed::Refused),
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        },
        PutMode::IfMatch(expected) => {
            let found = object(&statat(to, target, AtFlags::SYMLINK_NOFOLLOW)?)?;
            if found.etag != *expected {
                return Ok(Placed::Refused);
            }
            rename(from, name, to, target)?;
        }
    }
    Ok(Placed::Done)
}

/// Renames over a file, and over a folder too when it is empty: other programs leave such behind.
fn rename(from: BorrowedFd<'_>, name: &str, to: BorrowedFd<'_>, target: &str) -> io::Result<()> {
    match renameat(from, name, to, target) {
        Err(Errno::ISDIR) => {
            unlinkat(to, target, AtFlags::REMOVEDIR).map_err(|_| {
                io::Error::new(
                    io::ErrorKind::IsADirectory,
                    "there are other objects below it",
                )
            })?;
            Ok(renameat(from, name, to, target)?)
        }
        outcome => Ok(outcome?),
    }
}

fn is_folder(folder: BorrowedFd<'_>, name: &str) -> bool {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir())
}

fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

/// Removes the empty ones of `folders` (from the root down to where `key` was), the deepest first. A folder in which somebody
/// has put something meanwhile is not empty, and the system refuses; somebody about to put something there meets a folder
/// that is gone and makes it again.
fn prune(mut folders: Vec<OwnedFd>, key: &Key) -> Option<(String, OwnedFd)> {
    let segments: Vec<&str> = key.segments().collect();
    while let Some(folder) = folders.pop() {
        let depth = folders.len();
        let removed = match (
            folders.last(),
            depth.checked_sub(1).and_then(|above| segments.get(above)),
        ) {
            (Some(above), Some(name)) => unlinkat(above, *name, AtFlags::REMOVEDIR).is_ok(),
            _ => false,
        };
        if !removed {
            return Some((segments.get(..depth).unwrap_or_default().join("/"), folder));
        }
    }
    None
}

/// What is known of a file as an object.
pub(super) fn object(stat: &Stat) -> io::Result<ObjectMeta> {
    if !FileType::from_raw_mode(stat.st_mode).is_file() {
        return Err(io::ErrorKind::NotFound.into());
    }
    let size = u64::try_from(stat.st_size).map_err(io::Error::other)?;
    let nanoseconds = i32::try_from(stat.st_mtime_nsec).map_err(io::Error::other)?;
    let last_modified = Timestamp::new(stat.st_mtime, nanoseconds).map_err(io::Error::other)?;
    // A new version is a new file, and one that takes over the number of an old file has another time: ours are set to
    // the nanosecond, because the system's own may stand still for milliseconds.
    let etag = ETag::new(format!(
        "\"{:x}-{:x}-{size:x}\"",
        stat.st_ino,
        last_modified.as_nanosecond()
    ));
    Ok(ObjectMeta {
        size,
        etag,
        last_modified,
    })
}
