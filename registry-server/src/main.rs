//! Entry point. Everything that is worth a test is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    moorage_registry_server::cli::main()
}
