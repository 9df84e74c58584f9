//! Reading a file piece by piece, the next one while the last is on its way out.

use std::{fs::File, io, ops::Range, sync::Arc};

use bytes::Bytes;
use futures::{StreamExt, stream};
use rustix::{buffer::spare_capacity, io::pread};
use tokio::task::JoinHandle;

use super::{
    super::{Error, Key, Kind, Object, Result, clip},
    failure,
    tree::Tree,
};

/// Bytes read by one call. Large enough that handing it to another thread does not show in the throughput; two of them
/// are in memory for each reader.
const CHUNK: u64 = 512 * 1024;

struct Reading {
    file: Arc<File>,
    key: Key,
    rest: Range<u64>,
    next: Option<JoinHandle<Result<Bytes>>>,
}

/// Opens the file and reads its first piece, so that a small object costs one change of threads.
pub(super) fn open(tree: &Tree, key: &Key, range: Option<Range<u64>>) -> Result<Object> {
    let (file, meta) = tree.read(key).map_err(failure::reading("read", key))?;
    let Some(mut rest) = clip(range, meta.size) else {
        return Err(Error::new(Kind::InvalidRange, "read", key.as_str()));
    };
    let first = read(&file, key, take(&mut rest))?;
    let reading = Reading {
        file: Arc::new(file),
        key: key.clone(),
        rest,
        next: None,
    };
    let first = stream::iter((!first.is_empty()).then_some(Ok(first)));
    Ok(Object {
        meta,
        body: first
            .chain(stream::try_unfold(reading, Reading::piece))
            .boxed(),
    })
}

impl Reading {
    async fn piece(mut self) -> Result<Option<(Bytes, Self)>> {
        let Some(next) = self.next.take().or_else(|| self.ahead()) else {
            return Ok(None);
        };
        let piece = next.await.unwrap_or_else(|error| {
            Err(Error::new(Kind::Other, "read", self.key.as_str()).because(error))
        })?;
        self.next = self.ahead();
        Ok(Some((piece, self)))
    }

    fn ahead(&mut self) -> Option<JoinHandle<Result<Bytes>>> {
        let range = take(&mut self.rest);
        if range.is_empty() {
            return None;
        }
        let (file, key) = (Arc::clone(&self.file), self.key.clone());
        Some(tokio::task::spawn_blocking(move || {
            read(&file, &key, range)
        }))
    }
}

/// Takes the next piece off the beginning of `rest`.
fn take(rest: &mut Range<u64>) -> Range<u64> {
    let end = rest.end.min(rest.start.saturating_add(CHUNK));
    let piece = rest.start..end;
    rest.start = end;
    piece
}

fn read(file: &File, key: &Key, range: Range<u64>) -> Result<Bytes> {
    let failed = failure::reading("read", key);
    let length = usize::try_from(range.end - range.start)
        .map_err(|error| failed(io::Error::other(error)))?;
    let mut piece = Vec::with_capacity(length);
    while piece.len() < length {
        let offset = range.start + piece.len() as u64;
        match pread(file, spare_capacity(&mut piece), offset) {
            // A file that another program cuts short while we read it. Nothing of ours does.
            Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed(error.into())),
        }
    }
    // The allocator may have given more than was asked for, and then more was read.
    piece.truncate(length);
    Ok(piece.into())
}
