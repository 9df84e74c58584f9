//! The environment's part of a configuration: every variable `REGISTRY_A_B` says `a.b`, and wins over the file.
//!
//! The rules are distribution's (its `configuration/parser.go`): variables apply in lexical order, so that `REGISTRY_STORAGE`
//! is there before `REGISTRY_STORAGE_S3_BUCKET`; names match whatever their case; a number addresses an element of a list; the
//! value is YAML; a variable that names a section replaces the whole of it. A key with an underscore cannot be addressed.
//!
//! This file reads no variable of the process by itself: the environment is an argument.

use std::{collections::BTreeMap, ffi::OsString};

use super::{
    Problem,
    raw::{Node, Origin, Value, parse},
    schema,
};

/// What the names of all variables of the configuration begin with.
const PREFIX: &str = "REGISTRY_";
/// Names the configuration file; says nothing of the configuration itself.
pub(super) const PATH_VARIABLE: &str = "REGISTRY_CONFIGURATION_PATH";

/// Environment variables, by name.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
    unreadable: Vec<String>,
}

/// Names only: values may be secrets.
impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Environment {
    /// The variables this process was started with.
    #[must_use]
    pub fn of_process() -> Self {
        Self::from_os(std::env::vars_os())
    }

    fn from_os(variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            let Ok(name) = name.into_string() else {
                continue;
            };
            match value.into_string() {
                Ok(value) => {
                    environment.variables.insert(name, value);
                }
                Err(_) if name.starts_with(PREFIX) => environment.unreadable.push(name),
                Err(_) => {}
            }
        }
        environment
    }

    /// The value of the variable `name`, if it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self {
            variables: variables.collect(),
            unreadable: Vec::new(),
        }
    }
}

/// What became of the variables that did not simply apply.
#[derive(Debug, Default)]
pub(super) struct Rest {
    /// They say something that cannot be.
    pub(super) problems: Vec<Problem>,
    /// They address something below a value that has nothing below it.
    pub(super) ignored: Vec<String>,
}

/// Lays the environment over what the file says.
pub(super) fn overlay(root: &mut Node, environment: &Environment) -> Rest {
    let mut rest = Rest::default();
    for name in &environment.unreadable {
        rest.problems
            .push(Problem::new(name, "the value is not UTF-8"));
    }
    // A BTreeMap goes in lexical order, which is the order the rule asks for.
    for (name, payload) in &environment.variables {
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        if name == PATH_VARIABLE {
            continue;
        }
        let path = path.to_lowercase();
        let steps: Vec<&str> = path.split('_').collect();
        let outcome =
            value(name, payload).and_then(|value| set(root, &mut Vec::new(), &steps, value));
        match outcome {
            Ok(()) => {}
            Err(Unset::Nowhere) => rest.ignored.push(name.clone()),
            Err(Unset::Wrong(problem)) => rest.problems.push(Problem::new(name, problem)),
        }
    }
    rest
}

/// The value of a variable. What is not YAML is text, such as `[::1]:5000` or a password that begins with `%`; but not what was
/// meant to be a section.
fn value(name: &str, payload: &str) -> Result<Node, Unset> {
    let origin = Origin::Environment(name.to_owned());
    match parse(payload, |_| origin.clone()) {
        Ok(node) => Ok(node),
        // The payload stays out of the message: it may hold secrets.
        Err(error) if payload.trim_start().starts_with('{') => Err(Unset::Wrong(format!(
            "the value is not valid YAML: {}",
            error.problem
        ))),
        Err(_) => Ok(Node {
            value: Value::Scalar(payload.to_owned()),
            origin,
        }),
    }
}

/// Why a value was not put where its variable says.
enum Unset {
    /// There is no such place.
    Nowhere,
    /// It is wrong, for this reason.
    Wrong(String),
}

