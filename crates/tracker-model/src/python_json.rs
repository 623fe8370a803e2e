use serde_json::Value as Json;

const WORDS: [&str; 3] = ["NaN", "Infinity", "-Infinity"];
/// Stands before such a word in a string of its own.
const MARK: char = '\0';

/// Reads JSON as Python writes it: the numbers that are not finite are the bare words `NaN`,
/// `Infinity` and `-Infinity`, which [`python_word`] finds. `None` if it is not even that.
pub fn python_json(text: &str) -> Option<Json> {
    serde_json::from_str(text)
        .or_else(|_| serde_json::from_str(&with_strings(text)))
        .ok()
}

/// The bare word that a value of [`python_json`] is. Strings with the same letters are not.
pub fn python_word(value: &Json) -> Option<&str> {
    let word = value.as_str()?.strip_prefix(MARK)?;
    WORDS.contains(&word).then_some(word)
}

/// The text with strings for bare words.
fn with_strings(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    let mut rest = text;
    let (mut in_string, mut escaped) = (false, false);
    while let Some(c) = rest.chars().next() {
        let found = WORDS
            .into_iter()
            .find(|w| !in_string && rest.starts_with(w));
        if let Some(word) = found {
            out.push_str("\"\\u0000");
            out.push_str(word);
            out.push('"');
            rest = rest.get(word.len()..).unwrap_or_default();
            continue;
        }
        match c {
            '"' if !escaped => in_string = !in_string,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        out.push(c);
        rest = rest.get(c.len_utf8()..).unwrap_or_default();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_outside_of_strings() {
        let read = python_json(
            r#"{"a": [NaN, -Infinity, 1], "NaN": "Infinity \" NaN \\", "b": Infinity}"#,
        )
        .unwrap();
        assert_eq!(python_word(&read["a"][0]), Some("NaN"));
        assert_eq!(python_word(&read["a"][1]), Some("-Infinity"));
        assert_eq!(python_word(&read["b"]), Some("Infinity"));
        assert_eq!(
            (python_word(&read["NaN"]), read["NaN"].as_str()),
            (None, Some("Infinity \" NaN \\"))
        );
        assert_eq!(python_json("1").unwrap(), 1);
        for text in ["", "{", "nan", "[NaN", "NaNs", "\"x"] {
            assert_eq!(python_json(text), None, "{text}");
        }
    }
}
