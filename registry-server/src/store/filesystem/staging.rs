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
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
    time::SystemTime,
};

use jiff::{SignedDuration, Timestamp};
use rustix::{
    fs::{AtFlags, Dir, Mode, OFlags, fsync, openat, statat, unlinkat},
    io::Errno,
};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    super::{ETag, Error, Key, Kind, MultipartId, Part, PartSize, PutMode, Result},
    failure,
    tree::{Placed, Tree, object},
};

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

/// What is written down of an upload, so that a process configured otherwise goes on with it rightly or not at all.
#[derive(serde::Serialize, serde::Deserialize)]
struct Upload {
    key: Key,
    part_size: u64,
}

/// A temporary file, removed when it has not been moved away.
struct Temporary<'a> {
    folder: BorrowedFd<'a>,
    name: String,
    file: File,
}

/// An upload's folder, under a lock that is let go when this is dropped.
struct Locked {
    folder: OwnedFd,
    part_size: PartSize,
    data: File,
    _lock: File,
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
        let mut first_failure = None;
        let mut unsynced: Option<(String, OwnedFd)> = None;
        for key in keys {
            let failed = failure::writing("delete", key);
            match self.lock(key).and_then(|_lock| tree.remove(key)) {
                // Neighbours are deleted one after the other: their folder is written to the disk once.
                Ok(Some((path, folder))) => {
                    if let Some((other, before)) =
                        unsynced.take().filter(|(other, _)| *other != path)
                    {
                        fsync(&before).map_err(|error| {
                            failure::writing("delete from", other)(error.into())
                        })?;
                    }
                    unsynced = Some((path, folder));
                }
                Ok(None) => {}
                Err(error) => {
                    first_failure.get_or_insert_with(|| failed(error));
                }
            }
        }
        if let Some((path, folder)) = unsynced {
            fsync(&folder).map_err(|error| failure::writing("delete from", path)(error.into()))?;
        }
        first_failure.map_or(Ok(()), Err)
    }

    pub(super) fn begin(&self, key: &Key, part_size: PartSize) -> Result<MultipartId> {
        const OPERATION: &str = "begin the upload of";
        let id = Uuid::new_v4().to_string();
        let upload = Upload {
            key: key.clone(),
            part_size: part_size.get(),
        };
        let json = serde_json::to_vec(&upload)
            .map_err(|error| Error::new(Kind::Other, OPERATION, key.as_str()).because(error))?;
        let make = || -> io::Result<()> {
            rustix::fs::mkdirat(&self.uploads, &id, Mode::from_raw_mode(0o777))?;
            let folder = self.upload_folder(&id)?;
            drop(openat(&folder, "data", MAKE, FILE_MODE)?);
            let mut description = File::from(openat(&folder, "upload", MAKE, FILE_MODE)?);
            description.write_all(&json)?;
            description.sync_all()?;
            fsync(&folder)?;
            Ok(fsync(&self.uploads)?)
        };
        make().map_err(unreachable_root(OPERATION, key))?;
        Ok(MultipartId(id))
    }

    pub(super) fn write_part(
        &self,
        key: &Key,
        id: &MultipartId,
        number: u16,
        body: &[u8],
    ) -> Result<Part> {
        const OPERATION: &str = "upload a part of";
        let failed = failure::writing(OPERATION, key);
        let upload = self.upload(key, id, File::lock_shared).map_err(&failed)?;
        let size = body.len() as u64;
        if !(1..=Part::MAX_NUMBER).contains(&number) || size > upload.part_size.get() {
            return Err(Error::new(Kind::InvalidParts, OPERATION, key.as_str()));
        }
        let part = Part {
            number,
            etag: Uuid::new_v4().to_string(),
            size,
        };
        let write = || -> io::Result<()> {
            let mut record = File::from(openat(&upload.folder, record(number), MAKE, FILE_MODE)?);
            record.lock()?;
            // From here until the new bytes are on the disk, the part is neither the old nor the new one.
            record.set_len(0)?;
            record.sync_data()?;
            upload
                .data
                .write_all_at(body, u64::from(number - 1) * upload.part_size.get())?;
            upload.data.sync_data()?;
            record.write_all(&serde_json::to_vec(&part)?)?;
            record.sync_data()?;
            Ok(fsync(&upload.folder)?)
        };
        write().map_err(failed)?;
        Ok(part)
    }

    pub(super) fn complete(
        &self,
        tree: &Tree,
        key: &Key,
        id: &MultipartId,
        parts: &[Part],
    ) -> Result<()> {
        const OPERATION: &str = "complete the upload of";
        let failed = failure::writing(OPERATION, key);
        let upload = self.upload(key, id, File::lock).map_err(&failed)?;
        if !upload.part_size.accepts(parts) || !parts.iter().all(|part| upload.has(part)) {
            return Err(Error::new(Kind::InvalidParts, OPERATION, key.as_str()));
        }
        let size = parts.iter().map(|part| part.size).sum();
        // What lies behind the last part is from an earlier, longer one.
        upload
            .data
            .set_len(size)
            .and_then(|()| settle(&upload.data))
            .map_err(&failed)?;
        self.move_to(
            tree,
            upload.folder.as_fd(),
            "data",
            key,
            &PutMode::Overwrite,
        )
        .map_err(unreachable_root(OPERATION, key))?;
        // The object is there. What cannot be removed now is removed as stale later.
        if let Err(error) = self.remove_upload(&id.0) {
            tracing::warn!(%key, upload = id.0, %error, "failed to remove a completed upload");
        }
        Ok(())
    }

    pub(super) fn abort(&self, key: &Key, id: &MultipartId) -> Result<()> {
        let failed = failure::writing("abort the upload of", key);
        match self.upload(key, id, File::lock) {
            Ok(_lock) => self.remove_upload(&id.0).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(error)),
        }
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

    fn upload_folder(&self, id: &str) -> io::Result<OwnedFd> {
        // An id comes from a client's token in the end: nothing but what we make ourselves is a name here.
        Uuid::try_parse(id).map_err(|_| io::ErrorKind::NotFound)?;
        Ok(openat(
            &self.uploads,
            id,
            OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
            Mode::empty(),
        )?)
    }

    fn upload(
        &self,
        key: &Key,
        id: &MultipartId,
        lock: fn(&File) -> io::Result<()>,
    ) -> io::Result<Locked> {
        let folder = self.upload_folder(&id.0)?;
        let mut description = File::from(openat(&folder, "upload", OPEN, Mode::empty())?);
        lock(&description)?;
        // Only now: whoever had the lock before may have ended the upload, and `data` may be an object already.
        let data = File::from(openat(&folder, "data", OPEN, Mode::empty())?);
        let mut json = Vec::new();
        description.read_to_end(&mut json)?;
        let Upload { key: of, part_size } = serde_json::from_slice(&json)?;
        match PartSize::new(part_size) {
            Some(part_size) if of == *key => Ok(Locked {
                folder,
                part_size,
                data,
                _lock: description,
            }),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn remove_upload(&self, id: &str) -> io::Result<()> {
        let folder = self.upload_folder(id)?;
        // Without `data` it is no upload any more, so that goes first.
        match unlinkat(&folder, "data", AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
        for name in names(&folder)? {
            unlinkat(&folder, name, AtFlags::empty())?;
        }
        Ok(unlinkat(&self.uploads, id, AtFlags::REMOVEDIR)?)
    }
}

impl Locked {
    fn has(&self, part: &Part) -> bool {
        let read = || -> io::Result<Part> {
            let mut json = Vec::new();
            File::from(openat(
                &self.folder,
                record(part.number),
                OPEN,
                Mode::empty(),
            )?)
            .read_to_end(&mut json)?;
            Ok(serde_json::from_slice(&json)?)
        };
        read().is_ok_and(|recorded| recorded == *part)
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        // Gone when it has been moved; otherwise removed as stale one day, if not now.
        let _ = unlinkat(self.folder, &self.name, AtFlags::empty());
    }
}

/// Gives the file its time and waits until the disk has it.
fn settle(file: &File) -> io::Result<ETag> {
    file.set_modified(SystemTime::now())?;
    file.sync_all()?;
    Ok(object(&rustix::fs::fstat(file)?)?.etag)
}

fn record(number: u16) -> String {
    format!("{number:05}")
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
