//! Everything on its way into the tree: temporary files, open multipart uploads, and the locks that order writers.
//!
//! ```text
//! .moorage/tmp/<uuid>                a whole object being written
//! .moorage/locks/<00..3f>            a writer holds the one its key hashes to while it moves its file into place
//! .moorage/uploads/<uuid>/upload     JSON: the key and the part size. Locked: shared by writers of parts, else by whoever ends it
//! .moorage/uploads/<uuid>/data       the parts, each at (number - 1) * part size
//! .moorage/uploads/<uuid>/00001      JSON: the part that is in `data`, once the disk has it. Locked while it is written
//! ```
//!
//! Locks are the system's (`flock`): a process that dies lets go of them.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::SystemTime,
};

use jiff::{SignedDuration, Timestamp};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, fsync, openat, statat, unlinkat};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    super::{ETag, Error, Key, Kind, PutMode, Result},
    failure,
    tree::{Placed, Tree, object},
};

mod uploads;

/// Writers of different keys rarely meet on one of this many locks.
const LOCKS: u8 = 64;

/// A temporary file as old as this belongs to nobody: no write of one part takes a day.
const STALE_FILE: SignedDuration = SignedDuration::from_hours(24);

/// As distribution's `uploadpurging.age`: a client may come back to its upload for a week.
const STALE_UPLOAD: SignedDuration = SignedDuration::from_hours(7 * 24);

const OPEN: OFlags = OFlags::RDWR.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const MAKE: OFlags = OPEN.union(OFlags::CREATE);
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);

#[derive(Debug)]
pub(super) struct Staging {
    temporary: OwnedFd,
    locks: OwnedFd,
    uploads: OwnedFd,
}

/// A temporary file, removed when it has not been moved away.
struct Temporary<'a> {
    folder: BorrowedFd<'a>,
    name: String,
    file: File,
}

impl Staging {
    pub(super) fn open(tree: &Tree) -> io::Result<Self> {
        Ok(Self {
            temporary: tree.private("tmp")?,
            locks: tree.private("locks")?,
            uploads: tree.private("uploads")?,
        })
    }

    /// Whether the folder is still there and can be written to.
    pub(super) fn check(&self) -> io::Result<()> {
        statat(&self.locks, ".", AtFlags::empty())?;
        Ok(rustix::fs::accessat(
            &self.temporary,
            ".",
            rustix::fs::Access::WRITE_OK,
            AtFlags::empty(),
        )?)
    }

    pub(super) fn put(&self, tree: &Tree, key: &Key, body: &[u8], mode: &PutMode) -> Result<ETag> {
        let failed = failure::writing("write", key);
        let refused = || Error::new(Kind::PreconditionFailed, "write", key.as_str());
        // Spares the disk a write that will be refused. What decides is done under the lock.
        if *mode == PutMode::IfAbsent && tree.meta(key).is_ok() {
            return Err(refused());
        }
        let mut temporary = self.temporary().map_err(unreachable_root("write", key))?;
        temporary.file.write_all(body).map_err(&failed)?;
        let etag = settle(&temporary.file).map_err(&failed)?;
        match self
            .move_to(tree, self.temporary.as_fd(), &temporary.name, key, mode)
            .map_err(unreachable_root("write", key))?
        {
            Placed::Done => Ok(etag),
            Placed::Refused => Err(refused()),
        }
    }

    pub(super) fn copy(&self, tree: &Tree, from: &Key, to: &Key) -> Result<()> {
        let (mut source, _) = tree.read(from).map_err(failure::reading("copy", from))?;
        let failed = failure::writing("copy to", to);
        let mut temporary = self.temporary().map_err(unreachable_root("copy to", to))?;
        // The system copies, and shares the blocks where the file system can.
        io::copy(&mut source, &mut temporary.file).map_err(&failed)?;
        settle(&temporary.file).map_err(&failed)?;
        self.move_to(
            tree,
            self.temporary.as_fd(),
            &temporary.name,
            to,
            &PutMode::Overwrite,
        )
        .map_err(unreachable_root("copy to", to))?;
        Ok(())
    }

