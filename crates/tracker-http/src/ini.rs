//! Files of `key = value` lines in `[sections]`, read as Python's `configparser` reads them.
//!
//! Sections and their values are strings; keys are without case; what stands in `[DEFAULT]` holds
//! in every section; lines that begin with `#` or `;` are comments; a line that is indented more
//! than its key goes on with the value. Values are not interpolated.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read as _;
use std::path::Path;

use crate::{Error, ErrorKind, Result};

/// A larger file is something else.
const MAX_BYTES: u64 = 1 << 20;

const DEFAULT: &str = "DEFAULT";

/// The contents of a file.
#[derive(Clone, Default)]
pub struct Ini {
    sections: BTreeMap<String, BTreeMap<String, String>>,
}

impl Ini {
    /// Reads a file.
    ///
    /// # Errors
    /// `InvalidInput` when the file cannot be read or understood, `NotFound` if there is none.
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::parse(&read_text(path, MAX_BYTES)?)
            .map_err(|error| Error::new(error.kind(), format!("read {}: {error}", path.display())))
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// `InvalidInput` with the number of the line that cannot be understood. What stands there is
    /// not shown, since it may be a secret.
    pub fn parse(text: &str) -> Result<Self> {
        let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut section: Option<String> = None;
        // The key that an indented line goes on with, and its indent.
        let mut open: Option<(String, usize)> = None;
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        for (number, line) in text.lines().enumerate() {
            let wrong = |what: &str| {
                let message = format!("line {}: {what}", number + 1);
                Error::new(ErrorKind::InvalidInput, message)
            };
            let content = line.trim();
            if content.is_empty() || content.starts_with(['#', ';']) {
                continue;
            }
            let indent = line.len() - line.trim_start().len();
            let values = section
                .as_ref()
                .and_then(|section| sections.get_mut(section));
            if let (Some((key, begin)), Some(values)) = (&open, values)
                && indent > *begin
            {
                let value = values.entry(key.clone()).or_default();
                if !value.is_empty() {
                    value.push('\n');
                }
                value.push_str(content);
                continue;
            }
            open = None;
            if let Some(rest) = content.strip_prefix('[') {
                let (name, _) = rest
                    .split_once(']')
                    .ok_or_else(|| wrong("a section must end with `]`"))?;
                sections.entry(name.to_owned()).or_default();
                section = Some(name.to_owned());
                continue;
            }
            let (key, value) = content
                .split_once(['=', ':'])
                .ok_or_else(|| wrong("`key = value` is expected"))?;
            let key = key.trim().to_lowercase();
            if key.is_empty() {
                return Err(wrong("a key must stand before the value"));
            }
            let values = section
                .as_ref()
                .and_then(|section| sections.get_mut(section))
                .ok_or_else(|| {
                    wrong("a value must stand in a section, after a line like `[name]`")
                })?;
            values.insert(key.clone(), value.trim().to_owned());
            open = Some((key, indent));
        }
        Ok(Self { sections })
    }

    /// The value of a key in a section, or else in `[DEFAULT]`. `None` as well if there is no such
    /// section, but `DEFAULT` always is.
    pub fn get(&self, section: &str, key: &str) -> Option<&str> {
        let key = key.to_lowercase();
        let own = if section == DEFAULT {
            None
        } else {
            Some(self.sections.get(section)?)
        };
        own.and_then(|own| own.get(&key))
            .or_else(|| self.sections.get(DEFAULT)?.get(&key))
            .map(String::as_str)
    }

    /// Whether there is such a section.
    pub fn has_section(&self, section: &str) -> bool {
        self.sections.contains_key(section)
    }

    /// The names of the sections in alphabetical order.
    pub fn sections(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }
}

/// Values may be secrets: only names are shown.
impl fmt::Debug for Ini {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sections = self
            .sections
            .iter()
            .map(|(name, values)| (name, values.keys()));
        f.debug_map()
            .entries(sections.map(|(name, keys)| (name, keys.collect::<Vec<_>>())))
            .finish()
    }
}

/// Reads a text file that must be small.
pub(crate) fn read_text(path: &Path, max_bytes: u64) -> Result<String> {
    let failed = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            _ => ErrorKind::InvalidInput,
        };
        Error::new(kind, format!("read {}", path.display()))
            .with_detail(error.to_string())
            .with_source(error)
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(max_bytes + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > max_bytes {
        let message = format!(
            "read {}: it is larger than {max_bytes} bytes",
            path.display()
        );
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATABRICKS: &str = "; written by hand\n\
        [DEFAULT]\nhost = https://default.example\ntoken=  dapi:with=signs  \n\n\
        # another\n[prod]\nHost: https://prod.example\n[odd name]\nclient_id=x\n   y\n";

    #[test]
    fn values_are_found_with_their_defaults() {
        let ini = Ini::parse(DATABRICKS).unwrap();
        assert_eq!(ini.get("DEFAULT", "host"), Some("https://default.example"));
        assert_eq!(ini.get("prod", "host"), Some("https://prod.example"));
        assert_eq!(ini.get("prod", "TOKEN"), Some("dapi:with=signs"));
        assert_eq!(ini.get("odd name", "client_id"), Some("x\ny"));
        assert_eq!(ini.get("none", "host"), None);
        assert_eq!(ini.get("prod", "none"), None);
        assert!(ini.has_section("prod") && !ini.has_section("none"));
        assert_eq!(
            ini.sections().collect::<Vec<_>>(),
            ["DEFAULT", "odd name", "prod"]
        );
        assert_eq!(Ini::parse("").unwrap().get("DEFAULT", "host"), None);
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_not_shown() {
        for (text, line) in [
            ("[a]\ncanary", 2),
            ("canary=x", 1),
            ("[canary", 1),
            ("[a]\n= canary", 2),
        ] {
            let error = Ini::parse(text).unwrap_err();
            assert!(
                error.to_string().starts_with(&format!("line {line}: ")),
                "{error}"
            );
            assert!(!format!("{error} {error:?}").contains("canary"));
        }
    }

    #[test]
    fn values_are_not_shown() {
        let shown = format!("{:?}", Ini::parse("[a]\ntoken=canary").unwrap());
        assert!(
            shown.contains("token") && !shown.contains("canary"),
            "{shown}"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = Ini::read("no/such/file").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(
            error.to_string().starts_with("read no/such/file: "),
            "{error}"
        );
    }

    proptest::proptest! {
        #[test]
        fn no_file_is_too_odd(text in "([a-z\\[\\]=:#; \n]|é){0,60}") {
            let _ = Ini::parse(&text);
        }

        #[test]
        fn what_is_written_is_read(
            section in "[a-z]{1,8}",
            pairs in proptest::collection::btree_map("[a-z_]{1,8}", "[!-~]([ -~]{0,8}[!-~])?", 0..6),
        ) {
            let mut text = format!("[{section}]\n");
            for (key, value) in &pairs {
                text.push_str(&format!("{key} = {value}\n"));
            }
            let ini = Ini::parse(&text).unwrap();
            for (key, value) in &pairs {
                proptest::prop_assert_eq!(ini.get(&section, key), Some(value.as_str()));
            }
        }
    }
}
