//! Conditions on lists that are short enough to be looked through, and their order.

use std::cmp::Ordering;

use query_dsl::{
    ErrorKind, Filter, FilterError, Matcher, Operator, Order, Path, Value, Vocabulary, nearest,
};
use serde_json::Value as Json;
use tracker_model::{Error, Result, Timestamp};

use super::scalars::JsonString;

/// A field of what is listed: its name in the documents, and how else clients write it.
pub(crate) struct Field(pub(crate) &'static str, pub(crate) &'static [&'static str]);

/// The fields that hold instants: milliseconds since 1970 in the documents, RFC 3339 in filters.
const TIMES: [&str; 2] = ["createdAt", "updatedAt"];

/// An instant as documents have it.
pub(crate) fn time(at: Timestamp) -> Json {
    at.as_millis().into()
}

/// Which items of a list a client wants, and in which order.
pub(crate) struct Listing {
    matcher: Option<Matcher>,
    order: Option<Order>,
}

impl Listing {
    /// Reads MongoDB's conditions, and keys with their signs between commas.
    ///
    /// # Errors
    /// `InvalidInput` if they are none, or name fields that there are not.
    pub(crate) fn parse(
        filters: Option<&JsonString>,
        order: Option<&str>,
        fields: &'static [Field],
    ) -> Result<Self> {
        let fields = Fields(fields);
        let read = |text: &str| Filter::parse_json(text)?.resolve(&fields)?.compile();
        let filters = filters.map(|JsonString(text)| text.trim());
        let filters = filters.filter(|text| !matches!(*text, "" | "null"));
        let keys: Vec<&str> = order
            .unwrap_or_default()
            .split(',')
            .map(str::trim)
            .collect();
        let order = match keys.iter().all(|key| key.is_empty()) {
            true => None,
            false => Some(
                Order::parse(keys)
                    .and_then(|order| order.resolve(&fields))
                    .map_err(Error::of_query)?,
            ),
        };
        Ok(Self {
            matcher: filters.map(read).transpose().map_err(Error::of_query)?,
            order,
        })
    }

    /// The items that are wanted, in order, given the document of each.
    pub(crate) fn apply<T>(&self, items: Vec<T>, document: impl Fn(&T) -> Json) -> Vec<T> {
        if self.matcher.is_none() && self.order.is_none() {
            return items;
        }
        // One document at a time: they may be large.
        let mut kept = Vec::with_capacity(items.len());
        for item in items {
            let document = document(&item);
            let wanted = self.matcher.as_ref().is_none_or(|m| m.matches(&document));
            if wanted {
                let key = self.order.as_ref().map(|order| order.key(&document));
                kept.push((key, item));
            }
        }
        if let Some(order) = &self.order {
            kept.sort_by(|(a, _), (b, _)| match (a, b) {
                (Some(a), Some(b)) => order.compare(a, b),
                _ => Ordering::Equal,
            });
        }
        kept.into_iter().map(|(_, item)| item).collect()
    }
}

struct Fields(&'static [Field]);

impl Vocabulary for Fields {
    fn resolve(&self, path: &Path) -> std::result::Result<Path, FilterError> {
        let Some((root, below)) = path.parts().split_first() else {
            return Ok(path.clone());
        };
        let known = self
            .0
            .iter()
            .find(|Field(name, also)| name == root || also.contains(&root.as_str()));
        let Some(Field(name, _)) = known else {
            let names = self.0.iter().map(|Field(name, _)| *name);
            let near = nearest(root, names).map(str::to_owned);
            let message = format!("there is no field {root:.80} to filter or order by");
            return Err(FilterError::new(ErrorKind::UnknownField, message).with_suggestion(near));
        };
        let mut parts = vec![(*name).to_owned()];
        parts.extend_from_slice(below);
        Ok(Path::new(parts))
    }

    fn operand(
        &self,
        path: &Path,
        _: Operator,
        value: &Value,
    ) -> std::result::Result<Option<Value>, FilterError> {
        let root = path.parts().first().map_or("", String::as_str);
        let Value::String(text) = value else {
            return Ok(None);
        };
        if !TIMES.contains(&root) {
            return Ok(None);
        }
        let at: Timestamp = text.parse().map_err(|_| {
            let message = format!("{root} is a time as of RFC 3339, not {text:.80?}");
            FilterError::new(ErrorKind::InvalidValue, message)
        })?;
        Ok(Some(Value::Long(at.as_millis())))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const FIELDS: [Field; 3] = [
        Field("name", &[]),
        Field("createdAt", &["created_at"]),
        Field("tags", &["tag"]),
    ];

    fn listed(filters: &str, order: &str) -> Result<Vec<&'static str>> {
        let items = vec![
            ("b", json!({"name": "b", "createdAt": 1_000, "tags": ["x"]})),
            (
                "a",
                json!({"name": "a", "createdAt": 2_000, "tags": ["x", "y"]}),
            ),
            ("c", json!({"name": "c", "createdAt": 2_000, "tags": []})),
        ];
        let filters = JsonString(filters.to_owned());
        let listing = Listing::parse(Some(&filters), Some(order), &FIELDS)?;
        let found = listing.apply(items, |(_, document)| document.clone());
        Ok(found.into_iter().map(|(name, _)| name).collect())
    }

    #[test]
    fn lists_are_filtered_and_ordered() {
        for (filters, order, wanted) in [
            ("", "", vec!["b", "a", "c"]),
            ("{}", "name", vec!["a", "b", "c"]),
            ("null", "-name", vec!["c", "b", "a"]),
            ("{}", "-created_at,+name", vec!["a", "c", "b"]),
            (r#"{"name": "a"}"#, "", vec!["a"]),
            (r#"{"tags": "x"}"#, "", vec!["b", "a"]),
            (r#"{"tag": {"$all": ["x", "y"]}}"#, "", vec!["a"]),
            (r#"{"name": {"$in": ["b", "c"]}}"#, "", vec!["b", "c"]),
            (
                r#"{"created_at": {"$gt": "1970-01-01T00:00:01Z"}}"#,
                "",
                vec!["a", "c"],
            ),
        ] {
            assert_eq!(listed(filters, order).unwrap(), wanted, "{filters} {order}");
        }
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for (filters, order) in [
            (r#"{"size": 1}"#, ""),
            (r#"{"createdAt": {"$gt": "yesterday"}}"#, ""),
            (r#"{"name": {"$nope": 1}}"#, ""),
            ("[", ""),
            ("", "size"),
        ] {
            assert!(listed(filters, order).is_err(), "{filters} {order}");
        }
    }
}
