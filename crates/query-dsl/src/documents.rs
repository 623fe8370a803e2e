//! Documents that are parsed once and asked often.

mod table;

use std::{collections::HashSet, sync::Arc};

use indexmap::{Equivalent, IndexMap};

use crate::{ErrorKind, FilterError, Key, Kind, Node, key};
use table::Table;

/// How many texts are remembered, so that what is there often is kept once.
const REMEMBERED: usize = 1024;
/// Longer texts are rarely there twice.
const LONGEST_REMEMBERED: usize = 64;

/// Parsed documents, kept for filters: the fastest that can be asked.
///
/// Objects that have the same keys in the same order, wherever they are, share one table with a
/// column for each key. A filter that looks at a few fields reads a few columns from one end to the
/// other and nothing of the rest, and a short text that is there often is kept once. Where each
/// object has keys of its own, nothing is gained and little lost.
///
/// ```
/// use query_dsl::{Documents, Filter, Value};
///
/// let mut documents = Documents::new();
/// documents.push(&Value::parse_json(r#"{"config": {"lr": 0.01}, "state": "finished"}"#)?)?;
/// documents.push(&Value::parse_json(r#"{"config": {"lr": 0.3}, "state": "running"}"#)?)?;
/// let matcher = Filter::field("config.lr").lt(0.1).compile()?;
/// let found: Vec<bool> = documents.iter().map(|doc| matcher.matches(doc)).collect();
/// assert_eq!(found, [true, false]);
/// # Ok::<(), query_dsl::FilterError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Documents {
    roots: Vec<Slot>,
    /// By the keys of their objects.
    tables: IndexMap<Box<[Arc<str>]>, Table>,
    /// All keys.
    names: HashSet<Arc<str>>,
    /// The elements of all arrays.
    items: Vec<Slot>,
    /// All texts.
    text: String,
    /// Where texts begin that were added before, each at the place that its hash names.
    remembered: Vec<usize>,
}

/// A value.
#[derive(Debug, Clone, Copy)]
enum Slot {
    Null,
    Bool(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Date(i64),
    Text { length: u32, at: usize },
    Array { length: u32, at: usize },
    Object { table: u32, row: usize },
}

impl Documents {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a copy of a document at the end.
    ///
    /// # Errors
    /// A text or an array in it is longer than 4 G bytes or elements, or objects have more sets of
    /// keys than that. The documents are as before then.
    pub fn push<'a, N: Node<'a>>(&mut self, document: N) -> Result<(), FilterError> {
        let root = self.add(document)?;
        self.roots.push(root);
        Ok(())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.roots.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// The document of a place, from 0.
    pub fn get(&self, index: usize) -> Option<DocumentNode<'_>> {
        self.roots.get(index).map(|slot| self.node(slot))
    }

    /// The documents in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = DocumentNode<'_>> {
        self.roots.iter().map(|slot| self.node(slot))
    }

    #[inline]
    fn node<'a>(&'a self, slot: &'a Slot) -> DocumentNode<'a> {
        DocumentNode {
            documents: self,
            slot,
        }
    }

    fn add<'a, N: Node<'a>>(&mut self, node: N) -> Result<Slot, FilterError> {
        Ok(match node.kind() {
            Kind::Null => Slot::Null,
            Kind::Bool(value) => Slot::Bool(value),
            Kind::Int(value) => Slot::Int(value),
            Kind::Long(value) => Slot::Long(value),
            Kind::Double(value) => Slot::Double(value),
            Kind::Date(value) => Slot::Date(value),
            Kind::String(text) => Slot::Text {
                length: short("a text", text.len())?,
                at: self.add_text(text),
            },
            Kind::Array => {
                let items = node.items().map(|item| self.add(item));
                let items = items.collect::<Result<Vec<_>, _>>()?;
                let slot = Slot::Array {
                    length: short("an array", items.len())?,
                    at: self.items.len(),
                };
                self.items.extend(items);
                slot
            }
            Kind::Object => {
                let (mut keys, mut values) = (Vec::new(), Vec::new());
                for (key, value) in node.entries() {
                    keys.push(key);
                    values.push(self.add(value)?);
                }
                let index = self.table(&keys);
                let table = short("the list of tables", index)?;
                let row = self.tables.get_index_mut(index);
                let row = row.map_or(0, |(_, table)| table.push(&values));
                Slot::Object { table, row }
            }
        })
    }

