//! Reads typed values out of the tree, and keeps the books: each value asked for is noted with its origin for
//! `check-config`, each value that cannot be read becomes a problem, and reading goes on, so that all problems come at once.

use std::{fmt, time::Duration};

use super::{
    Problem, Setting, Warning,
    raw::{Node, Origin, Value},
};

/// How a value is shown to a person.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Show {
    /// As it is.
    Plainly,
    /// As `***`.
    Masked,
}

pub(super) struct Reader<'a> {
    root: &'a Node,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Warning>,
    pub(super) notes: Vec<Warning>,
    pub(super) settings: Vec<Setting>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(root: &'a Node) -> Self {
        Self {
            root,
            problems: Vec::new(),
            warnings: Vec::new(),
            notes: Vec::new(),
            settings: Vec::new(),
        }
    }

    /// The node at `path`, unless it is absent or null.
    pub(super) fn node(&self, path: &str) -> Option<&'a Node> {
        self.root
            .at(path)
            .filter(|node| !matches!(node.value, Value::Null))
    }

    /// Where `path` was said, or that it was not.
    pub(super) fn origin(&self, path: &str) -> Origin {
        self.root
            .at(path)
            .map_or(Origin::Default, |node| node.origin.clone())
    }

    pub(super) fn problem(&mut self, path: &str, problem: impl Into<String>) {
        let place = self.place(path);
        self.problems.push(Problem::new(place, problem));
    }

    pub(super) fn warn(&mut self, path: &str, warning: impl fmt::Display) {
        self.warnings
            .push(Warning(format!("{}: {warning}", self.place(path))));
    }

    /// Something that is worth less than a warning.
    pub(super) fn remark(&mut self, path: &str, note: impl fmt::Display) {
        self.notes
            .push(Warning(format!("{}: {note}", self.place(path))));
    }

    /// The key, and where it was said.
    fn place(&self, path: &str) -> String {
        match self.origin(path) {
            Origin::Default => path.to_owned(),
            origin => format!("{path} ({origin})"),
        }
    }

    /// Notes what `path` came to be.
    pub(super) fn note(&mut self, path: &str, value: impl fmt::Display) {
        let origin = self.origin(path);
        self.settings.push(Setting {
            key: path.to_owned(),
            value: value.to_string(),
            origin,
        });
    }

    /// The text at `path` as `parse` understands it. A problem is noted where it does not.
    pub(super) fn parsed<T>(
        &mut self,
        path: &str,
        show: Show,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = match &self.node(path)?.value {
            Value::Scalar(text) => text,
            Value::List(_) | Value::Map(_) | Value::Null => {
                self.problem(path, "a single value is expected here");
                return None;
            }
        };
        match parse(text) {
            Ok(value) => {
                self.note(path, if show == Show::Masked { "***" } else { text });
                Some(value)
            }
            Err(problem) => {
                self.problem(path, problem);
                None
            }
        }
    }

    /// Like [`Self::parsed`], with a default for what was not said.
    pub(super) fn parsed_or<T>(
        &mut self,
        path: &str,
        default: T,
        shown: impl fmt::Display,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> T {
        if self.node(path).is_none() {
            self.note(path, shown);
        }
        self.parsed(path, Show::Plainly, parse).unwrap_or(default)
    }

    pub(super) fn text(&mut self, path: &str) -> Option<String> {
        self.parsed(path, Show::Plainly, |text| Ok(text.to_owned()))
            .filter(|text| !text.is_empty())
    }

    pub(super) fn flag(&mut self, path: &str, default: bool) -> bool {
        self.parsed_or(path, default, default, flag)
    }

    /// A length of time, as Go writes it.
    pub(super) fn duration(&mut self, path: &str, default: Duration) -> Duration {
        // The default of a whole number of seconds: for zero of them Rust writes nanoseconds.
        self.parsed_or(path, default, format!("{}s", default.as_secs()), duration)
    }

    /// A whole number within `range`.
    pub(super) fn number(
        &mut self,
        path: &str,
        default: u64,
        range: std::ops::RangeInclusive<u64>,
    ) -> u64 {
        self.parsed_or(path, default, default, |text| {
            let number = text
                .replace('_', "")
                .parse()
                .ok()
                .filter(|number| range.contains(number));
            number.ok_or_else(|| {
                format!(
                    "{text:?} is not a whole number from {} to {}",
                    range.start(),
                    range.end()
                )
            })
        })
    }

    /// A list of texts. One text alone counts as a list of one.
    pub(super) fn texts(&mut self, path: &str) -> Vec<String> {
        let Some(node) = self.node(path) else {
            return Vec::new();
        };
        let items = match &node.value {
            Value::List(items) => items.iter().collect(),
            Value::Scalar(_) | Value::Map(_) | Value::Null => vec![node],
        };
        let mut texts = Vec::new();
        for item in items {
            match &item.value {
                Value::Scalar(text) => texts.push(text.clone()),
                Value::Null => {}
                Value::List(_) | Value::Map(_) => {
                    self.problem(path, "a list of texts is expected here");
                }
            }
        }
        self.note(path, texts.join(", "));
        texts
    }

    /// The names of what is directly in the section `path`.
    pub(super) fn names(&mut self, path: &str) -> Vec<String> {
        match self.node(path).map(|node| &node.value) {
            Some(Value::Map(entries)) => entries.keys().cloned().collect(),
            Some(Value::List(_) | Value::Scalar(_)) => {
                self.problem(path, "a section with keys of its own is expected here");
                Vec::new()
            }
            Some(Value::Null) | None => Vec::new(),
        }
    }
}

/// A truth value, as YAML 1.1 and Go's `strconv.ParseBool` write it: files and variables use both.
fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "on" | "1" => Ok(true),
        "false" | "f" | "no" | "off" | "0" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

/// A length of time as Go's `time.ParseDuration` reads it: `1h30m`, `1.5s`, `100ms`, `0`.
fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?} is not a length of time such as 90s, 10m or 1h30m");
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.is_empty() {
        return Err(wrong());
    }
    let mut rest = text;
    let mut seconds = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .ok_or_else(wrong)?;
        let (number, unit) = rest.split_at(digits);
        let end = unit
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(unit.len());
        let (unit, next) = unit.split_at(end);
        let factor = match unit {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(wrong()),
        };
        seconds += number.parse::<f64>().map_err(|_| wrong())? * factor;
        rest = next;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("10s", 10_000)]
    #[case("1h30m", 5_400_000)]
    #[case("1.5s", 1_500)]
    #[case("250ms", 250)]
    #[case("0", 0)]
    fn lengths_of_time_are_read_as_go_reads_them(#[case] text: &str, #[case] milliseconds: u64) {
        assert_eq!(duration(text), Ok(Duration::from_millis(milliseconds)));
    }

    #[rstest]
    #[case("")]
    #[case("10")]
    #[case("ten seconds")]
    #[case("-1s")]
    #[case("5d")]
    #[case("1.2.3s")]
    #[case("99999999999999999999999h")]
    fn what_is_no_length_of_time_is_refused(#[case] text: &str) {
        assert!(duration(text).is_err(), "{text}");
    }
}
