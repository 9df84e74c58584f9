//! Pages of names, in the order in which they were promised.

/// One page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing<T> {
    /// In order.
    pub items: Vec<T>,
    /// Whether there are more after the last.
    pub more: bool,
}

impl<T> Listing<T> {
    /// At most `limit` of `items`, which must hold one more when there are more.
    #[must_use]
    pub(super) fn cut(mut items: Vec<T>, limit: usize) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        Self { items, more }
    }
}

/// Puts the folders of a listing into the order of their names.
///
/// A store lists folders by their names with a slash behind, and two characters come before the slash: `1.0-rc/` and `1.0.1/`
/// are listed before `1.0/`, while `1.0` is the first of the three by name. So a name may have to wait for its own beginnings.
#[derive(Debug, Default)]
pub(super) struct InOrder {
    names: std::collections::BTreeSet<String>,
}

impl InOrder {
    /// Takes the next name in the store's order.
    pub(super) fn push(&mut self, name: String) {
        self.names.insert(name);
    }

    /// Whether the first `count` names by order are here, when the store has come as far as `reached`.
    pub(super) fn settled(&self, count: usize, reached: &str) -> bool {
        let passed = |beginning: &str| {
            beginning
                .bytes()
                .chain([b'/'])
                .le(reached.bytes().chain([b'/']))
        };
        self.names.len() >= count
            && self.names.iter().take(count).all(|name| {
                name.char_indices()
                    .filter(|(_, character)| *character < '/')
                    .all(|(at, _)| name.get(..at).is_none_or(passed))
            })
    }

    /// All names, in order.
    pub(super) fn into_names(self) -> impl Iterator<Item = String> {
        self.names.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The model is a sorted set; the store's order is the order with slashes.
        #[test]
        fn the_first_names_are_right_as_soon_as_they_are_settled(
            names in proptest::collection::btree_set("[ab_][ab.-]{0,4}", 1..20), count in 1_usize..8,
        ) {
            let mut listed: Vec<String> = names.iter().cloned().collect();
            listed.sort_by_key(|name| format!("{name}/"));
            let mut order = InOrder::default();
            for name in listed {
                order.push(name.clone());
                if order.settled(count, &name) {
                    break;
                }
            }
            let expected: BTreeSet<String> = names.into_iter().take(count).collect();
            prop_assert_eq!(order.into_names().take(count).collect::<BTreeSet<_>>(), expected);
        }
    }
}
