//! Entry point of the operator.

use std::process::ExitCode;

use clap::Parser;
use moorage_operator::{args::Args, telemetry};
use tracing::error;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    telemetry::init(&args.log);
    match moorage_operator::run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = %snafu::Report::from_error(error), "the operator stopped");
            ExitCode::FAILURE
        }
    }
}
