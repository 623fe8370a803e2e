use std::collections::BTreeMap;

/// A hash over fields, each with its length, so that no two lists of fields give the same bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fingerprint(blake3::Hasher);

impl Fingerprint {
    /// Nothing hashed yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// The next field.
    pub(crate) fn field(&mut self, field: impl AsRef<[u8]>) -> &mut Self {
        let field = field.as_ref();
        self.0.update(&(field.len() as u64).to_le_bytes());
        self.0.update(field);
        self
    }

    /// The next field, which may be missing: that is not the same as being empty.
    pub(crate) fn optional(&mut self, field: Option<impl AsRef<[u8]>>) -> &mut Self {
        match field {
            Some(field) => self.field([1]).field(field),
            None => self.field([0]),
        }
    }

    /// The next field, a number.
    pub(crate) fn number(&mut self, number: i64) -> &mut Self {
        self.field(number.to_le_bytes())
    }

    /// The next field, a number that may be missing.
    pub(crate) fn optional_number(&mut self, number: Option<i64>) -> &mut Self {
        self.optional(number.map(i64::to_le_bytes))
    }

    /// The next field, key-value pairs.
    pub(crate) fn pairs(&mut self, pairs: &BTreeMap<String, String>) -> &mut Self {
        self.number(i64::try_from(pairs.len()).unwrap_or(i64::MAX));
        for (key, value) in pairs {
            self.field(key).field(value);
        }
        self
    }

    /// The hash, 64 hexadecimal digits.
    pub(crate) fn finish(&self) -> String {
        self.0.finalize().to_hex().to_string()
    }
}