    /// Where a text is kept.
    fn add_text(&mut self, text: &str) -> usize {
        let at = self.text.len();
        if text.len() <= LONGEST_REMEMBERED {
            self.remembered.resize(REMEMBERED, 0);
            let place = key::hash(text) as usize % REMEMBERED;
            if let Some(before) = self.remembered.get_mut(place) {
                if self.text.get(*before..*before + text.len()) == Some(text) {
                    return *before;
                }
                *before = at;
            }
        }
        self.text.push_str(text);
        at
    }

    /// The index of the table of objects that have these keys.
    fn table(&mut self, keys: &[&str]) -> usize {
        if let Some(index) = self.tables.get_index_of(&Keys(keys)) {
            return index;
        }
        let names = keys.iter().map(|key| match self.names.get(*key) {
            Some(name) => name.clone(),
            None => {
                let name: Arc<str> = (*key).into();
                self.names.insert(name.clone());
                name
            }
        });
        let names: Box<[Arc<str>]> = names.collect();
        let table = Table::new(&names);
        self.tables.insert_full(names, table).0
    }
}

/// A count of 32 bits.
fn short(what: &str, count: usize) -> Result<u32, FilterError> {
    u32::try_from(count).map_err(|_| {
        let message = format!("{what} is longer than {}", u32::MAX);
        FilterError::new(ErrorKind::TooLarge, message)
    })
}

/// Keys of an object, of which there need not be a table.
#[derive(Hash)]
struct Keys<'k>(&'k [&'k str]);

impl Equivalent<Box<[Arc<str>]>> for Keys<'_> {
    fn equivalent(&self, keys: &Box<[Arc<str>]>) -> bool {
        self.0.iter().copied().eq(keys.iter().map(|key| &**key))
    }
}

/// A part of one of some [`Documents`].
#[derive(Debug, Clone, Copy)]
pub struct DocumentNode<'a> {
    documents: &'a Documents,
    slot: &'a Slot,
}

impl<'a> DocumentNode<'a> {
    #[inline]
    fn find(self, column: impl FnOnce(&'a Table, &'a [Arc<str>]) -> Option<usize>) -> Option<Self> {
        let Slot::Object { table, row } = *self.slot else {
            return None;
        };
        let (keys, table) = self.documents.tables.get_index(table as usize)?;
        let column = column(table, keys)?;
        Some(self.documents.node(table.slot(column, row)?))
    }

    #[inline]
    fn elements(self) -> &'a [Slot] {
        let Slot::Array { length, at } = *self.slot else {
            return &[];
        };
        let items = self.documents.items.get(at..at + length as usize);
        items.unwrap_or_default()
    }
}

impl<'a> Node<'a> for DocumentNode<'a> {
    #[inline]
    fn kind(self) -> Kind<'a> {
        match *self.slot {
            Slot::Null => Kind::Null,
            Slot::Bool(value) => Kind::Bool(value),
            Slot::Int(value) => Kind::Int(value),
            Slot::Long(value) => Kind::Long(value),
            Slot::Double(value) => Kind::Double(value),
            Slot::Date(value) => Kind::Date(value),
            Slot::Text { length, at } => {
                let text = self.documents.text.get(at..at + length as usize);
                Kind::String(text.unwrap_or_default())
            }
            Slot::Array { .. } => Kind::Array,
            Slot::Object { .. } => Kind::Object,
        }
    }

    fn get(self, key: &str) -> Option<Self> {
        self.find(|table, keys| table.column(keys, key, key::hash(key)))
    }

    #[inline]
    fn get_key(self, key: &Key) -> Option<Self> {
        self.find(|table, keys| table.column_of(keys, key))
    }

    fn item(self, index: usize) -> Option<Self> {
        let slot = self.elements().get(index)?;
        Some(self.documents.node(slot))
    }

    #[inline]
    fn items(self) -> impl Iterator<Item = Self> {
        let slots = self.elements().iter();
        slots.map(move |slot| self.documents.node(slot))
    }

    fn entries(self) -> impl Iterator<Item = (&'a str, Self)> {
        let found = match *self.slot {
            Slot::Object { table, row } => {
                let found = self.documents.tables.get_index(table as usize);
                found.map(|(keys, table)| (keys, table, row))
            }
            _ => None,
        };
        found.into_iter().flat_map(move |(keys, table, row)| {
            let columns = keys.iter().enumerate();
            columns.filter_map(move |(column, key)| {
                Some((&**key, self.documents.node(table.slot(column, row)?)))
            })
        })
    }
}
