//! The registry server.

pub mod registry;
