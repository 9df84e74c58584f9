//! The registry server.

pub mod auth;
pub mod config;
pub mod http;
pub mod layout;
pub mod registry;
mod stamp;
pub mod store;
pub mod tls;
