//! MongoDB's match language and orders over JSON-like documents.
//!
//! A [`Filter`] is read from JSON, from the short form of the command line, or built in code. It is
//! compiled to a [`Matcher`] for documents in memory, and its parts that a database understands are
//! pushed down as SQL ([`push_down`]). An [`Order`] sorts. Documents are anything that implements
//! [`Node`]: [`Value`] and [`serde_json::Value`] do, [`Documents`] that are kept to be asked often, and
//! text that nobody parsed ([`lazy`]). The crate does no I/O and knows no tracker: what field names
//! mean is a [`Vocabulary`].
//!
//! ```
//! use query_dsl::{Filter, Value};
//!
//! let filter = Filter::parse_json(
//!     r#"{"config.lr": {"$gt": 0.001}, "tags": {"$in": ["prod", "baseline"]}}"#,
//! )?;
//! let run = Value::parse_json(r#"{"config": {"lr": 0.01}, "tags": ["prod"]}"#)?;
//! assert!(filter.compile()?.matches(&run));
//! # Ok::<(), query_dsl::FilterError>(())
//! ```

mod compare;
mod documents;
mod error;
mod extended;
mod filter;
mod json;
mod key;
pub mod lazy;
mod matcher;
mod node;
mod number;
mod operator;
mod options;
mod order;
mod parse;
mod path;
mod projection;
mod regex;
mod short;
mod sql;
mod sqlite;
mod suggest;
mod value;
mod vocabulary;
mod write;

pub use crate::regex::Pattern;
pub use compare::compare;
pub use documents::{DocumentNode, Documents};
pub use error::{ErrorKind, FilterError, On, TextPlace};
pub use filter::{
    BitsMode, Condition, ElemMatch, FieldBuilder, FieldFilter, Filter, Member, Place, Test,
};
pub use json::JsonOptions;
pub use key::Key;
pub use matcher::Matcher;
pub use node::{Kind, Node};
pub use operator::{Operator, TypeName};
pub use options::{ParseMode, ParseOptions};
pub use order::{Direction, Order, OrderKey, SortKey};
pub use path::Path;
pub use projection::Projection;
pub use sql::{Dialect, Fragment, Pushed, Sql, SqlValue, Translation, push_down};
pub use sqlite::{Column, ColumnType, SqliteDialect};
pub use suggest::nearest;
pub use value::{Object, Value};
pub use vocabulary::Vocabulary;
