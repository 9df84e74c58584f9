//! The AWS cloud controller: makes a classic load balancer in the AWS stand-in of every Service of type LoadBalancer.

use std::{fs, time::Duration};

use anyhow::Result;

use crate::{
    aws::Seeded,
    location::{text, write_file},
    process::clean_command,
    progress::Seen,
    tools::program,
    up::Up,
};

const NAME: &str = "aws-cloud-controller-manager";
const PATIENCE: Duration = Duration::from_mins(1);
/// Logged when the controller knows the Services and begins to work (k8s.io/client-go, tools/cache, `WaitForNamedCacheSync`).
const WORKING: &str = "Caches are synced";

pub(crate) fn start(up: &mut Up<'_>, seeded: &Seeded) -> Result<bool> {
    let location = up.location;
    let config = location.state.join("cloud.conf");
    write_file(&config, seeded.cloud_config())?;
    let mut controller = clean_command(program(location, NAME));
    controller
        .arg("--cloud-provider=aws")
        .arg(format!("--cloud-config={}", text(&config)?))
        // No role is made for it at the cluster's start; the charts that install it bring their own.
        .arg(format!(
            "--kubeconfig={}",
            text(&location.kubeconfig_of("admin"))?
        ))
        .arg("--controllers=service-lb-controller")
        .arg("--configure-cloud-routes=false")
        .arg(format!("--cluster-name={}", location.name.as_str()))
        .args([
            "--leader-elect=false",
            "--secure-port=0",
            "--webhook-secure-port=0",
        ])
        .env("AWS_ENDPOINT_URL", up.plan.moto())
        .env("AWS_REGION", &seeded.region)
        .env("AWS_ACCESS_KEY_ID", &seeded.cloud_controller.access_key_id)
        .env(
            "AWS_SECRET_ACCESS_KEY",
            &seeded.cloud_controller.secret_access_key,
        )
        .env("AWS_EC2_METADATA_DISABLED", "true");
    up.processes.ensure(NAME, &mut controller)
}

pub(crate) fn wait(up: &Up<'_>) -> Result<()> {
    let log = up.processes.log(NAME);
    up.processes.wait(
        NAME,
        "the cloud controller to watch Services",
        PATIENCE,
        || {
            let text = fs::read_to_string(&log).unwrap_or_default();
            Ok(if text.contains(WORKING) {
                Seen::Done(())
            } else {
                Seen::NotYet(format!("no {WORKING:?} in {}", log.display()))
            })
        },
    )
}
