//! What the server is told to be: distribution's YAML and `REGISTRY_*` variables in, a [`Config`] out.
//!
//! ```text
//! file ──raw──► tree ◄──env── REGISTRY_*        what was said, and where
//!                │
//!           schema, sections                    what it means; all problems at once, each with its key
//!                ▼
//!             Config                            what the server believes: no text is left to be interpreted
//! ```
//!
//! Reads no file and no environment by itself except in `source`; starts nothing.

use std::{fmt, path::Path};

use snafu::Snafu;

pub use self::{
    env::Environment,
    raw::Origin,
    sections::{
        Address, Auth, ClientAuth, Driver, Http, Limits, Log, LogFormat, LogLevel, MinimumTls,
        Storage, Tls,
    },
    source::{Source, find},
};
use self::{
    raw::{Node, Value},
    reader::Reader,
    schema::{Fate, Place},
    source::MAX_FILE,
};

mod effective;
mod env;
mod raw;
mod reader;
mod schema;
mod sections;
mod source;

/// The only version of the configuration's format there has ever been.
const VERSION: &str = "0.1";

/// Everything the server is told, checked and complete.
#[derive(Debug)]
pub struct Config {
    /// What is logged, and how.
    pub log: Log,
    /// Where the data is.
    pub storage: Storage,
    /// Who may come in.
    pub auth: Auth,
    /// How it is reached.
    pub http: Http,
    /// Bounds of what one answer lists.
    pub limits: Limits,
    /// What was said and has no effect. To be logged once at the start.
    pub warnings: Vec<Warning>,
    /// What was said and is not needed here. Harmless, and no reason for a warning.
    pub notes: Vec<Warning>,
    /// Every setting, with where it came from, for `check-config`. Secrets are masked.
    pub settings: Vec<Setting>,
}

/// Something that was said, is harmless, and does not do what its author may think.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning(pub String);

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One setting as the server understands it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// The key, with dots between its parts.
    pub key: String,
    /// The value as a person would write it; `***` for a secret.
    pub value: String,
    /// Where it was said.
    pub origin: Origin,
}

/// One thing that is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, or the variable, with the place where it was said.
    pub place: String,
    /// What is wrong, and what would be right. Never holds a secret.
    pub problem: String,
}

impl Problem {
    fn new(place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self {
            place: place.into(),
            problem: problem.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

/// Why there is no [`Config`].
#[derive(Debug, Snafu)]
pub enum Error {
    /// The file could not be read.
    #[snafu(display("failed to read the configuration {path:?}"))]
    Read {
        /// As it was given.
        path: String,
        /// The system's word.
        source: std::io::Error,
    },
    /// The file is not a configuration's size.
    #[snafu(display(
        "the configuration {path:?} has more than {MAX_FILE} bytes: is it the right file?"
    ))]
    TooLarge {
        /// As it was given.
        path: String,
    },
    /// The file is not YAML.
    #[snafu(display("the configuration {path:?} is not valid YAML: {problem}"))]
    NotYaml {
        /// As it was given.
        path: String,
        /// With its line.
        problem: String,
    },
    /// Something in it is wrong.
    #[snafu(display("{}", listed(problems, warnings)))]
    Invalid {
        /// All of them; never empty.
        problems: Vec<Problem>,
        /// What was ignored: a key that is missing may be there under a misspelt name.
        warnings: Vec<Warning>,
    },
}

fn listed(problems: &[Problem], warnings: &[Warning]) -> String {
    let mut text = match problems.len() {
        1 => "the configuration has a problem:".to_owned(),
        count => format!("the configuration has {count} problems:"),
    };
    for problem in problems {
        text.push_str("\n  ");
        text.push_str(&problem.to_string());
    }
    if !warnings.is_empty() {
        text.push_str("\nand what follows was ignored, which may be why:");
    }
    for warning in warnings {
        text.push_str("\n  ");
        text.push_str(&warning.to_string());
    }
    text
}

/// Understands what `source` and `environment` say. `data` is where a filesystem store goes that nobody configured.
///
/// # Errors
/// [`Error::NotYaml`] for a file that cannot be read at all; otherwise [`Error::Invalid`] with everything that is wrong.
pub fn load(
    source: Option<&Source>,
    environment: &Environment,
    data: &Path,
) -> Result<Config, Error> {
    let mut root = match source {
        None => Node::empty(),
        Some(source) => parse(source)?,
    };
    let env::Rest {
        mut problems,
        ignored,
    } = env::overlay(&mut root, environment);
    if let Some(driver) =
        root_section(&mut root, "storage").and_then(|storage| match &mut storage.value {
            Value::Map(drivers) => Some(drivers),
            Value::Null | Value::Scalar(_) | Value::List(_) => None,
        })
        && let Some(section) = driver.remove("s3aws")
    {
        // Two names for one driver. Both at once is caught as two drivers.
        let name = if driver.contains_key("s3") {
            "s3aws"
        } else {
            "s3"
        };
        driver.insert(name.to_owned(), section);
    }

    let mut reader = Reader::new(&root);
    if source.is_some() {
        version(&mut reader);
    }
    places(&mut reader, &root, ignored);
    let parts = sections::read(&mut reader, data);
    problems.append(&mut reader.problems);
    match parts {
        Some((log, storage, auth, http, limits)) if problems.is_empty() => {
            let Reader {
                warnings,
                notes,
                settings,
                ..
            } = reader;
            Ok(Config {
                log,
                storage,
                auth,
                http,
                limits,
                warnings,
                notes,
                settings,
            })
        }
        _ => InvalidSnafu {
            problems,
            warnings: reader.warnings,
        }
        .fail(),
    }
}

