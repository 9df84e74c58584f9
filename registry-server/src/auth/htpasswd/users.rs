//! The file: `user:hash` lines into users. Pure, but for the reading of bcrypt's own format.

use std::{collections::HashMap, fmt, sync::Arc};

use bcrypt::HashParts;
use snafu::{OptionExt, Snafu};

/// The cost of hashes that distribution, and our `hash-password`, make by default.
pub(crate) const DEFAULT_COST: u32 = 10;
/// Highest cost that is verified. Each step doubles the time; one verification at 17 takes some 10 s of a processor, which already
/// is longer than a client waits.
pub(crate) const MAX_COST: u32 = 17;

/// A bcrypt hash that can be verified.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Hash(Arc<str>);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(***)")
    }
}

impl Hash {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// A hash of this cost that no password is known for.
    fn dummy(cost: u32) -> Self {
        Self(format!("$2b${cost:02}${}", ".".repeat(53)).into())
    }
}

/// The users of one version of the file.
#[derive(Debug)]
pub(crate) struct Users {
    hashes: HashMap<String, Hash>,
    dummy: Hash,
}

/// A line that can never let anybody in, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Useless {
    pub(crate) line: usize,
    pub(crate) user: String,
    pub(crate) why: &'static str,
}

/// A file that is not an htpasswd file. Does not quote it.
#[derive(Debug, Clone, PartialEq, Eq, Snafu)]
#[snafu(display("line {line} has no `:`; a line is `user:hash`"))]
pub(crate) struct NotHtpasswd {
    line: usize,
}

impl Users {
    /// Reads the text of the file: one `user:hash` a line; empty lines and lines that begin with `#` are skipped; the last line of
    /// a user counts. Lines that can never match are reported and let nobody in, as in distribution.
    ///
    /// # Errors
    /// [`NotHtpasswd`] at a line without `:`.
    pub(crate) fn parse(text: &str) -> Result<(Self, Vec<Useless>), NotHtpasswd> {
        let mut hashes = HashMap::new();
        let mut useless = Vec::new();
        let mut highest = None;
        for (line, text) in text
            .lines()
            .enumerate()
            .map(|(index, text)| (index + 1, text.trim()))
        {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let (user, hash) = text.split_once(':').context(NotHtpasswdSnafu { line })?;
            match cost(hash) {
                Ok(cost) => {
                    highest = highest.max(Some(cost));
                    hashes.insert(user.to_owned(), Hash(hash.into()));
                }
                Err(why) => {
                    hashes.remove(user);
                    useless.push(Useless {
                        line,
                        user: user.to_owned(),
                        why,
                    });
                }
            }
        }
        Ok((
            Self {
                hashes,
                dummy: Hash::dummy(highest.unwrap_or(DEFAULT_COST)),
            },
            useless,
        ))
    }

    /// The hash of `user`, or one that costs as much as the dearest in the file and belongs to nobody.
    pub(crate) fn hash_or_dummy(&self, user: Option<&str>) -> (Hash, bool) {
        match user.and_then(|user| self.hashes.get(user)) {
            Some(hash) => (hash.clone(), true),
            None => (self.dummy.clone(), false),
        }
    }

    /// How many can come in.
    pub(crate) fn len(&self) -> usize {
        self.hashes.len()
    }
}

/// The cost of a bcrypt hash, or why it is not one to use.
fn cost(hash: &str) -> Result<u32, &'static str> {
    let parts: HashParts = hash.parse().map_err(|_| {
        if hash.starts_with("$2") {
            "the bcrypt hash is damaged"
        } else {
            "not a bcrypt hash; make one with `htpasswd -B` or `moorage-registry hash-password`"
        }
    })?;
    match parts.get_cost() {
        4..=MAX_COST => Ok(parts.get_cost()),
        _ => Err("the cost of the bcrypt hash is not from 4 to 17"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(cost: u32) -> String {
        bcrypt::hash("secret", cost).unwrap()
    }

    #[test]
    fn comments_and_blank_lines_are_skipped_and_the_last_line_of_a_user_counts() {
        let (first, second) = (hash(4), hash(4));
        let text = format!("# users\n\n  a:{first}  \n\t# indented\nb:{first}\r\na:{second}\n");
        let (users, useless) = Users::parse(&text).unwrap();
        assert_eq!(useless, []);
        assert_eq!(users.len(), 2);
        assert_eq!(users.hash_or_dummy(Some("a")).0.as_str(), second);
    }

    #[test]
    fn a_line_without_a_colon_is_an_error_that_names_the_line_and_not_its_text() {
        let error = Users::parse("a:x\nhunter2\n").unwrap_err().to_string();
        assert_eq!(error, "line 2 has no `:`; a line is `user:hash`");
    }

    #[test]
    fn other_kinds_of_hash_let_nobody_in_and_are_named() {
        let text = "md5:$apr1$abcdefgh$0123456789012345678901\nsha:{SHA}0123\nplain:secret\ncut:$2y$10$abc\n";
        let (users, useless) = Users::parse(text).unwrap();
        assert_eq!(users.len(), 0);
        let named: Vec<_> = useless
            .iter()
            .map(|line| (line.line, line.user.as_str()))
            .collect();
        assert_eq!(named, [(1, "md5"), (2, "sha"), (3, "plain"), (4, "cut")]);
    }

    #[test]
    fn a_hash_that_takes_hours_is_not_begun() {
        let (users, useless) =
            Users::parse(&format!("a:{}", hash(4).replacen("$04$", "$31$", 1))).unwrap();
        assert_eq!((users.len(), useless.len()), (0, 1));
    }

    /// Otherwise the time of the answer would tell which users there are.
    #[test]
    fn an_unknown_user_gets_a_hash_as_dear_as_the_dearest_in_the_file() {
        let (users, _) = Users::parse(&format!("a:{}\nb:{}\n", hash(4), hash(6))).unwrap();
        let (dummy, known) = users.hash_or_dummy(Some("nobody"));
        assert!(!known);
        assert_eq!(dummy.as_str().parse::<HashParts>().unwrap().get_cost(), 6);
        assert!(!bcrypt::verify("secret", dummy.as_str()).unwrap());
    }
}
