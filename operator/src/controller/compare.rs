//! Whether an object is as it should be, so that nothing is written that is there already. Pure.
//!
//! The API server adds defaults, and other controllers add fields of their own; so what is wanted must be *contained* in what is
//! there. That alone would miss a field that is no longer wanted. Therefore each object also carries a hash of what it was last
//! wanted to be.

use std::cmp::Ordering;

use moorage_crds::names::DESIRED_HASH_ANNOTATION;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Puts the hash of an object into its annotations.
pub fn stamp(desired: &mut Value) {
    let hash = hash(desired);
    let annotations = desired
        .as_object_mut()
        .map(|object| {
            object
                .entry("metadata")
                .or_insert_with(|| Value::Object(Map::new()))
        })
        .and_then(Value::as_object_mut)
        .map(|metadata| {
            metadata
                .entry("annotations")
                .or_insert_with(|| Value::Object(Map::new()))
        })
        .and_then(Value::as_object_mut);
    if let Some(annotations) = annotations {
        annotations.insert(DESIRED_HASH_ANNOTATION.to_owned(), Value::String(hash));
    }
}

/// Of the data of a Secret only the keys: the values are compared as they are, and a hash of a weak password tells it.
fn hash(desired: &Value) -> String {
    let mut shown = desired.clone();
    let data = shown.get_mut("data").and_then(Value::as_object_mut);
    for value in data.into_iter().flat_map(Map::values_mut) {
        *value = Value::Null;
    }
    hex::encode(Sha256::digest(shown.to_string()))
}

/// Whether everything in `desired` is in `live`.
#[must_use]
pub fn contains(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(key, wanted)| {
            let quantities = matches!(key.as_str(), "limits" | "requests");
            match live.get(key) {
                Some(found) if quantities => same_quantities(found, wanted),
                Some(found) if key == "sizeLimit" => same_quantity(found, wanted),
                Some(found) => contains(found, wanted),
                // An empty value is often dropped on the way.
                None => is_empty(wanted),
            }
        }),
        (Value::Array(live), Value::Array(desired)) => contains_list(live, desired),
        _ => live == desired,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Lists of named things may have more things, from others, and in another order. Other lists are compared one by one.
fn contains_list(live: &[Value], desired: &[Value]) -> bool {
    let name = |item: &Value| item.get("name").and_then(Value::as_str).map(str::to_owned);
    if !desired.is_empty() && desired.iter().all(|item| name(item).is_some()) {
        return desired.iter().all(|wanted| {
            live.iter()
                .any(|found| name(found) == name(wanted) && contains(found, wanted))
        });
    }
    live.len() == desired.len()
        && live
            .iter()
            .zip(desired)
            .all(|(found, wanted)| contains(found, wanted))
}

fn same_quantities(live: &Value, desired: &Value) -> bool {
    match (live, desired) {
        (Value::Object(live), Value::Object(desired)) => desired.iter().all(|(name, wanted)| {
            live.get(name)
                .is_some_and(|found| same_quantity(found, wanted))
        }),
        _ => live == desired,
    }
}

/// The API server writes `0.5` as `500m`, and would seem to differ for ever.
fn same_quantity(live: &Value, desired: &Value) -> bool {
    if live == desired {
        return true;
    }
    let quantity = |value: &Value| parse_quantity(value.as_str()?);
    match (quantity(live), quantity(desired)) {
        (Some(live), Some(desired)) => live.cmp(&desired) == Ordering::Equal,
        _ => false,
    }
}

