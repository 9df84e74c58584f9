//! The query of a request.

use url::form_urlencoded;

/// The most parameters looked at: more than any request of the API can mean.
const MAX_PARAMETERS: usize = 200;

/// What follows the question mark, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Self {
        Self(
            form_urlencoded::parse(text.as_bytes())
                .take(MAX_PARAMETERS)
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The first value of a parameter.
    pub(super) fn first(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(candidate, _)| candidate == name)
            .map(|(_, value)| value.as_str())
    }

    /// All values of a parameter.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(candidate, _)| candidate == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The `Link` header that says where a list goes on.
pub(super) fn next_link(path: &str, parameters: &[(&str, &str)]) -> String {
    let query: String = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(parameters)
        .finish();
    format!("<{path}?{query}>; rel=\"next\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_can_be_repeated_and_encoded() {
        let query = Query::parse("tag=a&digest=sha256%3Ax&tag=b");
        assert_eq!(query.first("digest"), Some("sha256:x"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(query.first("n"), None);
    }

    #[test]
    fn a_link_is_encoded() {
        assert_eq!(
            next_link("/v2/_catalog", &[("last", "a/b"), ("n", "2")]),
            "</v2/_catalog?last=a%2Fb&n=2>; rel=\"next\""
        );
    }
}
