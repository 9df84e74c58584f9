//! Multipart uploads: parts side by side in one file, which becomes the object.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::FileExt,
    },
};

use rustix::{
    fs::{AtFlags, Mode, OFlags, fsync, openat, unlinkat},
    io::Errno,
};
use uuid::Uuid;

use super::{
    super::{
        super::{Error, Key, Kind, MultipartId, Part, PartSize, PutMode, Result},
        failure,
        tree::Tree,
    },
    FILE_MODE, MAKE, OPEN, Staging, names, settle, unreachable_root,
};

/// What is written down of an upload, so that a process configured otherwise goes on with it rightly or not at all.
#[derive(serde::Serialize, serde::Deserialize)]
struct Upload {
    key: Key,
    part_size: u64,
}

/// An upload's folder, under a lock that is let go when this is dropped.
struct Locked {
    folder: OwnedFd,
    part_size: PartSize,
    data: File,
    _lock: File,
}

impl Staging {
    pub(in super::super) fn begin(&self, key: &Key, part_size: PartSize) -> Result<MultipartId> {
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

    pub(in super::super) fn write_part(
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

    pub(in super::super) fn complete(
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

    pub(in super::super) fn abort(&self, key: &Key, id: &MultipartId) -> Result<()> {
        let failed = failure::writing("abort the upload of", key);
        match self.upload(key, id, File::lock) {
            Ok(_lock) => self.remove_upload(&id.0).map_err(failed),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(failed(error)),
        }
    }

    pub(super) fn upload_folder(&self, id: &str) -> io::Result<OwnedFd> {
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

    pub(super) fn remove_upload(&self, id: &str) -> io::Result<()> {
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

fn record(number: u16) -> String {
    format!("{number:05}")
}
