//! The registry server.

pub mod auth;
pub mod config;
pub mod registry;
mod stamp;
pub mod store;
pub mod tls;
