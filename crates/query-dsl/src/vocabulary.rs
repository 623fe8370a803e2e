//! What the names of fields mean.

use crate::{
    Filter, FilterError, On, Operator, Order, Path, Test, Value,
    filter::{Condition, FieldFilter, Member, Place},
};

/// The fields that a kind of document has: what somebody wrote becomes the path under which it lies.
///
/// Errors need no place; [`Filter::resolve`] adds it. Suggestions are written as a user would write
/// them; see [`crate::nearest`].
pub trait Vocabulary {
    /// The path that is meant.
    ///
    /// # Errors
    /// There is no such field.
    fn resolve(&self, path: &Path) -> Result<Path, FilterError>;

    /// Checks an operand of a field, given by its resolved path, and says what stands in its place;
    /// nothing to keep it. It is asked for each member of a list, and not for what is below
    /// `$elemMatch`.
    ///
    /// # Errors
    /// The field has no such values.
    fn operand(
        &self,
        path: &Path,
        operator: Operator,
        value: &Value,
    ) -> Result<Option<Value>, FilterError>;
}

impl Filter {
    /// The filter with paths and operands as a vocabulary has them. What is below `$elemMatch` is
    /// relative to an element and stays.
    ///
    /// # Errors
    /// The vocabulary's, with the place.
    pub fn resolve(&self, vocabulary: &dyn Vocabulary) -> Result<Self, FilterError> {
        let list = |filters: &[Self]| -> Result<Vec<Self>, FilterError> {
            filters.iter().map(|one| one.resolve(vocabulary)).collect()
        };
        Ok(match self {
            Self::And(all) => Self::And(list(all)?),
            Self::Or(any) => Self::Or(list(any)?),
            Self::Nor(none) => Self::Nor(list(none)?),
            Self::Comment(_) => self.clone(),
            Self::Field(field) => {
                let located = |error: FilterError| located(error, &field.place, "", On::Key);
                let path = vocabulary.resolve(&field.path).map_err(located)?;
                let conditions = conditions(&field.conditions, &path, vocabulary)?;
                Self::Field(FieldFilter {
                    path,
                    conditions,
                    place: field.place.clone(),
                })
            }
        })
    }
}

impl Order {
    /// The order with paths as a vocabulary has them.
    ///
    /// # Errors
    /// The vocabulary's; the pointer is the index of the key.
    pub fn resolve(&self, vocabulary: &dyn Vocabulary) -> Result<Self, FilterError> {
        let mut out = self.clone();
        for (index, key) in out.keys.iter_mut().enumerate() {
            let path = vocabulary.resolve(&key.path);
            key.path = path.map_err(|error| error.at(format!("/{index}"), On::Value))?;
        }
        Ok(out)
    }
}

fn located(error: FilterError, place: &Place, part: &str, on: On) -> FilterError {
    error
        .at(format!("{}{part}", place.pointer()), on)
        .in_text(place.text_place())
}

fn conditions(
    list: &[Condition],
    path: &Path,
    vocabulary: &dyn Vocabulary,
) -> Result<Vec<Condition>, FilterError> {
    let one = |condition: &Condition| {
        let place = &condition.place;
        let operator = condition.test.operator();
        let value = |value: &Value| {
            let found = vocabulary.operand(path, operator, value);
            let found = found.map_err(|error| located(error, place, "", On::Value))?;
            Ok::<_, FilterError>(found.unwrap_or_else(|| value.clone()))
        };
        let members = |members: &[Member]| {
            let members = members
                .iter()
                .enumerate()
                .map(|(index, member)| match member {
                    Member::Regex(_) => Ok(member.clone()),
                    Member::Value(value) => {
                        let found = vocabulary.operand(path, operator, value).map_err(|error| {
                            located(error, place, &format!("/{index}"), On::Value)
                        })?;
                        Ok(Member::Value(found.unwrap_or_else(|| value.clone())))
                    }
                });
            members.collect::<Result<Vec<_>, FilterError>>()
        };
        let test = match &condition.test {
            Test::Eq(operand) => Test::Eq(value(operand)?),
            Test::Ne(operand) => Test::Ne(value(operand)?),
            Test::Gt(operand) => Test::Gt(value(operand)?),
            Test::Gte(operand) => Test::Gte(value(operand)?),
            Test::Lt(operand) => Test::Lt(value(operand)?),
            Test::Lte(operand) => Test::Lte(value(operand)?),
            Test::In(list) => Test::In(members(list)?),
            Test::Nin(list) => Test::Nin(members(list)?),
            Test::All(list) => Test::All(members(list)?),
            Test::Not(list) => Test::Not(conditions(list, path, vocabulary)?),
            other => other.clone(),
        };
        Ok(Condition {
            test,
            place: place.clone(),
        })
    };
    list.iter().map(one).collect()
}
