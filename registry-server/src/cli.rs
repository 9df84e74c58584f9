//! The command line: what a person, a Deployment or a Containerfile can ask for.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use bcrypt::Version;
use clap::{Args, Parser, Subcommand};
use snafu::Report;
use tracing::{error, info, warn};

use crate::{
    app,
    auth::htpasswd::{DEFAULT_COST, MAX_COST},
    config::{self, Config, Environment},
    telemetry,
};

/// What `sysexits.h` calls `EX_USAGE`: the configuration has to be changed before another try can succeed.
const BAD_CONFIGURATION: u8 = 64;
/// Where images' volumes are, for a filesystem store that nobody configured. That it is there is also what tells an image of this
/// server, or of distribution, from any other machine.
const SYSTEM_FOLDER: &str = "/var/lib/registry";
/// Where people mount a configuration into images of distribution, 3 and 2.8. Looked for only in an image: elsewhere such a file
/// belongs to another program, as the one of Debian's package does.
const USUAL_PLACES: [&str; 2] = [
    "/etc/distribution/config.yml",
    "/etc/docker/registry/config.yml",
];
/// Where data goes when that folder is not there: a folder in the current one.
const LOCAL_FOLDER: &str = "registry-data";
/// Longest password bcrypt can take whole, in bytes.
const MAX_PASSWORD: usize = 72;

const EXAMPLES: &str = "\
Examples:
  moorage-registry
      Serves on port 5000 from a local folder, without a password.
  REGISTRY_STORAGE=s3 REGISTRY_STORAGE_S3_BUCKET=team-a \\
      REGISTRY_STORAGE_S3_REGION=eu-central-1 moorage-registry
      Serves from a bucket, with the credentials the AWS SDK finds.
  moorage-registry serve /etc/distribution/config.yml
      Serves what a configuration of distribution (registry:2, registry:3) says.
  moorage-registry check-config /etc/distribution/config.yml
      Says what the server would do with it, and where each setting comes from.
  printf %s \"$PASSWORD\" | moorage-registry hash-password alice >> htpasswd
      Adds a user to a password file.

Every key of the YAML can be set, or replaced, by an environment variable:
http.addr is REGISTRY_HTTP_ADDR. RUST_LOG says in detail what is logged.";

/// A container registry that keeps its images in a bucket or a folder, compatible with CNCF distribution.
#[derive(Debug, Parser)]
#[command(name = "moorage-registry", version, after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve. The default.
    Serve(ServeArgs),
    /// Say what a configuration means, with secrets masked and where each setting comes from.
    CheckConfig(ServeArgs),
    /// Print a line for an htpasswd file. The password is read from standard input.
    HashPassword(HashPassword),
}

#[derive(Debug, Args)]
struct ServeArgs {
    /// The configuration, YAML. Default: `REGISTRY_CONFIGURATION_PATH`, else, in an image (where there is `/var/lib/registry`),
    /// `/etc/distribution/config.yml` or `/etc/docker/registry/config.yml`, else none.
    #[arg(value_name = "CONFIG", value_parser = config_path)]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct HashPassword {
    /// The name of the user.
    user: String,
    /// bcrypt's cost: each step doubles the time that one guess takes.
    #[arg(long, default_value_t = DEFAULT_COST, value_parser = clap::value_parser!(u32).range(4..=i64::from(MAX_COST)))]
    cost: u32,
    /// Read the password from this file instead of standard input.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// A mistyped subcommand should not be taken for a file.
fn config_path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    let yaml = path
        .extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml");
    if yaml || text.contains('/') || path.is_file() {
        Ok(path)
    } else {
        Err("neither a subcommand nor a YAML file".to_owned())
    }
}

/// Does what the command line of the process asks for.
#[must_use]
pub fn main() -> ExitCode {
    let Cli { command, serve } = Cli::parse();
    let environment = Environment::of_process();
    match command.unwrap_or(Command::Serve(serve)) {
        Command::Serve(args) => self::serve(args, &environment),
        Command::CheckConfig(args) => check_config(args, &environment),
        Command::HashPassword(args) => report(hash_password(args)),
    }
}

