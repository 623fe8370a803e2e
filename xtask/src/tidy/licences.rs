//! All that we build on may be used freely.

use super::Metadata;

/// The licences that ask for no more than a notice.
const PERMISSIVE: [&str; 16] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

pub(super) fn check(metadata: &Metadata) -> Vec<String> {
    let mut complaints = Vec::new();
    for package in metadata.foreign() {
        let licence = package.license.as_deref().unwrap_or("no licence");
        if !permissive(licence) {
            complaints.push(format!(
                "{} {} has {licence}",
                package.name, package.version
            ));
        }
    }
    complaints
}

/// Whether one of the choices that an SPDX expression leaves is permissive throughout.
fn permissive(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest) && rest.is_empty()
}

fn any(words: &mut &[&str]) -> bool {
    let mut good = all(words);
    while let Some(("OR", rest)) = first(words) {
        *words = rest;
        good |= all(words);
    }
    good
}

fn all(words: &mut &[&str]) -> bool {
    let mut good = one(words);
    while let Some(("AND", rest)) = first(words) {
        *words = rest;
        good &= one(words);
    }
    good
}

fn one(words: &mut &[&str]) -> bool {
    match first(words) {
        Some(("(", rest)) => {
            *words = rest;
            let good = any(words);
            let closed = matches!(first(words), Some((")", _)));
            *words = words.get(1..).unwrap_or_default();
            good && closed
        }
        Some((name, rest)) => {
            *words = rest;
            let mut name = name.to_owned();
            if let [with @ "WITH", exception, rest @ ..] = *words {
                name = format!("{name} {with} {exception}");
                *words = rest;
            }
            PERMISSIVE.contains(&name.as_str())
        }
        None => false,
    }
}

fn first<'a, 'b>(words: &'a [&'b str]) -> Option<(&'b str, &'a [&'b str])> {
    words.split_first().map(|(word, rest)| (*word, rest))
}

#[cfg(test)]
mod tests {
    use super::permissive;

    #[test]
    fn expressions() {
        for good in [
            "MIT",
            "MIT/Apache-2.0",
            "GPL-3.0 OR MIT",
            "(MIT OR GPL-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT",
            "ISC AND (Apache-2.0 OR ISC)",
        ] {
            assert!(permissive(good), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "(MIT",
            "MIT)",
            "MPL-2.0",
            "MIT WITH odd-exception",
            "no licence",
        ] {
            assert!(!permissive(bad), "{bad}");
        }
    }
}
