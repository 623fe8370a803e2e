//! The names of operators and of types.

use crate::suggest::nearest;

/// An operator of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are the operators'")]
pub enum Operator {
    Eq,
    Ne,
    Gt,
    Gte,
    Lt,
    Lte,
    In,
    Nin,
    All,
    Exists,
    Type,
    Size,
    Mod,
    BitsAllSet,
    BitsAnySet,
    BitsAllClear,
    BitsAnyClear,
    Regex,
    ElemMatch,
    Not,
    Comment,
}

impl Operator {
    const ALL: [Self; 21] = [
        Self::Eq,
        Self::Ne,
        Self::Gt,
        Self::Gte,
        Self::Lt,
        Self::Lte,
        Self::In,
        Self::Nin,
        Self::All,
        Self::Exists,
        Self::Type,
        Self::Size,
        Self::Mod,
        Self::BitsAllSet,
        Self::BitsAnySet,
        Self::BitsAllClear,
        Self::BitsAnyClear,
        Self::Regex,
        Self::ElemMatch,
        Self::Not,
        Self::Comment,
    ];

    /// As it is written, `$eq`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Eq => "$eq",
            Self::Ne => "$ne",
            Self::Gt => "$gt",
            Self::Gte => "$gte",
            Self::Lt => "$lt",
            Self::Lte => "$lte",
            Self::In => "$in",
            Self::Nin => "$nin",
            Self::All => "$all",
            Self::Exists => "$exists",
            Self::Type => "$type",
            Self::Size => "$size",
            Self::Mod => "$mod",
            Self::BitsAllSet => "$bitsAllSet",
            Self::BitsAnySet => "$bitsAnySet",
            Self::BitsAllClear => "$bitsAllClear",
            Self::BitsAnyClear => "$bitsAnyClear",
            Self::Regex => "$regex",
            Self::ElemMatch => "$elemMatch",
            Self::Not => "$not",
            Self::Comment => "$comment",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|op| op.as_str() == name)
    }
}

pub(crate) const AND: &str = "$and";
pub(crate) const OR: &str = "$or";
pub(crate) const NOR: &str = "$nor";
pub(crate) const OPTIONS: &str = "$options";
pub(crate) const CONTAINS: &str = "$contains";

pub(crate) fn is_logical(name: &str) -> bool {
    matches!(name, AND | OR | NOR)
}

/// Operators of MongoDB that have no place here, with what serves instead.
pub(crate) fn unsupported(name: &str) -> Option<Option<&'static str>> {
    match name {
        "$text" => Some(Some("$regex")),
        "$expr" | "$where" | "$jsonSchema" | "$sampleRate" | "$alwaysTrue" | "$alwaysFalse"
        | "$near" | "$nearSphere" | "$geoWithin" | "$geoIntersects" | "$within" | "$geoNear"
        | "$minDistance" | "$maxDistance" | "$uniqueDocs" => Some(None),
        name if name.starts_with("$_internal") => Some(None),
        _ => None,
    }
}

/// The operator that was probably meant. `top`: beside fields, not below one.
pub(crate) fn suggestion(name: &str, top: bool) -> Option<&'static str> {
    let logical = [AND, OR, NOR];
    if top {
        let all = logical.into_iter().chain([Operator::Comment.as_str()]);
        return nearest(name, all);
    }
    let alias = match name.to_lowercase().as_str() {
        "$neq" | "$notequals" | "$notequal" | "$not_eq" | "$!=" => Some("$ne"),
        "$equals" | "$equal" | "$is" | "$=" | "$==" => Some("$eq"),
        "$notin" | "$not_in" => Some("$nin"),
        "$like" | "$ilike" | "$regexp" | "$match" | "$matches" | "$contains" => Some("$regex"),
        "$gtr" | "$greater" | "$>" => Some("$gt"),
        "$less" | "$<" => Some("$lt"),
        "$>=" | "$ge" => Some("$gte"),
        "$<=" | "$le" => Some("$lte"),
        "$length" | "$len" => Some("$size"),
        _ => None,
    };
    let names = Operator::ALL.into_iter().map(Operator::as_str);
    alias.or_else(|| nearest(name, names.chain([OPTIONS])))
}

/// A type that `$type` asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names are MongoDB's")]
pub enum TypeName {
    Double,
    String,
    Object,
    Array,
    BinData,
    Undefined,
    ObjectId,
    Bool,
    Date,
    Null,
    Regex,
    DbPointer,
    Javascript,
    Symbol,
    JavascriptWithScope,
    Int,
    Timestamp,
    Long,
    Decimal,
    MinKey,
    MaxKey,
    /// Int, long, double and decimal.
    Number,
}

impl TypeName {
    const ALL: [(Self, &'static str, Option<i64>); 22] = [
        (Self::Double, "double", Some(1)),
        (Self::String, "string", Some(2)),
        (Self::Object, "object", Some(3)),
        (Self::Array, "array", Some(4)),
        (Self::BinData, "binData", Some(5)),
        (Self::Undefined, "undefined", Some(6)),
        (Self::ObjectId, "objectId", Some(7)),
        (Self::Bool, "bool", Some(8)),
        (Self::Date, "date", Some(9)),
        (Self::Null, "null", Some(10)),
        (Self::Regex, "regex", Some(11)),
        (Self::DbPointer, "dbPointer", Some(12)),
        (Self::Javascript, "javascript", Some(13)),
        (Self::Symbol, "symbol", Some(14)),
        (Self::JavascriptWithScope, "javascriptWithScope", Some(15)),
        (Self::Int, "int", Some(16)),
        (Self::Timestamp, "timestamp", Some(17)),
        (Self::Long, "long", Some(18)),
        (Self::Decimal, "decimal", Some(19)),
        (Self::MinKey, "minKey", Some(-1)),
        (Self::MaxKey, "maxKey", Some(127)),
        (Self::Number, "number", None),
    ];

    /// As it is written, `string`.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(name, ..)| *name == self)
            .map_or("", |(_, text, _)| text)
    }

    /// The type of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(_, text, _)| *text == name)
            .map(|(found, ..)| found)
    }

    /// The type of a BSON type number.
    pub fn numbered(code: i64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(.., number)| *number == Some(code))
            .map(|(found, ..)| found)
    }

    /// The name that was probably meant.
    pub(crate) fn suggestion(name: &str) -> Option<&'static str> {
        match name.to_lowercase().as_str() {
            "integer" | "int32" => Some("int"),
            "int64" | "bigint" => Some("long"),
            "str" | "text" => Some("string"),
            "float" | "real" => Some("double"),
            "boolean" => Some("bool"),
            "list" => Some("array"),
            "dict" | "map" => Some("object"),
            "none" | "nil" => Some("null"),
            "num" => Some("number"),
            "datetime" => Some("date"),
            _ => nearest(name, Self::ALL.into_iter().map(|(_, text, _)| text)),
        }
    }
}