fn serve(ServeArgs { config }: ServeArgs, environment: &Environment) -> ExitCode {
    let (source, config) = match load(config.as_deref(), environment) {
        Ok(loaded) => loaded,
        Err(error) => return bad_configuration(error),
    };
    telemetry::init(&config.log, environment);
    info!(
        version = env!("CARGO_PKG_VERSION"),
        configuration = source,
        "moorage-registry starts"
    );
    for warning in &config.warnings {
        warn!("{warning}");
    }
    for note in &config.notes {
        info!("{note}");
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            error!(%error, "failed to start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(app::serve(config));
    // Does not wait for a bcrypt or a file operation whose asker has gone.
    runtime.shutdown_background();
    match outcome {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            error!(error = %Report::from_error(error), "the server could not start");
            ExitCode::FAILURE
        }
    }
}

fn check_config(ServeArgs { config }: ServeArgs, environment: &Environment) -> ExitCode {
    match load(config.as_deref(), environment) {
        Err(error) => bad_configuration(error),
        Ok((source, config)) => {
            let remarks = config.warnings.iter().chain(&config.notes);
            let remarks: String = remarks.flat_map(|remark| ["# ", &remark.0, "\n"]).collect();
            let text = format!(
                "# The effective configuration: {source}.\n{}{remarks}",
                config.effective()
            );
            report(print(&text))
        }
    }
}

/// The configuration, and what it was made of.
fn load(
    named: Option<&Path>,
    environment: &Environment,
) -> Result<(String, Config), config::Error> {
    let usual: &[&str] = if Path::new(SYSTEM_FOLDER).is_dir() {
        &USUAL_PLACES
    } else {
        &[]
    };
    let source = config::find(
        named.filter(|path| !stands_for_defaults(path)),
        environment,
        usual,
    )?;
    let config = config::load(source.as_ref(), environment, &data_folder())?;
    let described = source.map_or_else(
        || "defaults and environment".to_owned(),
        |source| format!("{}, defaults and environment", source.name()),
    );
    Ok((described, config))
}

/// Images of distribution bring a file with its defaults, which Deployments name in their arguments. Here nothing has to be
/// brought: the name of a file that would be there, and is not, stands for the defaults.
fn stands_for_defaults(path: &Path) -> bool {
    USUAL_PLACES.iter().any(|usual| Path::new(usual) == path) && !path.is_file()
}

/// Where a filesystem store goes that nobody configured.
fn data_folder() -> PathBuf {
    let system = Path::new(SYSTEM_FOLDER);
    if system.is_dir() && rustix::fs::access(system, rustix::fs::Access::WRITE_OK).is_ok() {
        system.to_owned()
    } else {
        PathBuf::from(LOCAL_FOLDER)
    }
}

fn bad_configuration(error: config::Error) -> ExitCode {
    complain(&Report::from_error(error).to_string());
    ExitCode::from(BAD_CONFIGURATION)
}

fn hash_password(
    HashPassword {
        user,
        cost,
        password_file,
    }: HashPassword,
) -> Result<(), String> {
    if user.is_empty()
        || user.contains(':')
        || user.chars().any(char::is_control)
        || user.starts_with('#')
        || user.trim() != user
    {
        return Err("a user's name is not empty, has no `:` and no control characters, does not begin with `#`, and has no spaces at its ends".to_owned());
    }
    let mut password = Vec::new();
    let read = match password_file {
        Some(path) => std::fs::File::open(&path).and_then(|file| read_line(file, &mut password)),
        None => read_line(io::stdin().lock(), &mut password),
    };
    read.map_err(|error| format!("failed to read the password: {error}"))?;
    if password.is_empty() {
        return Err(
            "the password is empty: give it on standard input, or with --password-file".to_owned(),
        );
    }
    if password.len() > MAX_PASSWORD {
        return Err(format!(
            "the password has more than {MAX_PASSWORD} bytes, and bcrypt would look at no more: use a shorter one"
        ));
    }
    let hash = bcrypt::non_truncating_hash_with_result(&password, cost)
        .map_err(|error| format!("failed to hash the password: {error}"))?;
    print(&format!(
        "{user}:{}\n",
        hash.format_for_version(Version::TwoY)
    ))
}

/// All of it but the line break at its end, which editors and `echo` add.
fn read_line(mut from: impl Read, into: &mut Vec<u8>) -> io::Result<()> {
    from.by_ref().take(4096).read_to_end(into)?;
    for end in [b'\n', b'\r'] {
        into.pop_if(|last| *last == end);
    }
    Ok(())
}

fn report(outcome: Result<(), String>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> Result<(), String> {
    io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(|error| format!("failed to write: {error}"))
}

/// To standard error, where nobody can be told that it is closed.
fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "moorage-registry: {}", text.trim_end());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_configuration_alone_is_served_as_in_distributions_image() {
        let cli =
            Cli::try_parse_from(["moorage-registry", "/etc/docker/registry/config.yml"]).unwrap();
        assert_eq!(
            cli.serve.config.unwrap(),
            Path::new("/etc/docker/registry/config.yml")
        );
        assert!(cli.command.is_none());
    }

    /// The arguments of Deployments that were written for distribution's images.
    #[test]
    fn the_file_of_distributions_images_need_not_be_there_and_any_other_must() {
        for usual in USUAL_PLACES.map(Path::new) {
            assert_eq!(stands_for_defaults(usual), !usual.is_file());
        }
        assert!(!stands_for_defaults(Path::new(
            "/etc/distribution/other.yml"
        )));
    }

    #[test]
    fn a_mistyped_subcommand_is_not_taken_for_a_file() {
        let error = Cli::try_parse_from(["moorage-registry", "serv"])
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("neither a subcommand nor a YAML file"),
            "{error}"
        );
    }

    #[test]
    fn a_password_loses_only_the_line_break_at_its_end() {
        let mut password = Vec::new();
        read_line(&b" a\nb \r\n"[..], &mut password).unwrap();
        assert_eq!(password, b" a\nb \r".strip_suffix(b"\r").unwrap());
    }
}
