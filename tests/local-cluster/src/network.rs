//! The addresses of a cluster, and the pair of interfaces that joins the node's network namespace to the host.
//!
//! ```text
//! host                                 node (a network namespace)
//! mrg-<name> 10.N.255.1/30 ─── veth ─── eth0 10.N.255.2/30
//!   API server, moto, tests              kubelet, kube-proxy ─ cni0 10.N.0.1 ─ pods 10.N.0.0/24
//! routes: pods and Services via .2       Services 10.N.128.0/20
//! ```
//! The node has no route to anywhere else: a pull of an image that is not there fails at once.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::process::{clean_command, output};

/// Second numbers of the 10.0.0.0/8 networks to choose from: away from what home routers, VPNs and engines use.
const CHOICES: std::ops::Range<u8> = 201..250;
/// The longest name of an interface (linux/if.h, IFNAMSIZ less its terminating zero).
const LONGEST_INTERFACE: usize = 15;

/// The addresses of a cluster with a node: all of `10.<second>.0.0/16`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Network {
    second: u8,
    /// The host's end of the pair.
    pub(crate) interface: String,
}

impl Network {
    pub(crate) fn host(&self) -> String {
        format!("10.{}.255.1", self.second)
    }

    pub(crate) fn node(&self) -> String {
        format!("10.{}.255.2", self.second)
    }

    pub(crate) fn pods(&self) -> String {
        format!("10.{}.0.0/24", self.second)
    }

    pub(crate) fn services(&self) -> String {
        format!("10.{}.128.0/20", self.second)
    }

    pub(crate) fn first_service(&self) -> String {
        format!("10.{}.128.1", self.second)
    }

    /// Joins the network namespace of the process `init` to the host.
    pub(crate) fn connect(&self, init: u32) -> Result<()> {
        let init = init.to_string();
        let node = format!("{}/30", self.node());
        let host = format!("{}/30", self.host());
        let interface = self.interface.as_str();
        self.disconnect()?;
        ip(&[
            "link", "add", interface, "type", "veth", "peer", "name", "eth0", "netns", &init,
        ])?;
        ip(&["addr", "add", &host, "dev", interface])?;
        ip(&["link", "set", interface, "up"])?;
        for arguments in [
            ["addr", "add", &node, "dev", "eth0"],
            ["link", "set", "eth0", "up", ""],
        ] {
            let mut command = clean_command("nsenter");
            command.args(["--target", &init, "--net", "ip"]);
            command.args(arguments.iter().filter(|argument| !argument.is_empty()));
            output(&mut command).context("failed to give the node its address")?;
        }
        for destination in [self.pods(), self.services()] {
            ip(&[
                "route",
                "replace",
                &destination,
                "via",
                &self.node(),
                "dev",
                interface,
            ])?;
        }
        Ok(())
    }

    /// Removes the host's end, and with it the other end and the routes.
    pub(crate) fn disconnect(&self) -> Result<()> {
        if self.exists() {
            ip(&["link", "delete", &self.interface])?;
        }
        Ok(())
    }

    pub(crate) fn exists(&self) -> bool {
        std::path::Path::new("/sys/class/net")
            .join(&self.interface)
            .is_dir()
    }
}

/// A network that no route of this machine leads into. The caller holds the lock on networks until it is connected.
pub(crate) fn free_network(cluster: &str) -> Result<Network> {
    let routes = ip(&["-4", "-oneline", "route", "show", "table", "all"])?;
    let second = CHOICES
        .clone()
        .find(|second| is_free(*second, &routes))
        .context("failed to find a free network: every 10.201 to 10.249 is routed somewhere")?;
    Ok(Network {
        second,
        interface: interface(cluster),
    })
}

fn is_free(second: u8, routes: &str) -> bool {
    let prefix = format!("10.{second}.");
    !routes
        .split_whitespace()
        .any(|word| word.starts_with(&prefix))
}

fn interface(cluster: &str) -> String {
    let name = format!("mrg-{cluster}");
    if name.len() <= LONGEST_INTERFACE {
        return name;
    }
    let mut hash = hex::encode(Sha256::digest(cluster));
    hash.truncate(10);
    format!("mrg-{hash}")
}

fn ip(arguments: &[&str]) -> Result<String> {
    output(clean_command("ip").args(arguments))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_is_routed_somewhere_is_not_taken() {
        let routes = "default via 192.0.2.1 dev eth0\n10.201.255.0/30 dev mrg-a scope link\n";
        assert!(!is_free(201, routes));
        assert!(is_free(202, routes));
        assert!(is_free(20, routes), "10.20. is not a prefix of 10.201.");
    }

    #[test]
    fn long_names_give_interfaces_that_the_kernel_accepts() {
        assert_eq!(interface("moorage"), "mrg-moorage");
        let long = interface("abcdefghijklmnopqrst");
        assert!(long.len() <= LONGEST_INTERFACE, "{long}");
        assert_ne!(long, interface("abcdefghijklmnopqrsz"));
    }
}