/// A quantity in billionths, as precise as Kubernetes is; `None` when it is none, or needs more than 128 bits.
fn parse_quantity(text: &str) -> Option<i128> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.' || c == '-' || c == '+'))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = i32::try_from(fraction.len()).ok()?;
    let mantissa: i128 = format!("{whole}{fraction}").parse().ok()?;
    let (base, power): (i128, i32) = match suffix {
        "" => (10, 0),
        "n" => (10, -9),
        "u" => (10, -6),
        "m" => (10, -3),
        "k" => (10, 3),
        "M" => (10, 6),
        "G" => (10, 9),
        "T" => (10, 12),
        "P" => (10, 15),
        "E" => (10, 18),
        "Ki" => (1024, 1),
        "Mi" => (1024, 2),
        "Gi" => (1024, 3),
        "Ti" => (1024, 4),
        "Pi" => (1024, 5),
        "Ei" => (1024, 6),
        other => (10, other.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let (multiplier, decimals) = if base == 10 {
        (1, power)
    } else {
        (base.checked_pow(u32::try_from(power).ok()?)?, 0)
    };
    let shift = decimals.checked_add(9)?.checked_sub(digits)?;
    let scale = 10i128.checked_pow(shift.unsigned_abs())?;
    let scaled = mantissa.checked_mul(multiplier)?;
    if shift >= 0 {
        scaled.checked_mul(scale)
    } else {
        (scaled % scale == 0).then_some(scaled / scale)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::defaults_of_the_server(json!({"a": 1, "b": {"c": 2}}), json!({"b": {"c": 2}}))]
    #[case::another_s_sidecar(json!([{"name": "proxy"}, {"name": "registry", "image": "x", "tty": false}]), json!([{"name": "registry", "image": "x"}]))]
    #[case::dropped_when_empty(json!({"a": 1}), json!({"a": 1, "b": {}, "c": []}))]
    #[case::half_a_cpu(json!({"requests": {"cpu": "500m"}}), json!({"requests": {"cpu": "0.5"}}))]
    #[case::a_gibibyte(json!({"limits": {"memory": "1Gi"}}), json!({"limits": {"memory": "1024Mi"}}))]
    #[case::exponents(json!({"limits": {"memory": "1k"}}), json!({"limits": {"memory": "1e3"}}))]
    fn what_is_there_is_not_written(#[case] live: Value, #[case] desired: Value) {
        assert!(contains(&live, &desired));
    }

    #[rstest]
    #[case::changed(json!({"a": 1}), json!({"a": 2}))]
    #[case::missing(json!({}), json!({"a": false}))]
    #[case::a_named_thing_is_missing(json!([{"name": "proxy"}]), json!([{"name": "registry"}]))]
    #[case::one_more_in_a_plain_list(json!(["ALL", "KILL"]), json!(["ALL"]))]
    #[case::another_order_in_a_plain_list(json!(["b", "a"]), json!(["a", "b"]))]
    #[case::more_cpu(json!({"requests": {"cpu": "500m"}}), json!({"requests": {"cpu": "0.51"}}))]
    #[case::quantities_elsewhere_are_text(json!({"cpu": "500m"}), json!({"cpu": "0.5"}))]
    fn what_differs_is_written(#[case] live: Value, #[case] desired: Value) {
        assert!(!contains(&live, &desired));
    }

    #[test]
    fn a_field_that_is_no_longer_wanted_changes_the_hash() {
        let stamped = |mut value: Value| {
            stamp(&mut value);
            value
        };
        let before = stamped(json!({"spec": {"replicas": 1, "paused": true}}));
        let after = stamped(json!({"spec": {"replicas": 1}}));
        assert!(
            contains(&before, &json!({"spec": {"replicas": 1}})),
            "without the hash the difference would not show"
        );
        assert!(!contains(&before, &after));
    }

    /// The hash stands in an annotation, which is shown more freely than the data of a Secret; a weak password could be guessed.
    #[test]
    fn the_hash_says_nothing_about_the_data_of_a_secret() {
        let hash = |password: &str| {
            let mut secret = json!({"kind": "Secret", "data": {"password": password}});
            stamp(&mut secret);
            secret["metadata"]["annotations"][DESIRED_HASH_ANNOTATION].clone()
        };
        assert_eq!(hash("b25l"), hash("dHdv"));
        let mut less = json!({"kind": "Secret", "data": {}});
        stamp(&mut less);
        assert_ne!(
            less["metadata"]["annotations"][DESIRED_HASH_ANNOTATION],
            hash("b25l"),
            "a key that is no longer wanted shows"
        );
    }
}
