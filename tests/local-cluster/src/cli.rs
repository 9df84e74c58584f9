//! The command line of `moorage-local-cluster`.

use std::{
    ffi::OsString,
    fmt::Write as _,
    io::Write,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Command, ExitCode},
};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::{ClusterInfo, ClusterName, Location, Tool, Wanted, process::Processes};

const EXAMPLES: &str = "\
Examples:
  moorage-local-cluster up                       about 10 minutes the first time, half a minute later
  eval \"$(moorage-local-cluster env)\"            then kubectl, crane and AWS SDKs just work
  moorage-local-cluster load-image target/images/operator.tar
  moorage-local-cluster kubectl get pods -A
  moorage-local-cluster aws elb describe_load_balancers
  moorage-local-cluster --name e2e up            a second cluster, beside the first
  moorage-local-cluster down

The node has no way to the internet: pods run images that load-image gave it, with imagePullPolicy IfNotPresent.
A NodePort answers on the node's address (see `status`), not on 127.0.0.1.";

/// A real Kubernetes cluster with one node, and AWS stand-ins with IAM enforcement, on this machine.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Arguments {
    /// Name of the cluster; clusters of different names run side by side
    #[arg(long, global = true, default_value = "moorage")]
    name: ClusterName,

    /// Directory of the cluster's files [default: `~/.local/state/moorage/<name>`]
    #[arg(long, global = true)]
    state_dir: Option<PathBuf>,

    /// Directory of built tools, shared by all clusters [default: `~/.cache/moorage`]
    #[arg(long, global = true, env = "MOORAGE_CACHE")]
    cache_dir: Option<PathBuf>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Bring the cluster up, or repair it
    ///
    /// Ends with exit code 3 when this machine cannot run pods.
    Up {
        /// API server and AWS stand-in only: pods are accepted but never run. Works without root
        #[arg(long)]
        no_node: bool,

        /// JSON file with the IAM policy of the user moorage-operator [default: all of S3, IAM and ACM]
        #[arg(long, value_name = "FILE")]
        operator_policy: Option<PathBuf>,
    },

    /// End the cluster and remove everything of it. Not being up is no error
    Down,

    /// Say which programs run, and where things are. Exit code 1 when one does not run
    Status,

    /// Print shell exports: `KUBECONFIG`, `PATH` and the AWS variables of the admin user
    Env,

    /// Give the node images from archives
    LoadImage {
        /// docker-archive or OCI layout in a tar
        #[arg(required = true, value_name = "TAR")]
        archives: Vec<PathBuf>,
    },

    /// Run kubectl as administrator of the cluster
    Kubectl {
        /// Arguments of kubectl
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },

    /// Make one AWS call as the admin user, in boto3's words
    Aws {
        /// Service, operation, and parameters as JSON: `s3 list_objects_v2 '{"Bucket": "images"}'`
        #[arg(required = true, num_args = 2..=3)]
        arguments: Vec<OsString>,
    },

    /// Build the tools that are missing and print where they are
    Tools {
        /// Only these
        only: Vec<Tool>,
    },

    /// Check on the running cluster that pods, Services, load balancers and IAM enforcement work
    SelfTest,
}

