//! What an upload is called, and what is said of it.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use uuid::Uuid;

use super::super::{
    Algorithm, Body, RepositoryName,
    error::{OutOfOrderSnafu, Result},
};

/// Enough to tell two uploads apart, in characters.
const TICKET_LENGTH: usize = 16;

/// Names an upload within its repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadId(Uuid);

impl UploadId {
    /// A new one, that nobody can guess.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    /// What says that nothing has been added to this upload of this repository, to be handed out when it begins and shown again
    /// by a request that brings the whole blob: that saves reading where the upload stands.
    ///
    /// It proves nothing and needs no secret. Whoever may finish an upload may as well push a blob without one, and the digest
    /// is verified all the same; it is only bound to the repository so that an upload is not found in another.
    #[must_use]
    pub fn ticket(self, name: &RepositoryName) -> String {
        let digest = Algorithm::Sha256.digest(format!("{name} {self}").as_bytes());
        digest.hex().chars().take(TICKET_LENGTH).collect()
    }
}

impl FromStr for UploadId {
    type Err = uuid::Error;

    /// Only the form that is handed out, so that an upload has one name.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Self(Uuid::try_parse(text)?);
        if id.to_string() == text {
            Ok(id)
        } else {
            Uuid::try_parse("").map(Self)
        }
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Which upload.
    pub id: UploadId,
    /// How many bytes have been received.
    pub offset: u64,
    /// When it was begun.
    pub started_at: Timestamp,
}

/// More bytes for an upload.
pub struct Chunk {
    /// At which byte of the blob they begin, where the client says it.
    pub start: Option<u64>,
    /// How many they are, where the client says it.
    pub length: Option<u64>,
    /// The bytes.
    pub body: Body,
}

impl Chunk {
    pub(super) fn check_start(&self, offset: u64) -> Result<()> {
        match self.start {
            Some(start) if start != offset => OutOfOrderSnafu { offset }.fail(),
            Some(_) | None => Ok(()),
        }
    }
}
