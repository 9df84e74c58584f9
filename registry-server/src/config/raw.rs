//! What a configuration says, before anybody has asked what it means: a tree of YAML in which every value still knows its
//! text and where it came from.
//!
//! Scalars stay text on purpose. A secret key `0123` is not the number 83, and a password `yes` is not `true`; only the reader
//! of a key knows its type. This file knows no key of the configuration.

use std::{collections::BTreeMap, fmt};

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span};
use snafu::Snafu;

/// Deepest nesting that is read. The deepest known key is at level 6.
const MAX_DEPTH: usize = 32;
/// Most nodes a document may have, aliases expanded. Bounds a document that consists of aliases of aliases.
const MAX_NODES: usize = 20_000;

/// Where a value was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nowhere: the server's own default.
    Default,
    /// In the configuration file.
    File {
        /// The file's path, as it was given.
        name: String,
        /// Line in the file, from 1.
        line: usize,
    },
    /// In an environment variable of this name.
    Environment(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Environment(variable) => f.write_str(variable),
        }
    }
}

/// A value and where it was said.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// One YAML value.
#[derive(Clone)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, a number or a truth value: whoever reads it decides.
    Scalar(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping. Keys are text.
    Map(BTreeMap<String, Node>),
}

/// Without the scalars' text, which may be a secret.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("Null"),
            Self::Scalar(_) => f.write_str("Scalar(..)"),
            Self::List(items) => f.debug_list().entries(items).finish(),
            Self::Map(entries) => f.debug_map().entries(entries).finish(),
        }
    }
}

impl Node {
    /// An empty mapping that nobody said.
    pub(super) fn empty() -> Self {
        Self {
            value: Value::Map(BTreeMap::new()),
            origin: Origin::Default,
        }
    }

    /// The entry `key` of a mapping.
    pub(super) fn entry(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Map(entries) => entries.get(key),
            Value::Null | Value::Scalar(_) | Value::List(_) => None,
        }
    }

    /// The node at a path of keys with dots between them.
    pub(super) fn at(&self, path: &str) -> Option<&Self> {
        path.split('.').try_fold(self, Self::entry)
    }

    /// `storage: s3` means `storage: {s3: {}}`, and so does `auth`. Both sections are read only after this.
    pub(super) fn name_to_section(&mut self) {
        if let Value::Scalar(name) = &self.value {
            let section = Self {
                value: Value::Null,
                origin: self.origin.clone(),
            };
            self.value = Value::Map(BTreeMap::from([(name.clone(), section)]));
        }
    }
}

/// A text that is not the YAML a configuration may be. Never quotes the text, which may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq, Snafu)]
#[snafu(display("line {line}: {problem}"))]
pub(super) struct NotYaml {
    /// Line in the text, from 1.
    pub(super) line: usize,
    /// What is wrong with it.
    pub(super) problem: String,
}

/// Reads one YAML document. `origin` names the place of a line.
///
/// # Errors
/// [`NotYaml`] at the first line that cannot be read.
pub(super) fn parse(text: &str, origin: impl Fn(usize) -> Origin) -> Result<Node, NotYaml> {
    Builder {
        events: Parser::new_from_str(text),
        origin,
        anchors: BTreeMap::new(),
        nodes: 0,
    }
    .document()
}

struct Builder<E, O> {
    events: E,
    origin: O,
    anchors: BTreeMap<usize, (Node, usize)>,
    nodes: usize,
}

type Item<'a> = Result<(Event<'a>, Span), serde_saphyr::granit_parser::ScanError>;

impl<'a, E: Iterator<Item = Item<'a>>, O: Fn(usize) -> Origin> Builder<E, O> {
    fn document(mut self) -> Result<Node, NotYaml> {
        let mut root = None;
        while let Some((event, line)) = self.next()? {
            match event {
                Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(..)
                | Event::DocumentEnd => {}
                _ if root.is_some() => {
                    return Err(NotYaml {
                        line,
                        problem: "a second document begins here; there may be one".into(),
                    });
                }
                event => root = Some(self.node(event, line, 0)?),
            }
        }
        Ok(root.unwrap_or_else(|| Node {
            value: Value::Null,
            origin: (self.origin)(1),
        }))
    }

    /// The next event that is not a comment.
    fn next(&mut self) -> Result<Option<(Event<'a>, usize)>, NotYaml> {
        for item in self.events.by_ref() {
            match item {
                Ok((Event::Comment(..), _)) => {}
                Ok((event, span)) => return Ok(Some((event, span.start.line()))),
                Err(error) => {
                    return Err(NotYaml {
                        line: error.marker().line(),
                        problem: error.kind().to_string(),
                    });
                }
            }
        }
        Ok(None)
    }

