//! What a registry is, without HTTP and without any particular store: names, content, and what may be done with them.

pub use self::{
    digest::{Algorithm, Digest, Hasher, InvalidDigest, InvalidMidstate},
    name::{InvalidName, MAX_NAME, RepositoryName},
    reference::{InvalidReference, InvalidTag, MAX_TAG, Reference, Tag},
};

mod digest;
mod name;
mod reference;
