//! Prints the custom resource definition, or compares a file with it.

use std::{
    env, fs,
    io::{self, Write},
    process::ExitCode,
};

use moorage_crds::{FILE, custom_resource_definition_yaml};

const USAGE: &str = "usage: moorage-crds            print the custom resource definition
       moorage-crds --check FILE  fail when FILE differs from it";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let outcome = match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        [] => print(),
        ["--check", file] => check(file),
        ["--help" | "-h"] => io::stdout()
            .write_all(USAGE.as_bytes())
            .map_err(|error| error.to_string()),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn print() -> Result<(), String> {
    let yaml = custom_resource_definition_yaml()
        .map_err(|error| format!("failed to write the definition as YAML: {error}"))?;
    io::stdout()
        .write_all(yaml.as_bytes())
        .map_err(|error| format!("failed to write to standard output: {error}"))
}

fn check(file: &str) -> Result<(), String> {
    let wanted = custom_resource_definition_yaml()
        .map_err(|error| format!("failed to write the definition as YAML: {error}"))?;
    let found =
        fs::read_to_string(file).map_err(|error| format!("failed to read {file:?}: {error}"))?;
    if wanted == found {
        return Ok(());
    }
    Err(format!(
        "{file} differs from the types in crds/src; run\n  cargo run -p moorage-crds > {FILE}\nand commit the result"
    ))
}
