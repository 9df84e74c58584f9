//! The operator: brings what each `ContainerRegistry` asks for into being, in Kubernetes and in AWS, and keeps it so.
//!
//! `controller.rs` is the way in: one reconcile, step by step. `aws/` is all that speaks to AWS.

pub mod args;
pub mod aws;
pub mod context;
pub mod controller;
pub mod error;
pub mod events;
pub mod health;
pub mod telemetry;

use std::sync::Arc;

use kube::Client;
use snafu::{ResultExt, Snafu};
use tracing::info;

use crate::{
    args::{Args, Command},
    aws::{Aws, Cloud},
    controller::validate::Defaults,
    health::Ready,
};

/// The operator cannot start, or cannot go on.
#[derive(Debug, Snafu)]
pub enum Error {
    /// No way to the cluster.
    #[snafu(display(
        "failed to find the Kubernetes API: neither a service account of a pod nor a usable kubeconfig (KUBECONFIG, ~/.kube/config)"
    ))]
    FindCluster {
        /// Why.
        #[snafu(source(from(kube::config::InferConfigError, Box::new)))]
        source: Box<kube::config::InferConfigError>,
    },
    /// The way to the cluster is no good.
    #[snafu(display("failed to set up the connection to the Kubernetes API"))]
    Connect {
        /// Why.
        #[snafu(source(from(kube::Error, Box::new)))]
        source: Box<kube::Error>,
    },
    /// The probes cannot be answered.
    #[snafu(display("failed to answer health probes"))]
    Health {
        /// Why.
        source: health::Error,
    },
}

/// Runs until told to stop (SIGTERM or SIGINT), and then until the reconciles under way have ended.
///
/// # Errors
/// When the operator cannot start.
pub async fn run(args: Args) -> Result<(), Error> {
    let endpoint_for_pods = args.endpoint_for_pods();
    let Args {
        command: Command::Run,
        cluster_id,
        server_image,
        region,
        resync_period,
        concurrency,
        health_address,
        server_s3_endpoint: _,
        aws_endpoint_url_s3: _,
        aws_endpoint_url: _,
        log: _,
    } = args;
    // In a pod this takes the address of the API from the environment, so it needs no cluster DNS.
    let config = kube::Config::infer().await.context(FindClusterSnafu)?;
    info!(api = %config.cluster_url, cluster = %cluster_id, version = env!("CARGO_PKG_VERSION"), "starting");
    let client = Client::try_from(config).context(ConnectSnafu)?;
    let cloud = Aws::from_environment().await;
    let defaults = Defaults {
        cluster: cluster_id,
        region: region.or_else(|| cloud.default_region()),
        server_image,
        server_s3_endpoint: endpoint_for_pods,
    };
    let cloud: Arc<dyn Cloud> = Arc::new(cloud);
    let ready = Ready::default();
    let settings = controller::Settings {
        client,
        cloud,
        defaults,
        resync_period,
        concurrency,
    };
    // Whichever ends first ends the program: an operator without probes, or probes without an operator, would look well and be useless.
    tokio::select! {
        () = controller::run(settings, ready.clone()) => Ok(()),
        ended = health::serve(health_address, ready) => ended.context(HealthSnafu),
    }
}
