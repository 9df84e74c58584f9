//! What the store remembers of an upload between two requests: one object, a line of JSON and the bytes that are in no part yet.
//!
//! It is only ever written on condition that nobody else has written it since it was read. So of two clients that work on
//! one upload at once, one is told that it is late, and no bytes of the two are mixed.

use bytes::{BufMut, Bytes, BytesMut};
use futures::StreamExt;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        Registry, RepositoryName,
        digest::{Algorithm, Hasher},
        error::{CorruptSnafu, OutOfOrderSnafu, Result, UploadUnknownSnafu},
    },
    Progress, UploadId,
    content::{Multipart, Open},
};
use crate::{
    layout,
    store::{ETag, Key, PutMode},
};

/// The most the line of JSON has, in bytes: 10,000 parts of about 100 bytes.
const MAX_HEADER: u64 = 2 * 1024 * 1024;

/// The line of JSON. Members may be added; a change of meaning needs a new `version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Header {
    version: u8,
    started_at: Timestamp,
    /// Bytes received in all.
    offset: u64,
    algorithm: Algorithm,
    midstate: String,
    multipart: Option<Multipart>,
}

const VERSION: u8 = 1;

/// An upload as it was read.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: UploadId,
    pub(super) started_at: Timestamp,
    pub(super) content: Open,
    pub(super) state_key: Key,
    /// Under which a multipart upload collects its parts while the digest is unknown.
    pub(super) data_key: Key,
    /// Of the state that was read; `None` where there is none yet.
    etag: Option<ETag>,
}

impl Session {
    /// One that has just begun.
    pub(super) fn new(
        name: &RepositoryName,
        id: UploadId,
        algorithm: Algorithm,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            started_at: now,
            content: Open::new(algorithm),
            state_key: layout::upload_state(name, id),
            data_key: layout::upload_data(name, id),
            etag: None,
        }
    }

    pub(super) fn progress(&self) -> Progress {
        Progress {
            id: self.id,
            offset: self.content.received,
            started_at: self.started_at,
        }
    }

    fn header(&self) -> Header {
        Header {
            version: VERSION,
            started_at: self.started_at,
            offset: self.content.received,
            algorithm: self.content.hasher.algorithm(),
            midstate: self.content.hasher.save(),
            multipart: self.content.multipart.clone(),
        }
    }
}

impl Registry {
    /// Reads where an upload stands, with its last bytes.
    pub(super) async fn load_upload(&self, name: &RepositoryName, id: UploadId) -> Result<Session> {
        let state_key = layout::upload_state(name, id);
        let object = match self.store().get(&state_key, None).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return UploadUnknownSnafu.fail(),
            Err(error) => return Err(error.into()),
        };
        let mut body = object.body;
        let mut bytes = BytesMut::new();
        let limit = self.store().part_size().get().saturating_add(MAX_HEADER);
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk?);
            if bytes.len() as u64 > limit {
                return corrupt(&state_key, "it is too large");
            }
        }
        let Some(header) = split_header(&mut bytes) else {
            return corrupt(&state_key, "it has no header");
        };
        let header = parse(&state_key, &header)?;
        let Ok(hasher) = Hasher::restore(header.algorithm, &header.midstate) else {
            return corrupt(&state_key, "the state of its hash is damaged");
        };
        let content = Open {
            hasher,
            received: header.offset,
            tail: bytes,
            multipart: header.multipart,
            begun_here: false,
        };
        let data_key = layout::upload_data(name, id);
        Ok(Session {
            id,
            started_at: header.started_at,
            content,
            state_key,
            data_key,
            etag: Some(object.meta.etag),
        })
    }

    /// Reads where an upload stands, and no more than that.
    pub(super) async fn load_progress(
        &self,
        name: &RepositoryName,
        id: UploadId,
    ) -> Result<Progress> {
        let state_key = layout::upload_state(name, id);
        let object = match self.store().get(&state_key, None).await {
            Ok(object) => object,
            Err(error) if error.is_not_found() => return UploadUnknownSnafu.fail(),
            Err(error) => return Err(error.into()),
        };
        let mut body = object.body;
        let mut bytes = BytesMut::new();
        while let Some(chunk) = body.next().await {
            bytes.extend_from_slice(&chunk?);
            if let Some(header) = split_header(&mut bytes) {
                let header = parse(&state_key, &header)?;
                return Ok(Progress {
                    id,
                    offset: header.offset,
                    started_at: header.started_at,
                });
            }
            if bytes.len() as u64 > MAX_HEADER {
                break;
            }
        }
        corrupt(&state_key, "it has no header")
    }

    /// Writes down where the upload stands, unless somebody else has done so since it was read.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] or [`Error::UploadUnknown`] when somebody else was faster; parts sent for it are then given up.
    pub(super) async fn save_upload(
        &self,
        name: &RepositoryName,
        session: &mut Session,
    ) -> Result<()> {
        let header = session.header();
        let json = serde_json::to_vec(&header).map_err(|error| {
            CorruptSnafu {
                object: session.state_key.to_string(),
                reason: error.to_string(),
            }
            .build()
        })?;
        let mut bytes = BytesMut::with_capacity(json.len() + 1 + session.content.tail.len());
        bytes.put_slice(&json);
        bytes.put_u8(b'\n');
        bytes.put_slice(&session.content.tail);
        let mode = session
            .etag
            .clone()
            .map_or(PutMode::IfAbsent, PutMode::IfMatch);
        match self
            .store()
            .put(&session.state_key, bytes.freeze(), mode)
            .await
        {
            Ok(etag) => {
                session.etag = Some(etag);
                session.content.begun_here = false;
                Ok(())
            }
            Err(error) if error.is_precondition_failed() => {
                self.yield_upload(name, session, &header).await
            }
            // It may have been written all the same: what it names must stay.
            Err(error) => Err(error.into()),
        }
    }

    /// Somebody else has written the state. Or was it us, and the answer was lost?
    async fn yield_upload(
        &self,
        name: &RepositoryName,
        session: &mut Session,
        ours: &Header,
    ) -> Result<()> {
        let theirs = self.load_upload(name, session.id).await;
        if let Ok(theirs) = &theirs
            && theirs.header() == *ours
        {
            session.etag.clone_from(&theirs.etag);
            session.content.begun_here = false;
            return Ok(());
        }
        session
            .content
            .give_up(self.store(), &session.data_key)
            .await;
        OutOfOrderSnafu {
            offset: theirs?.content.received,
        }
        .fail()
    }
}

/// Takes the header off the front, if all of it is there.
fn split_header(bytes: &mut BytesMut) -> Option<Bytes> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let mut line = bytes.split_to(end + 1);
    line.truncate(end);
    Some(line.freeze())
}

fn parse(key: &Key, header: &[u8]) -> Result<Header> {
    match serde_json::from_slice::<Header>(header) {
        Ok(header) if header.version == VERSION => Ok(header),
        Ok(header) => corrupt(key, format!("version {} is not known", header.version)),
        Err(error) => corrupt(key, error.to_string()),
    }
}

fn corrupt<T>(key: &Key, reason: impl Into<String>) -> Result<T> {
    CorruptSnafu {
        object: key.to_string(),
        reason,
    }
    .fail()
}
