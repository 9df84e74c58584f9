//! The controller.

pub mod aws;
pub mod controller;