    fn node(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Node, NotYaml> {
        if depth > MAX_DEPTH {
            return Err(NotYaml {
                line,
                problem: format!("nested deeper than {MAX_DEPTH} levels"),
            });
        }
        self.count(1, line)?;
        let before = self.nodes;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (scalar(&text, style), anchor),
            Event::SequenceStart(_, anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(_, anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(NotYaml {
                        line,
                        problem: "an alias of itself".into(),
                    });
                };
                self.count(size, line)?;
                return Ok(node);
            }
            _ => {
                return Err(NotYaml {
                    line,
                    problem: "a value is missing here".into(),
                });
            }
        };
        let node = Node {
            value,
            origin: (self.origin)(line),
        };
        if anchor > 0 {
            self.anchors
                .insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn count(&mut self, more: usize, line: usize) -> Result<(), NotYaml> {
        self.nodes = self.nodes.saturating_add(more);
        if self.nodes > MAX_NODES {
            return Err(NotYaml {
                line,
                problem: format!("more than {MAX_NODES} values"),
            });
        }
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Value, NotYaml> {
        let mut items = Vec::new();
        while let Some((event, line)) = self.next()? {
            if event == Event::SequenceEnd {
                break;
            }
            items.push(self.node(event, line, depth + 1)?);
        }
        Ok(Value::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<Value, NotYaml> {
        let mut entries = BTreeMap::new();
        let mut merged = Vec::new();
        while let Some((event, line)) = self.next()? {
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(key, ..) => key.into_owned(),
                _ => {
                    return Err(NotYaml {
                        line,
                        problem: "a key must be text".into(),
                    });
                }
            };
            let Some((event, value_line)) = self.next()? else {
                break;
            };
            let mut node = self.node(event, value_line, depth + 1)?;
            // The line of the key is the one a person looks for, also when the value is a block below it.
            node.origin = (self.origin)(line);
            if key == "<<" {
                merged.push(node);
            } else if entries.insert(key.clone(), node).is_some() {
                return Err(NotYaml {
                    line,
                    problem: format!("the key {key:?} is there twice"),
                });
            }
        }
        for node in merged {
            merge(&mut entries, node);
        }
        Ok(Value::Map(entries))
    }
}

/// YAML's merge key `<<`: entries that are there already win.
fn merge(entries: &mut BTreeMap<String, Node>, from: Node) {
    match from.value {
        Value::Map(more) => {
            for (key, node) in more {
                entries.entry(key).or_insert(node);
            }
        }
        Value::List(several) => several.into_iter().for_each(|one| merge(entries, one)),
        Value::Null | Value::Scalar(_) => {}
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    let plain = style == ScalarStyle::Plain;
    if plain && matches!(text, "" | "~" | "null" | "Null" | "NULL") {
        Value::Null
    } else {
        Value::Scalar(text.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Node, NotYaml> {
        parse(text, |line| Origin::File {
            name: "c.yml".into(),
            line,
        })
    }

    fn text<'a>(node: &'a Node, path: &str) -> Option<&'a str> {
        match &node.at(path)?.value {
            Value::Scalar(text) => Some(text),
            _ => None,
        }
    }

    #[test]
    fn a_scalar_keeps_the_text_it_was_written_with() {
        let node = read("a: 0123\nb: yes\nc: 1e3\nd: '~'\ne: ~\nf:\n").unwrap();
        assert_eq!(
            ["a", "b", "c", "d", "e", "f"].map(|key| text(&node, key)),
            [
                Some("0123"),
                Some("yes"),
                Some("1e3"),
                Some("~"),
                None,
                None
            ]
        );
    }

    #[test]
    fn a_value_knows_the_line_of_its_key() {
        let node = read("# comment\na:\n  b:\n    - x\n").unwrap();
        assert_eq!(node.at("a.b").unwrap().origin.to_string(), "c.yml:3");
    }

    #[test]
    fn anchors_and_merge_keys_are_followed() {
        let node = read("base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  y: 3\n").unwrap();
        assert_eq!(
            (text(&node, "use.x"), text(&node, "use.y")),
            (Some("1"), Some("3"))
        );
    }

    #[test]
    fn aliases_of_aliases_cannot_fill_the_memory() {
        let level = |level: usize| match level {
            0 => "a0: &a0 [x, x, x, x, x, x, x, x, x, x]".to_owned(),
            level => format!(
                "a{level}: &a{level} [{}]",
                vec![format!("*a{}", level - 1); 10].join(", ")
            ),
        };
        let bomb = (0..12).map(level).collect::<Vec<_>>().join("\n");
        assert!(read(&bomb).unwrap_err().problem.contains("more than"));
    }

    #[test]
    fn deep_nesting_is_refused_before_the_stack_ends() {
        assert!(read(&"[".repeat(100_000)).is_err());
    }

    #[test]
    fn a_key_said_twice_is_refused_with_its_line() {
        assert_eq!(
            read("a: 1\na: 2\n").unwrap_err().to_string(),
            "line 2: the key \"a\" is there twice"
        );
    }

    #[test]
    fn the_text_of_scalars_is_not_in_debug_output() {
        assert!(!format!("{:?}", read("secretkey: hunter2").unwrap()).contains("hunter2"));
    }
}
