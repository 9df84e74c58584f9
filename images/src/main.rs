//! Entry point: parses the command line and hands over to the library.

use std::process::ExitCode;

use clap::Parser;
use moorage_images::cli::{self, Arguments};

fn main() -> ExitCode {
    match cli::run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("moorage-images: {error:#}");
            ExitCode::FAILURE
        }
    }
}
