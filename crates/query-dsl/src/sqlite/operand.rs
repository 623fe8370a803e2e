//! What is tested, as SQL.

use super::{ColumnType, Site};

/// A candidate.
pub(super) enum Operand {
    /// A place in JSON; it may be missing.
    Site(Site),
    /// An element of an array: a row of `json_each` with this alias.
    Element(String),
    /// A column.
    Column(String, ColumnType),
    /// A missing field.
    Missing,
}

impl Operand {
    /// The value of a scalar. Only with a test of its type: `true` is 1 here.
    pub(super) fn value(&self) -> String {
        match self {
            Self::Site(site) => format!("json_extract({})", site.args()),
            Self::Element(alias) => format!("{alias}.atom"),
            Self::Column(sql, _) => sql.clone(),
            Self::Missing => "NULL".to_owned(),
        }
    }

    /// Whether it has one of these types of JSON, or is a `date`.
    pub(super) fn is(&self, types: &[&str]) -> String {
        let dynamic = |kind: String| match types {
            [] => "0".to_owned(),
            [one] => format!("{kind} = '{one}'"),
            many => format!("{kind} IN ('{}')", many.join("', '")),
        };
        match self {
            Self::Site(site) => dynamic(site.kind()),
            Self::Element(alias) => dynamic(format!("{alias}.type")),
            Self::Missing => "0".to_owned(),
            Self::Column(sql, ColumnType::Boolean) => {
                match (types.contains(&"true"), types.contains(&"false")) {
                    (true, true) => format!("{sql} IS NOT NULL"),
                    (true, false) => format!("{sql} = 1"),
                    (false, true) => format!("{sql} = 0"),
                    (false, false) => "0".to_owned(),
                }
            }
            Self::Column(sql, kind) => {
                let name = match kind {
                    ColumnType::Text => "text",
                    ColumnType::Integer => "integer",
                    ColumnType::Real => "real",
                    _ => "date",
                };
                if types.contains(&name) {
                    format!("{sql} IS NOT NULL")
                } else {
                    "0".to_owned()
                }
            }
        }
    }

    /// That it has one of these types and that something holds of its value, which is NULL where
    /// there is none. Of a column with one type, that alone is asked, so that an index serves.
    pub(super) fn is_and(&self, types: &[&str], holds: &str) -> String {
        let is = self.is(types);
        match self {
            Self::Column(..) if is != "0" => format!("({holds})"),
            _ => format!("({is} AND {holds})"),
        }
    }

    pub(super) fn is_null_or_missing(&self) -> String {
        match self {
            Self::Site(site) => format!("coalesce({}, 'null') = 'null'", site.kind()),
            Self::Element(alias) => format!("{alias}.type = 'null'"),
            Self::Column(sql, _) => format!("{sql} IS NULL"),
            Self::Missing => "1".to_owned(),
        }
    }

    pub(super) fn exists(&self) -> String {
        match self {
            Self::Site(site) => format!("{} IS NOT NULL", site.kind()),
            Self::Element(_) => "1".to_owned(),
            Self::Column(sql, _) => format!("{sql} IS NOT NULL"),
            Self::Missing => "0".to_owned(),
        }
    }

    /// The JSON of a container.
    pub(super) fn json(&self) -> Option<Site> {
        match self {
            Self::Site(site) => Some(site.clone()),
            Self::Element(alias) => Some(Site::root(&format!("{alias}.value"))),
            Self::Column(..) | Self::Missing => None,
        }
    }

    /// Whether it can be a date: JSON has none.
    pub(super) fn holds_dates(&self) -> bool {
        matches!(self, Self::Column(..) | Self::Missing)
    }
}