    pub(super) fn delete(&self, tree: &Tree, keys: &[Key]) -> Result<()> {
        let mut outcome = Ok(());
        let mut unsynced: Option<(String, OwnedFd)> = None;
        for key in keys {
            let removed = self.lock(key).and_then(|_lock| tree.remove(key));
            match removed.map_err(failure::writing("delete", key)) {
                // Neighbours are deleted one after the other: their folder is written to the disk once.
                Ok(Some(left)) => {
                    let before = unsynced.replace(left);
                    let same = before.as_ref().map(|(path, _)| path)
                        == unsynced.as_ref().map(|(path, _)| path);
                    outcome = outcome.and(if same { Ok(()) } else { sync(before) });
                }
                Ok(None) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        let synced = sync(unsynced);
        outcome.and(synced)
    }

    /// Removes what nobody will come back to. Failing to is no reason not to start.
    pub(super) fn remove_stale(&self, now: Timestamp) {
        if let Err(error) = self
            .remove_stale_files(now)
            .and_then(|()| self.remove_stale_uploads(now))
        {
            tracing::warn!(%error, "failed to remove stale files of writes that never ended");
        }
    }

    fn remove_stale_files(&self, now: Timestamp) -> io::Result<()> {
        for name in names(&self.temporary)? {
            if older(&self.temporary, &name, now, STALE_FILE) {
                unlinkat(&self.temporary, name, AtFlags::empty())?;
            }
        }
        Ok(())
    }

    fn remove_stale_uploads(&self, now: Timestamp) -> io::Result<()> {
        for id in names(&self.uploads)? {
            // An upload is as young as the youngest file in it.
            let folder = self.upload_folder(&id)?;
            let old = |name: &String| older(&folder, name, now, STALE_UPLOAD);
            if older(&self.uploads, &id, now, STALE_UPLOAD) && names(&folder)?.iter().all(old) {
                self.remove_upload(&id)?;
            }
        }
        Ok(())
    }

    /// Moves a file into place under the key's lock, so that a condition that has been seen to hold still does.
    fn move_to(
        &self,
        tree: &Tree,
        from: BorrowedFd<'_>,
        name: &str,
        key: &Key,
        mode: &PutMode,
    ) -> io::Result<Placed> {
        let _lock = self.lock(key)?;
        tree.place_file(from, name, key, mode)
    }

    fn lock(&self, key: &Key) -> io::Result<File> {
        // A hash that never changes: all processes, of whatever version, have to come to the same lock.
        let hash = Sha256::digest(key.as_str())
            .first()
            .map_or(0, |byte| byte % LOCKS);
        let lock = File::from(openat(&self.locks, format!("{hash:02x}"), MAKE, FILE_MODE)?);
        lock.lock()?;
        Ok(lock)
    }

    fn temporary(&self) -> io::Result<Temporary<'_>> {
        let name = Uuid::new_v4().to_string();
        let file = openat(&self.temporary, &name, MAKE.union(OFlags::EXCL), FILE_MODE)?;
        Ok(Temporary {
            folder: self.temporary.as_fd(),
            name,
            file: file.into(),
        })
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // Gone when it has been moved; otherwise removed as stale one day, if not now.
        let _ = unlinkat(self.folder, &self.name, AtFlags::empty());
    }
}

/// Waits until the disk knows what is no longer in the folder.
fn sync(folder: Option<(String, OwnedFd)>) -> Result<()> {
    let Some((path, folder)) = folder else {
        return Ok(());
    };
    fsync(&folder).map_err(|error| failure::writing("delete from", path)(error.into()))
}

/// Gives the file its time and waits until the disk has it.
fn settle(file: &File) -> io::Result<ETag> {
    file.set_modified(SystemTime::now())?;
    file.sync_all()?;
    Ok(object(&rustix::fs::fstat(file)?)?.etag)
}

fn names(folder: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        if let Ok(name) = entry?.file_name().to_str()
            && name != "."
            && name != ".."
        {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

fn older(folder: &OwnedFd, name: &str, now: Timestamp, age: SignedDuration) -> bool {
    let modified = statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)
        .ok()
        .map(|stat| stat.st_mtime);
    modified
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .is_some_and(|modified| now.duration_since(modified) > age)
}

/// For making a file and moving it into place: nothing can be missing while the root is there, and "not found" would be taken for an answer about the key.
fn unreachable_root(operation: &'static str, key: &Key) -> impl Fn(io::Error) -> Error {
    move |source| match source.kind() {
        io::ErrorKind::NotFound => {
            Error::new(Kind::Misconfigured, operation, key.as_str()).because(source)
        }
        _ => failure::writing(operation, key)(source),
    }
}
