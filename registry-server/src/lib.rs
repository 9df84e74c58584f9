//! The registry server.

pub mod registry;
pub mod store;
