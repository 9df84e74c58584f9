//! From a `ContainerRegistry` to what it asks for, step by step.

pub mod plan;
