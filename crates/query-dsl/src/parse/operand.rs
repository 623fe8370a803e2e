//! The operands of operators.

use super::{Parser, Result};
use crate::{
    ErrorKind, Object, On, Operator, Test, TypeName, Value,
    extended::Extended,
    filter::{BitsMode, Member},
    json::{Raw, RawKey, RawKind},
    number::Number,
    operator::OPTIONS,
    regex::Pattern,
};

impl Parser<'_> {
    pub(super) fn array<'r>(&self, raw: &'r Raw) -> Result<&'r [Raw]> {
        match &raw.kind {
            RawKind::Array(items) => Ok(items),
            _ => Err(self.on_value(raw, ErrorKind::ExpectedArray, "an array belongs here")),
        }
    }

    pub(super) fn string<'r>(&self, raw: &'r Raw) -> Result<&'r str> {
        match &raw.kind {
            RawKind::String(text) => Ok(text),
            _ => Err(self.on_value(raw, ErrorKind::ExpectedString, "a string belongs here")),
        }
    }

    /// A plain value.
    pub(super) fn literal(&mut self, raw: &Raw) -> Result<Value> {
        if let Some(found) = self.extended(raw)? {
            return match found {
                Extended::Value(value) => Ok(value),
                Extended::Regex(_) => Err(self.on_value(
                    raw,
                    ErrorKind::RegexNotAllowed,
                    "a regular expression has no place here",
                )),
            };
        }
        match &raw.kind {
            RawKind::Array(items) => self.deeper(raw, |this| {
                let mut out = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    out.push(this.below(&index.to_string(), |this| this.literal(item))?);
                }
                Ok(Value::Array(out))
            }),
            RawKind::Object(entries) => self.deeper(raw, |this| {
                this.no_operators(entries, ErrorKind::OperatorInValue)?;
                let mut out = Object::with_capacity(entries.len());
                for (key, item) in entries {
                    let value = this.below(&key.text, |this| this.literal(item))?;
                    out.insert(key.text.clone(), value);
                }
                Ok(Value::Object(out))
            }),
            scalar => Ok(scalar.to_scalar()),
        }
    }

    /// What `$comment` says: any value, with nothing asked of it.
    pub(super) fn comment(&mut self, raw: &Raw) -> Result<Value> {
        self.literal(raw)
    }

    /// Refuses keys that begin with `$` in a plain value.
    pub(super) fn no_operators(
        &mut self,
        entries: &[(RawKey, Raw)],
        kind: ErrorKind,
    ) -> Result<()> {
        if self.options.is_lenient() {
            return Ok(());
        }
        let Some((key, _)) = entries.iter().find(|(key, _)| key.text.starts_with('$')) else {
            return Ok(());
        };
        self.below(&key.text, |this| {
            let message = format!("{} in a plain value tests nothing", key.text);
            Err(this.on_key(key, kind, message))
        })
    }

    fn member(&mut self, raw: &Raw) -> Result<Member> {
        match self.extended(raw)? {
            Some(Extended::Regex(pattern)) => Ok(Member::Regex(self.pattern(pattern, raw)?)),
            Some(Extended::Value(value)) => Ok(Member::Value(value)),
            None => self.literal(raw).map(Member::Value),
        }
    }

    pub(super) fn members(&mut self, raw: &Raw) -> Result<Vec<Member>> {
        let items = self.array(raw)?;
        let mut out = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            // Even a lenient server refuses operators here.
            if let RawKind::Object(entries) = &item.kind
                && let Some((key, _)) = entries.first()
                && key.text.starts_with('$')
                && self.extended(item)?.is_none()
            {
                let part = index.to_string();
                let message = format!("{} has no place among plain values", key.text);
                return self.below(&part, |this| {
                    this.below(&key.text, |this| {
                        Err(this.on_key(key, ErrorKind::OperatorInValue, message))
                    })
                });
            }
            out.push(self.below(&index.to_string(), |this| this.member(item))?);
        }
        Ok(out)
    }

    pub(super) fn all(&mut self, raw: &Raw) -> Result<Test> {
        let items = self.array(raw)?;
        let by_element = items
            .first()
            .is_some_and(|first| elem_match(first).is_some());
        if !by_element {
            if let Some((index, item)) = items
                .iter()
                .enumerate()
                .find(|(_, item)| elem_match(item).is_some())
                && let Some((key, _)) = elem_match(item)
            {
                return self.below(&index.to_string(), |this| {
                    this.below(&key.text, |this| {
                        let message = "$elemMatch stands among plain values";
                        Err(this.on_key(key, ErrorKind::MixedElemMatch, message))
                    })
                });
            }
            return self.members(raw).map(Test::All);
        }
        let mut out = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            out.push(self.below(&index.to_string(), |this| {
                let Some((key, operand)) = elem_match(item) else {
                    let message = "$all has $elemMatch in all members, or in none";
                    return Err(this.on_value(item, ErrorKind::MixedElemMatch, message));
                };
                this.below(&key.text, |this| this.elem_match(operand))
            })?);
        }
        Ok(Test::AllElemMatch(out))
    }

    pub(super) fn truth(&self, raw: &Raw) -> Result<bool> {
        match &raw.kind {
            RawKind::Bool(value) => Ok(*value),
            kind if self.options.is_lenient() => Ok(match kind {
                RawKind::Null => false,
                RawKind::Int(i) => *i != 0,
                RawKind::Long(i) => *i != 0,
                RawKind::Double(d) => *d != 0.0,
                _ => true,
            }),
            _ => Err(self.on_value(
                raw,
                ErrorKind::ExpectedBoolean,
                "$exists takes true or false",
            )),
        }
    }

    pub(super) fn types(&mut self, raw: &Raw) -> Result<Vec<TypeName>> {
        let RawKind::Array(items) = &raw.kind else {
            return Ok(vec![self.type_name(raw)?]);
        };
        if items.is_empty() {
            let message = "$type takes at least one type";
            return Err(self.on_value(raw, ErrorKind::EmptyList, message));
        }
        let mut out = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            out.push(self.below(&index.to_string(), |this| this.type_name(item))?);
        }
        Ok(out)
    }

    fn type_name(&self, raw: &Raw) -> Result<TypeName> {
        if let RawKind::String(name) = &raw.kind {
            return TypeName::named(name).ok_or_else(|| {
                self.on_value(
                    raw,
                    ErrorKind::UnknownType,
                    format!("there is no type {name}"),
                )
                .with_suggestion(TypeName::suggestion(name))
            });
        }
        let Some(number) = self.number(raw)? else {
            let message = "the name or the number of a type belongs here";
            return Err(self.on_value(raw, ErrorKind::ExpectedTypeName, message));
        };
        (number.integral().and_then(TypeName::numbered))
            .ok_or_else(|| self.on_value(raw, ErrorKind::UnknownType, "no type has this number"))
    }

    /// A number, also in Extended JSON.
    fn number(&self, raw: &Raw) -> Result<Option<Number>> {
        Ok(match &raw.kind {
            RawKind::Int(i) => Some(Number::Int((*i).into())),
            RawKind::Long(i) => Some(Number::Int(*i)),
            RawKind::Double(d) => Some(Number::Double(*d)),
            _ => match self.extended(raw)? {
                Some(Extended::Value(Value::Int(i))) => Some(Number::Int(i.into())),
                Some(Extended::Value(Value::Long(i))) => Some(Number::Int(i)),
                Some(Extended::Value(Value::Double(d))) => Some(Number::Double(d)),
                _ => None,
            },
        })
    }

    /// A whole number that is not negative.
    fn whole(&self, raw: &Raw, otherwise: ErrorKind, negative: ErrorKind) -> Result<u64> {
        let Some(number) = self.number(raw)? else {
            return Err(self.on_value(raw, otherwise, "a whole number belongs here"));
        };
        let Some(whole) = number.integral() else {
            let message = "a whole number of 64 bits belongs here";
            return Err(self.on_value(raw, ErrorKind::ExpectedInteger, message));
        };
        u64::try_from(whole).map_err(|_| self.on_value(raw, negative, "this must not be negative"))
    }

    pub(super) fn size(&self, raw: &Raw) -> Result<u64> {
        self.whole(raw, ErrorKind::ExpectedInteger, ErrorKind::NegativeSize)
    }

    pub(super) fn modulus(&mut self, raw: &Raw) -> Result<Test> {
        let [divisor, remainder] = self.array(raw)? else {
            let message = "$mod takes a divisor and a remainder";
            return Err(self.on_value(raw, ErrorKind::ModArity, message));
        };
        let divisor_value = self.below("0", |this| this.truncated(divisor))?;
        let remainder = self.below("1", |this| this.truncated(remainder))?;
        if divisor_value == 0 {
            return self.below("0", |this| {
                let message = "the divisor is zero";
                Err(this.on_value(divisor, ErrorKind::ModZeroDivisor, message))
            });
        }
        Ok(Test::Mod {
            divisor: divisor_value,
            remainder,
        })
    }

    fn truncated(&self, raw: &Raw) -> Result<i64> {
        let Some(number) = self.number(raw)? else {
            return Err(self.on_value(raw, ErrorKind::ExpectedNumber, "a number belongs here"));
        };
        number.truncated().ok_or_else(|| {
            let message = "the number is not finite, or beyond 64 bits";
            self.on_value(raw, ErrorKind::ModNotFinite, message)
        })
    }

    pub(super) fn bits(&mut self, operator: Operator, raw: &Raw) -> Result<Test> {
        let mode = match operator {
            Operator::BitsAnySet => BitsMode::AnySet,
            Operator::BitsAllClear => BitsMode::AllClear,
            Operator::BitsAnyClear => BitsMode::AnyClear,
            _ => BitsMode::AllSet,
        };
        let mut mask = 0;
        if let RawKind::Array(positions) = &raw.kind {
            let (other, negative) = (ErrorKind::ExpectedInteger, ErrorKind::NegativeBitPosition);
            for (index, item) in positions.iter().enumerate() {
                let position =
                    self.below(&index.to_string(), |this| this.whole(item, other, negative))?;
                mask |= 1 << position.min(63);
            }
        } else {
            mask = self.whole(raw, ErrorKind::ExpectedMask, ErrorKind::NegativeMask)?;
        }
        Ok(Test::Bits { mode, mask })
    }

    pub(super) fn regex(&mut self, raw: &Raw, siblings: &[(RawKey, Raw)]) -> Result<Test> {
        let mut pattern = match self.extended(raw)? {
            Some(Extended::Regex(pattern)) => pattern,
            _ => Pattern::new(self.string(raw)?, ""),
        };
        if let Some((_, options)) = siblings.iter().find(|(key, _)| key.text == OPTIONS) {
            let end = self.pointer.rfind('/').unwrap_or(0);
            let regex = self.pointer.split_off(end);
            let checked = self.below(OPTIONS, |this| {
                let letters = this.string(options)?;
                if let Some(odd) = Pattern::odd_option(letters) {
                    let message = format!("{odd:?} is no option; the options are i, m, s, x");
                    return Err(this.on_value(options, ErrorKind::BadRegexOption, message));
                }
                Ok(letters)
            });
            self.pointer.push_str(&regex);
            pattern = Pattern::new(pattern.text(), checked?);
        }
        self.pattern(pattern, raw).map(Test::Regex)
    }

    /// Checks a pattern.
    pub(super) fn pattern(&self, pattern: Pattern, raw: &Raw) -> Result<Pattern> {
        let pattern = if self.options.is_lenient() {
            pattern.lenient()
        } else {
            pattern
        };
        pattern.check(self.options.max_pattern).map_err(|error| {
            error
                .at(self.pointer.as_str(), On::Value)
                .in_text(self.place(raw.at))
        })?;
        Ok(pattern)
    }
}

/// The `$elemMatch` that is the only key of a member of `$all`.
fn elem_match(raw: &Raw) -> Option<(&RawKey, &Raw)> {
    let RawKind::Object(entries) = &raw.kind else {
        return None;
    };
    match entries.as_slice() {
        [(key, operand)] if key.text == Operator::ElemMatch.as_str() => Some((key, operand)),
        _ => None,
    }
}
