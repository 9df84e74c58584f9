//! Values of `WWW-Authenticate`, and the scopes in them. Pure.

use super::Access;

/// `text` between quotes, as RFC 9110 §5.6.4 has it.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The scopes of a token that would allow all of `wanted`, in distribution's order and grammar.
pub(super) fn scope(wanted: &[Access]) -> String {
    let one = |access: &Access| match access {
        Access::Repository { name, action } => format!("repository:{}:{action}", name.as_str()),
        Access::Catalog => "registry:catalog:*".to_owned(),
    };
    wanted.iter().map(one).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_in_a_realm_cannot_end_it() {
        assert_eq!(quoted(r#"a "b" \c"#), r#""a \"b\" \\c""#);
    }
}
