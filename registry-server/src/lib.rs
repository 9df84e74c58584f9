//! The registry server.

pub mod app;
pub mod auth;
pub mod cli;
pub mod config;
pub mod http;
pub mod layout;
pub mod registry;
pub mod server;
mod stamp;
pub mod store;
pub mod telemetry;
pub mod tls;
