//! Entry point: parses the command line and hands over to the library.

use std::process::ExitCode;

use clap::Parser;
use moorage_local_cluster::{
    CannotRunPods,
    cli::{self, Arguments},
};

/// What the machine lacks is no failure of the cluster: scripts can tell the two apart.
const EXIT_CANNOT_RUN_PODS: u8 = 3;

fn main() -> ExitCode {
    match cli::run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("moorage-local-cluster: {error:#}");
            if error.is::<CannotRunPods>() {
                ExitCode::from(EXIT_CANNOT_RUN_PODS)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