/// Does what the command line says.
///
/// # Errors
/// What the action's errors are.
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    let Arguments {
        name,
        state_dir,
        cache_dir,
        action,
    } = arguments;
    let location = Location::new(name, state_dir, cache_dir)?;
    match action {
        Action::Up {
            no_node,
            operator_policy,
        } => {
            let wanted = Wanted {
                node: !no_node,
                operator_policy,
            };
            crate::up(&location, &wanted)?;
        }
        Action::Down => crate::down(&location)?,
        Action::Status => return status(&location),
        Action::Env => print(&exports(&location)?)?,
        Action::LoadImage { archives } => load_images(&location, &archives)?,
        Action::Kubectl { arguments } => return Err(become_kubectl(&location, &arguments)?),
        Action::Aws { arguments } => return Err(become_aws_call(&location, &arguments)?),
        Action::Tools { only } => tools(&location, &only)?,
        Action::SelfTest => crate::self_test(&location)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print(text: &str) -> Result<()> {
    std::io::stdout()
        .write_all(text.as_bytes())
        .context("failed to write to standard output")
}

fn status(location: &Location) -> Result<ExitCode> {
    let info = ClusterInfo::read(location)?;
    let processes = Processes::load(&location.state, location.logs())?;
    let mut text = String::new();
    let mut complete = true;
    for name in processes.names() {
        let alive = processes.is_alive(&name);
        complete &= alive;
        let state = if alive { "runs" } else { "ENDED" };
        writeln!(
            text,
            "{name:<30} {state:<6} {}",
            processes.log(&name).display()
        )?;
    }
    writeln!(text, "\nAPI server   {}", info.api_server)?;
    writeln!(text, "AWS          {}", info.aws.endpoint)?;
    if let Some(node) = &info.node {
        writeln!(
            text,
            "node         {} (NodePorts answer here)",
            node.address
        )?;
    }
    writeln!(text, "kubeconfig   {}", info.kubeconfig.display())?;
    writeln!(text, "all of it    {}", location.info_file().display())?;
    print(&text)?;
    Ok(if complete {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn exports(location: &Location) -> Result<String> {
    let info = ClusterInfo::read(location)?;
    let mut text = String::new();
    let mut export = |name: &str, value: &str| writeln!(text, "export {name}={}", quoted(value));
    export("KUBECONFIG", &info.kubeconfig.to_string_lossy())?;
    export("KUBECACHEDIR", &info.kubectl_cache().to_string_lossy())?;
    export(
        "MOORAGE_CLUSTER_INFO",
        &location.info_file().to_string_lossy(),
    )?;
    for (name, value) in info.aws.environment(&info.aws.admin) {
        export(name, &value)?;
    }
    writeln!(
        text,
        "export PATH={}:\"$PATH\"",
        quoted(&location.bin().to_string_lossy())
    )?;
    // The stand-in speaks plain HTTP, and some clients read the file before they look at the URL.
    writeln!(text, "unset AWS_CA_BUNDLE AWS_PROFILE AWS_SESSION_TOKEN")?;
    Ok(text)
}

/// One word for a POSIX shell.
fn quoted(value: &str) -> String {
    format!("'{}'", value.replace('\'', r"'\''"))
}

fn load_images(location: &Location, archives: &[PathBuf]) -> Result<()> {
    let info = ClusterInfo::read(location)?;
    archives
        .iter()
        .try_for_each(|archive| info.load_image(archive))
}

/// Replaces this process; returns only the error when that fails.
fn become_kubectl(location: &Location, arguments: &[OsString]) -> Result<anyhow::Error> {
    let info = ClusterInfo::read(location)?;
    let error = Command::new(&info.kubectl)
        .env("KUBECONFIG", &info.kubeconfig)
        .env("KUBECACHEDIR", info.kubectl_cache())
        .args(arguments)
        .exec();
    Ok(anyhow::Error::new(error).context("failed to run kubectl"))
}

/// Replaces this process; returns only the error when that fails.
fn become_aws_call(location: &Location, arguments: &[OsString]) -> Result<anyhow::Error> {
    let info = ClusterInfo::read(location)?;
    let (program, first) = info
        .aws
        .call
        .split_first()
        .context("cluster.json names no command for AWS calls")?;
    let error = Command::new(program)
        .args(first)
        .args(arguments)
        .envs(info.aws.environment(&info.aws.admin))
        .env_remove("AWS_CA_BUNDLE")
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_SESSION_TOKEN")
        .exec();
    Ok(anyhow::Error::new(error).context("failed to run the AWS call"))
}

fn tools(location: &Location, only: &[Tool]) -> Result<()> {
    let wanted = if only.is_empty() { &Tool::ALL } else { only };
    for tool in wanted {
        let program = tool.install(location)?;
        print(&format!("{}\n", program.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn flags_of_kubectl_are_not_taken_for_our_own() {
        let arguments = Arguments::try_parse_from([
            "x", "--name", "e2e", "kubectl", "get", "pods", "-A", "--name=x",
        ])
        .unwrap();
        assert_eq!(arguments.name.as_str(), "e2e");
        let Action::Kubectl { arguments } = arguments.action else {
            panic!("kubectl expected");
        };
        assert_eq!(arguments, ["get", "pods", "-A", "--name=x"]);
    }

    #[test]
    fn a_quote_in_a_value_does_not_end_the_shell_word() {
        assert_eq!(quoted("a'b c"), r"'a'\''b c'");
    }
}
