//! What a request says in headers about the bytes it wants: ranges and versions. Pure.

use std::ops::Range;

use axum::http::{HeaderMap, header};

/// What of an object is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it: no range, or one that is not understood and therefore does not count (RFC 9110, 14.2), or several.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Nothing that is there.
    Unsatisfiable,
}

/// Reads `Range` for an object of `size` bytes whose version is `etag`.
pub(super) fn wanted(headers: &HeaderMap, size: u64, etag: &str) -> Wanted {
    let Some(range) = headers
        .get(header::RANGE)
        .and_then(|value| value.to_str().ok())
    else {
        return Wanted::Whole;
    };
    if headers
        .get(header::IF_RANGE)
        .is_some_and(|version| version.as_bytes() != etag.as_bytes())
    {
        return Wanted::Whole;
    }
    // Several ranges are answered with the whole, which a server may always do: no client of a registry asks for them.
    let Some(spec) = range
        .strip_prefix("bytes=")
        .map(str::trim)
        .filter(|spec| !spec.contains(','))
    else {
        return Wanted::Whole;
    };
    let Some((first, last)) = spec.split_once('-') else {
        return Wanted::Whole;
    };
    match (number(first), number(last)) {
        (Number::Is(first), Number::Is(last)) if first <= last && first < size => {
            Wanted::Part(first..last.saturating_add(1).min(size))
        }
        (Number::Is(first), Number::Missing) if first < size => Wanted::Part(first..size),
        (Number::Missing, Number::Is(length)) if length > 0 && size > 0 => {
            Wanted::Part(size.saturating_sub(length)..size)
        }
        // Also a range that runs backwards: RFC 9110 calls it invalid, and clients expect a refusal rather than gigabytes.
        (Number::Is(_), Number::Is(_) | Number::Missing) | (Number::Missing, Number::Is(_)) => {
            Wanted::Unsatisfiable
        }
        (Number::Nonsense, _) | (_, Number::Nonsense) | (Number::Missing, Number::Missing) => {
            Wanted::Whole
        }
    }
}

enum Number {
    Is(u64),
    Missing,
    Nonsense,
}

fn number(text: &str) -> Number {
    if text.is_empty() {
        return Number::Missing;
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Number::Nonsense;
    }
    // More digits than fit are beyond any end.
    Number::Is(text.parse().unwrap_or(u64::MAX))
}

/// Whether the client has this version already. Tags count with and without quotes, as distribution reads them.
pub(super) fn has_already(headers: &HeaderMap, digest: &str) -> bool {
    headers
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|tag| {
            let tag = tag.trim();
            tag == "*" || tag.trim_start_matches("W/").trim_matches('"') == digest
        })
}

/// Where a chunk of an upload lies in the blob, as `Content-Range: <first>-<last>` says, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ContentRange {
    pub(super) first: u64,
    pub(super) length: u64,
}

/// Reads `Content-Range`; `Err` where it is not understood.
pub(super) fn content_range(headers: &HeaderMap) -> Result<Option<ContentRange>, ()> {
    let Some(value) = headers.get(header::CONTENT_RANGE) else {
        return Ok(None);
    };
    let value = value.to_str().map_err(|_| ())?;
    // The API has its own form, without unit and without length of the whole; some clients write HTTP's.
    let value = value.strip_prefix("bytes ").unwrap_or(value);
    let range = value.split_once('/').map_or(value, |(range, _)| range);
    let (first, last) = range.split_once('-').ok_or(())?;
    let (Number::Is(first), Number::Is(last)) = (number(first), number(last)) else {
        return Err(());
    };
    let length = last
        .checked_sub(first)
        .and_then(|length| length.checked_add(1))
        .ok_or(())?;
    Ok(Some(ContentRange { first, length }))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use rstest::rstest;

    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[rstest]
    #[case("bytes=0-0", Wanted::Part(0..1))]
    #[case("bytes=2-", Wanted::Part(2..10))]
    #[case("bytes=2-99", Wanted::Part(2..10))]
    #[case("bytes=-3", Wanted::Part(7..10))]
    #[case("bytes=-99", Wanted::Part(0..10))]
    #[case("bytes=10-", Wanted::Unsatisfiable)]
    #[case("bytes=5-2", Wanted::Unsatisfiable)]
    #[case("bytes=-0", Wanted::Unsatisfiable)]
    #[case("bytes=99999999999999999999999-", Wanted::Unsatisfiable)]
    #[case("bytes=0-99999999999999999999999", Wanted::Part(0..10))]
    #[case("bytes=0-1,4-5", Wanted::Whole)]
    #[case("bytes=a-b", Wanted::Whole)]
    #[case("bytes=-", Wanted::Whole)]
    #[case("lines=0-1", Wanted::Whole)]
    fn a_range_is_read_as_the_standard_says(#[case] range: &str, #[case] expected: Wanted) {
        assert_eq!(
            wanted(&headers(header::RANGE, range), 10, "\"x\""),
            expected
        );
    }

    #[test]
    fn a_range_of_another_version_does_not_count() {
        let mut headers = headers(header::RANGE, "bytes=0-0");
        headers.insert(header::IF_RANGE, HeaderValue::from_static("\"y\""));
        assert_eq!(wanted(&headers, 10, "\"x\""), Wanted::Whole);
    }

    #[rstest]
    #[case("sha256:a", true)]
    #[case("\"sha256:a\"", true)]
    #[case("\"x\", W/\"sha256:a\"", true)]
    #[case("*", true)]
    #[case("\"sha256:b\"", false)]
    fn a_version_the_client_has_is_recognised(#[case] tag: &str, #[case] expected: bool) {
        assert_eq!(
            has_already(&headers(header::IF_NONE_MATCH, tag), "sha256:a"),
            expected
        );
    }

    #[rstest]
    #[case("0-4", Ok(Some(ContentRange { first: 0, length: 5 })))]
    #[case("bytes 5-5/10", Ok(Some(ContentRange { first: 5, length: 1 })))]
    #[case("5-4", Err(()))]
    #[case("-4", Err(()))]
    #[case("4-", Err(()))]
    #[case("+0-4", Err(()))]
    #[case("0-18446744073709551615", Err(()))]
    #[case("", Err(()))]
    fn the_place_of_a_chunk_is_read_strictly(
        #[case] range: &str,
        #[case] expected: Result<Option<ContentRange>, ()>,
    ) {
        assert_eq!(
            content_range(&headers(header::CONTENT_RANGE, range)),
            expected
        );
    }
}
