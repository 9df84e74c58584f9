//! Builds the container images of the operator and of the registry server without a container engine.
//!
//! An image is a static binary, a handful of files around it and three JSON documents. [`compile`] makes the binary,
//! [`contents`] says what goes into each image, and the rest writes it down: [`layer`] the file systems, [`oci`] the
//! documents, [`archive`] the tar that `ctr images import`, `docker load`, `skopeo` and `crane` read.
//!
//! The same binary gives the same bytes, on every machine and at every hour: entries are sorted, times are zero, nothing
//! of the machine is copied in. It deliberately does not push, sign or run images, and knows one platform per call, the
//! one it runs on.

pub mod archive;
pub mod cli;
pub mod compile;
pub mod contents;
pub mod layer;
pub mod oci;
pub mod platform;

pub use contents::Image;
