//! What is decided once per cluster and kept until `down`: addresses, ports, tokens. In `<state>/plan.json`.

use std::{fs, net::TcpListener};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::{
    Location,
    info::write_private,
    location::create_directory,
    network::{Network, free_network},
};

/// The decisions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// `None` without a node.
    pub(crate) network: Option<Network>,
    pub(crate) ports: Ports,
    pub(crate) tokens: Tokens,
}

/// Ports on the host's address.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) etcd_peer: u16,
    pub(crate) api_server: u16,
    pub(crate) moto: u16,
}

/// What each program shows the API server.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Tokens {
    pub(crate) admin: String,
    pub(crate) controller_manager: String,
    pub(crate) scheduler: String,
    pub(crate) proxy: String,
    pub(crate) node: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tokens(***)")
    }
}

impl Plan {
    pub(crate) fn load(location: &Location) -> Result<Option<Self>> {
        let path = location.state.join("plan.json");
        match fs::read(&path) {
            Ok(content) => serde_json::from_slice(&content)
                .with_context(|| format!("failed to understand {}", path.display()))
                .map(Some),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("failed to read {}", path.display())),
        }
    }

    /// Decides, and writes it down before anything is made: `down` must find even half a cluster.
    pub(crate) fn make(location: &Location, with_node: bool) -> Result<Self> {
        create_directory(&location.state)?;
        let network = if with_node {
            Some(free_network(location.name.as_str())?)
        } else {
            None
        };
        let plan = Self {
            network,
            ports: free_ports()?,
            tokens: Tokens {
                admin: token()?,
                controller_manager: token()?,
                scheduler: token()?,
                proxy: token()?,
                node: token()?,
            },
        };
        write_private(
            &location.state.join("plan.json"),
            &serde_json::to_vec_pretty(&plan)?,
        )?;
        Ok(plan)
    }

    /// The address that the API server and the AWS stand-in listen on.
    pub(crate) fn host_address(&self) -> String {
        match &self.network {
            Some(network) => network.host(),
            None => "127.0.0.1".to_owned(),
        }
    }

    pub(crate) fn service_cidr(&self) -> String {
        self.network
            .as_ref()
            .map_or_else(|| "10.96.0.0/20".to_owned(), Network::services)
    }

    /// The address of the Service `kubernetes`.
    pub(crate) fn first_service(&self) -> String {
        self.network
            .as_ref()
            .map_or_else(|| "10.96.0.1".to_owned(), Network::first_service)
    }

    pub(crate) fn api_server(&self) -> String {
        format!("https://{}:{}", self.host_address(), self.ports.api_server)
    }

    pub(crate) fn moto(&self) -> String {
        format!("http://{}:{}", self.host_address(), self.ports.moto)
    }

    pub(crate) fn cgroup(location: &Location) -> String {
        format!("/moorage-{}", location.name.as_str())
    }

    pub(crate) fn node_name(location: &Location) -> String {
        format!("moorage-{}", location.name.as_str())
    }
}

/// Ports that nobody listens on. All are held at once, so that no two are the same.
fn free_ports() -> Result<Ports> {
    let listeners = (0..4)
        .map(|_| TcpListener::bind("127.0.0.1:0"))
        .collect::<Result<Vec<_>, _>>()
        .context("failed to find free ports")?;
    let mut ports = listeners.iter().filter_map(|listener| {
        let address = listener.local_addr().ok()?;
        Some(address.port())
    });
    let mut next = || ports.next().context("failed to find free ports");
    Ok(Ports {
        etcd: next()?,
        etcd_peer: next()?,
        api_server: next()?,
        moto: next()?,
    })
}

fn token() -> Result<String> {
    use std::{fs::File, io::Read};

    let mut bytes = [0_u8; 16];
    File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("failed to read /dev/urandom")?;
    Ok(hex::encode(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_one_cluster_differ() {
        let ports = free_ports().unwrap();
        let set = std::collections::BTreeSet::from([
            ports.etcd,
            ports.etcd_peer,
            ports.api_server,
            ports.moto,
        ]);
        assert_eq!(set.len(), 4);
    }
}