fn parse(source: &Source) -> Result<Node, Error> {
    let name = &source.name;
    let mut root = raw::parse(&source.text, |line| Origin::File {
        name: name.clone(),
        line,
    })
    .map_err(|error| Error::NotYaml {
        path: name.clone(),
        problem: error.to_string(),
    })?;
    if matches!(root.value, Value::Scalar(_) | Value::List(_)) {
        let problem = "line 1: a configuration begins with keys such as `version: 0.1`".to_owned();
        return NotYamlSnafu {
            path: name,
            problem,
        }
        .fail();
    }
    for section in ["storage", "auth"] {
        if let Some(section) = root_section(&mut root, section) {
            section.name_to_section();
        }
    }
    Ok(root)
}

fn root_section<'a>(root: &'a mut Node, name: &str) -> Option<&'a mut Node> {
    match &mut root.value {
        Value::Map(entries) => entries.get_mut(name),
        Value::Null | Value::Scalar(_) | Value::List(_) => None,
    }
}

fn version(reader: &mut Reader<'_>) {
    if reader.node("version").is_none() {
        reader.problem(
            "version",
            format!("missing: a configuration file begins with `version: {VERSION}`"),
        );
    }
    reader.parsed("version", reader::Show::Plainly, |text| {
        if text == VERSION {
            Ok(())
        } else {
            Err(format!("{text:?} is not a known version: write {VERSION}"))
        }
    });
}

/// Looks at every key that was said, whether or not somebody reads it later: none is passed over in silence.
fn places(reader: &mut Reader<'_>, root: &Node, ignored: Vec<String>) {
    let mut said = Vec::new();
    leaves(root, String::new(), &mut said);
    let mut told = std::collections::BTreeSet::new();
    let (mut links, ignored): (Vec<_>, Vec<_>) = ignored
        .into_iter()
        .partition(|variable| is_service_link(variable));
    for variable in ignored {
        reader.warnings.push(Warning(format!(
            "{variable}: ignored, there is no such key"
        )));
    }
    for (path, node) in said {
        match schema::place(&path) {
            Place::Key(_, Fate::Honoured) | Place::Section => {}
            Place::Key(key, _) if !told.insert(key) => {}
            Place::Key(_, Fate::WithoutEffect(why)) => {
                reader.warn(&path, format!("without effect: {why}"));
            }
            Place::Key(_, Fate::NotNeeded(why)) => {
                reader.remark(&path, format!("not needed: {why}"));
            }
            Place::Key(_, Fate::Refused(why)) => reader.problem(&path, why),
            Place::Unknown(near) => match &node.origin {
                Origin::Environment(variable) if is_service_link(variable) => {
                    links.push(variable.clone());
                }
                _ => reader.warn(
                    &path,
                    match near {
                        Some(near) => format!("ignored, there is no such key; is `{near}` meant?"),
                        None => "ignored, there is no such key".to_owned(),
                    },
                ),
            },
        }
    }
    if let Some(first) = links.first() {
        reader.warnings.push(Warning(format!(
            "{first}: ignored, together with {} other variables that Kubernetes sets for a Service whose name begins with \
             \"registry\"; `enableServiceLinks: false` in the pod's spec keeps them away",
            links.len() - 1
        )));
    }
}

/// Whether Kubernetes sets a variable of this name for a Service, as it does for each Service of a pod's namespace.
fn is_service_link(variable: &str) -> bool {
    variable.ends_with("_SERVICE_HOST")
        || variable.contains("_SERVICE_PORT")
        || variable.contains("_PORT")
}

/// All values with their paths. A list is one value; so is an empty section.
fn leaves<'a>(node: &'a Node, path: String, into: &mut Vec<(String, &'a Node)>) {
    match &node.value {
        Value::Map(entries) if !entries.is_empty() => {
            for (key, node) in entries {
                let path = if path.is_empty() {
                    key.clone()
                } else {
                    format!("{path}.{key}")
                };
                leaves(node, path, into);
            }
        }
        // A refused section that is there and empty asks for nothing.
        Value::Null | Value::Map(_) => {
            if matches!(schema::place(&path), Place::Unknown(_)) && !path.is_empty() {
                into.push((path, node));
            }
        }
        Value::List(items) if items.is_empty() => {}
        Value::Scalar(_) | Value::List(_) => into.push((path, node)),
    }
}

#[cfg(test)]
mod tests;