/// Puts `value` at `steps` below `node`, which is itself at `above`.
fn set(node: &mut Node, above: &mut Vec<String>, steps: &[&str], value: Node) -> Result<(), Unset> {
    let Some((step, rest)) = steps.split_first() else {
        *node = value;
        if matches!(above.join(".").as_str(), "storage" | "auth") {
            node.name_to_section();
        }
        return Ok(());
    };
    if matches!(node.value, Value::Null) {
        let list = schema::is_list(&above.join("."));
        node.value = if list {
            Value::List(Vec::new())
        } else {
            Value::Map(BTreeMap::new())
        };
        node.origin = value.origin.clone();
    }
    match &mut node.value {
        Value::Map(entries) => {
            let known = entries
                .keys()
                .find(|key| key.to_lowercase() == *step)
                .cloned();
            let key = known.unwrap_or_else(|| (*step).to_owned());
            let fresh = || Node {
                value: Value::Null,
                origin: value.origin.clone(),
            };
            let entry = entries.entry(key).or_insert_with(fresh);
            above.push((*step).to_owned());
            set(entry, above, rest, value)
        }
        Value::List(items) => {
            let length = items.len();
            let index: usize = step.parse().map_err(|_| {
                Unset::Wrong(format!(
                    "{} is a list: {step:?} should be a number",
                    above.join(".")
                ))
            })?;
            above.push((*step).to_owned());
            if index == length {
                let mut item = Node {
                    value: Value::Null,
                    origin: value.origin.clone(),
                };
                set(&mut item, above, rest, value)?;
                items.push(item);
                return Ok(());
            }
            let item = items.get_mut(index).ok_or_else(|| {
                Unset::Wrong(format!("undefined index {index}: the list has {length} elements, so the next is {length}"))
            })?;
            set(item, above, rest, value)
        }
        Value::Scalar(_) | Value::Null => Err(Unset::Nowhere),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn overlaid(file: &str, variables: &[(&str, &str)]) -> (Node, Vec<String>) {
        let mut root = parse(file, |line| Origin::File {
            name: "c.yml".into(),
            line,
        })
        .unwrap();
        let Rest { problems, .. } = overlay(&mut root, &variables.iter().copied().collect());
        (root, problems.iter().map(ToString::to_string).collect())
    }

    fn text(node: &Node, path: &str) -> String {
        match node.at(path).map(|node| &node.value) {
            Some(Value::Scalar(text)) => text.clone(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_driver_named_by_a_variable_comes_before_its_parameters_whatever_the_order() {
        let (root, problems) = overlaid(
            "storage: {filesystem: {rootdirectory: /x}}",
            &[
                ("REGISTRY_STORAGE_S3_BUCKET", "b"),
                ("REGISTRY_STORAGE", "s3"),
            ],
        );
        assert!(problems.is_empty());
        assert!(root.at("storage.filesystem").is_none());
        assert_eq!(text(&root, "storage.s3.bucket"), "b");
    }

    #[test]
    fn a_variable_without_a_section_of_its_own_adds_to_the_file() {
        let (root, _) = overlaid(
            "storage: {s3: {bucket: b}}",
            &[("REGISTRY_STORAGE_S3_REGION", "eu-west-1")],
        );
        assert_eq!(
            (
                text(&root, "storage.s3.bucket"),
                text(&root, "storage.s3.region")
            ),
            ("b".into(), "eu-west-1".into())
        );
    }

    #[test]
    fn keys_of_the_file_match_whatever_their_case() {
        let (root, _) = overlaid(
            "http: {headers: {X-Robots: [a]}}",
            &[("REGISTRY_HTTP_HEADERS_X-ROBOTS_0", "b")],
        );
        let Value::List(items) = &root.at("http.headers.X-Robots").unwrap().value else {
            panic!("not a list")
        };
        assert_eq!(items.len(), 1);
        assert_eq!(
            items[0].origin,
            Origin::Environment("REGISTRY_HTTP_HEADERS_X-ROBOTS_0".into())
        );
    }

    #[test]
    fn a_payload_is_yaml_and_may_be_a_whole_section() {
        let (root, _) = overlaid(
            "http: {addr: ':1', secret: s}",
            &[("REGISTRY_HTTP", "{addr: ':2', headers: {X-A: [b, c]}}")],
        );
        assert_eq!(text(&root, "http.addr"), ":2");
        assert!(
            root.at("http.secret").is_none(),
            "the section was replaced, not merged"
        );
    }

    #[test]
    fn lists_grow_by_one_and_refuse_gaps() {
        let (root, problems) = overlaid(
            "",
            &[
                ("REGISTRY_HTTP_TLS_CLIENTCAS_0", "/a"),
                ("REGISTRY_HTTP_TLS_CLIENTCAS_1", "/b"),
                ("REGISTRY_HTTP_TLS_CLIENTCAS_3", "/d"),
            ],
        );
        let Value::List(items) = &root.at("http.tls.clientcas").unwrap().value else {
            panic!("not a list")
        };
        assert_eq!(items.len(), 2);
        assert_eq!(
            problems,
            [
                "REGISTRY_HTTP_TLS_CLIENTCAS_3: undefined index 3: the list has 2 elements, so the next is 2"
            ]
        );
    }

    #[test]
    fn a_text_that_is_not_yaml_is_text() {
        let (root, problems) = overlaid(
            "",
            &[
                ("REGISTRY_HTTP_ADDR", "[::1]:5000"),
                ("REGISTRY_HTTP_SECRET", "%@`x"),
            ],
        );
        assert_eq!(
            (text(&root, "http.addr"), text(&root, "http.secret")),
            ("[::1]:5000".into(), "%@`x".into())
        );
        assert!(problems.is_empty());
    }

    #[test]
    fn a_section_that_is_not_yaml_is_refused_without_being_shown() {
        let (_, problems) = overlaid("", &[("REGISTRY_STORAGE_S3_SECRETKEY", "{hunter2")]);
        assert!(
            problems[0].starts_with("REGISTRY_STORAGE_S3_SECRETKEY: the value is not valid YAML"),
            "{problems:?}"
        );
        assert!(!problems[0].contains("hunter2"));
    }

    #[test]
    fn other_variables_and_the_path_of_the_file_say_nothing() {
        let (root, problems) = overlaid(
            "",
            &[
                ("PATH", "/bin"),
                ("REGISTRYX", "1"),
                ("REGISTRY_CONFIGURATION_PATH", "/c.yml"),
            ],
        );
        assert!(problems.is_empty());
        assert!(matches!(root.value, Value::Null));
    }

    #[test]
    fn a_value_that_is_not_text_is_named_not_lost() {
        let broken = OsString::from_vec(vec![0xff]);
        let environment = Environment::from_os([("REGISTRY_HTTP_ADDR".into(), broken)]);
        let Rest { problems, .. } = overlay(&mut Node::empty(), &environment);
        assert_eq!(
            problems[0].to_string(),
            "REGISTRY_HTTP_ADDR: the value is not UTF-8"
        );
    }

    #[test]
    fn debug_output_has_names_and_no_values() {
        let environment: Environment = [("REGISTRY_HTTP_SECRET", "hunter2")].into_iter().collect();
        assert_eq!(format!("{environment:?}"), "{\"REGISTRY_HTTP_SECRET\"}");
    }
}
