//! A real Kubernetes cluster with one real node, and AWS stand-ins beside it, on this machine: up and down.
//!
//! The end-to-end tests and `make quickstart` stand on it. Nothing is faked on the Kubernetes side: API server, scheduler,
//! kubelet and containerd run the pods, kube-proxy carries their traffic, and the AWS cloud controller makes load balancers.
//! Only AWS itself is an emulator (moto) with IAM enforcement switched on.
//!
//! No container engine is needed. The node is a set of namespaces (network, mounts, processes) instead of a container, so
//! that ending one process undoes its interfaces, firewall rules, mounts and pods, and several clusters can run at once.
//!
//! It deliberately knows nothing of Moorage: no image of ours, no manifest, no registry. See the README for the way in.

mod aws;
mod certificates;
mod cgroup;
pub mod cli;
mod cloud_controller;
mod control_plane;
mod down;
mod http;
mod info;
mod kubeconfig;
mod location;
mod machine;
mod network;
mod node;
mod node_config;
mod packages;
mod plan;
mod pod_image;
mod process;
mod progress;
mod self_test;
mod tools;
mod up;

pub use down::down;
pub use info::{AccessKey, Aws, ClusterInfo, Node};
pub use location::{ClusterName, Location};
pub use machine::CannotRunPods;
pub use self_test::self_test;
pub use tools::Tool;
pub use up::{Wanted, up};
