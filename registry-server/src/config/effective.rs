//! The effective configuration as text, for `check-config`: each setting, its value, and where it was said.

use super::Config;

/// Longest key and value that others are aligned with; a longer one only moves its own line.
const COLUMN: usize = 60;

impl Config {
    /// One line for each setting, with secrets masked.
    #[must_use]
    pub fn effective(&self) -> String {
        let lines: Vec<_> = self
            .settings
            .iter()
            .map(|setting| {
                (
                    format!("{} = {}", setting.key, setting.value),
                    setting.origin.to_string(),
                )
            })
            .collect();
        let lengths = lines.iter().map(|(left, _)| left.chars().count());
        let column = lengths
            .filter(|length| *length <= COLUMN)
            .max()
            .unwrap_or(0);
        lines
            .into_iter()
            .map(|(left, origin)| format!("{left:column$}  # {origin}\n"))
            .collect::<Vec<_>>()
            .concat()
    }
}
