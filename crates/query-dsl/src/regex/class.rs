//! Classes of characters.

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

use super::translate::{Escaped, Scanner};
use crate::FilterError;

type Result<T, E = FilterError> = std::result::Result<T, E>;

const POSIX: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
    "space", "upper", "word", "xdigit",
];

/// Translates a class after its opening bracket. Inside, `[`, `&&`, `--` and `~~` are plain
/// characters, which they are not in the `regex` crate.
pub(super) fn bracket(scanner: &mut Scanner<'_>, start: usize) -> Result<()> {
    let negated = scanner.take("^");
    scanner.write(if negated { "[^" } else { "[" });
    let inside = scanner.written();
    let mut sets = Vec::new();
    let mut first = true;
    loop {
        let at = scanner.at;
        scanner.mark(at);
        match scanner.peek() {
            None => return Err(scanner.bad(start, "the class is not closed")),
            Some(']') if !first => {
                scanner.at += 1;
                if sets.is_empty() {
                    scanner.write("]");
                } else {
                    let rest = scanner.unwrite(inside);
                    scanner.unwrite(inside - if negated { 2 } else { 1 });
                    let merged = merged(&rest, &sets, negated);
                    let merged = merged.ok_or_else(|| scanner.bad(start, "the class is none"))?;
                    scanner.write(&merged);
                }
                return Ok(());
            }
            Some(_) => {}
        }
        first = false;
        let Some(low) = item(scanner, &mut sets)? else {
            let rest = scanner.rest();
            if rest.starts_with('-') && !rest.starts_with("-]") {
                return Err(scanner.bad(scanner.at, "a range begins with a class"));
            }
            continue;
        };
        let rest = scanner.rest();
        if !rest.starts_with('-') || rest.starts_with("-]") || rest == "-" {
            scanner.literal(low);
            continue;
        }
        let dash = scanner.at;
        scanner.at += 1;
        scanner.literal(low);
        scanner.write("-");
        match item(scanner, &mut sets)? {
            Some(high) if low <= high => scanner.literal(high),
            Some(_) => return Err(scanner.bad(at, "the range is the wrong way round")),
            None => return Err(scanner.bad(dash, "a range ends with a class")),
        }
    }
}

/// A class of which only the rest knows no case: `\w` is ASCII, and the case of `s` and `k` is not.
fn merged(rest: &str, sets: &[String], negated: bool) -> Option<String> {
    let mut class = ClassUnicode::empty();
    let rest = (!rest.is_empty()).then(|| format!("(?i)[{rest}]"));
    for part in rest.iter().chain(sets) {
        match regex_syntax::parse(part).ok()?.kind() {
            HirKind::Class(Class::Unicode(more)) => class.union(more),
            HirKind::Literal(one) => {
                let chars = std::str::from_utf8(&one.0).ok()?.chars();
                class.union(&ClassUnicode::new(
                    chars.map(|c| ClassUnicodeRange::new(c, c)),
                ));
            }
            _ => {}
        }
    }
    if negated {
        class.negate();
    }
    let ranges = class.ranges().iter();
    let ranges =
        ranges.map(|r| format!(r"\x{{{:x}}}-\x{{{:x}}}", r.start() as u32, r.end() as u32));
    let ranges: String = ranges.collect();
    Some(if ranges.is_empty() {
        // Nothing is both.
        r"[^\x00-\x{10FFFF}]".to_owned()
    } else {
        format!("(?-i:[{ranges}])")
    })
}

/// One character, which the caller writes; or a class, which is written here or goes to `sets`.
fn item(scanner: &mut Scanner<'_>, sets: &mut Vec<String>) -> Result<Option<char>> {
    let start = scanner.at;
    match scanner.next() {
        Some('[') => match scanner.peek() {
            Some(':') => posix(scanner, start),
            Some('.' | '=') => Err(scanner.unsupported(start, "a collating element")),
            _ => Ok(Some('[')),
        },
        Some('\\') => match scanner.escaped(start)? {
            Escaped::Char(c) => Ok(Some(c)),
            Escaped::Set(set, negated) => {
                let sign = if negated { "^" } else { "" };
                let set = format!("[{sign}{set}]");
                if scanner.scope().insensitive {
                    sets.push(set);
                } else {
                    scanner.write(&set);
                }
                Ok(None)
            }
            Escaped::Property(property) => {
                scanner.write(&property);
                Ok(None)
            }
        },
        Some(c) => Ok(Some(c)),
        None => Err(scanner.bad(start, "the class is not closed")),
    }
}

/// `[:name:]` at its colon; a bracket without the closing `:]` is a plain one.
fn posix(scanner: &mut Scanner<'_>, start: usize) -> Result<Option<char>> {
    let rest = scanner.rest();
    let name = rest.get(1..).and_then(|rest| rest.split_once(":]"));
    let Some((name, _)) = name else {
        return Ok(Some('['));
    };
    let plain = name.strip_prefix('^').unwrap_or(name);
    if !plain.bytes().all(|b| b.is_ascii_lowercase()) {
        return Ok(Some('['));
    }
    if !POSIX.contains(&plain) {
        return Err(scanner.bad(start, &format!("there is no class {plain}")));
    }
    let written = format!("[:{name}:]");
    scanner.at += written.len() - 1;
    scanner.write(&written);
    Ok(None)
}
