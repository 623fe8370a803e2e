//! What a service says about an error, found in the body of its answer.

use serde_json::Value;

/// The most characters of a message that are kept.
const MAX_CHARACTERS: usize = 300;

/// The words and the code of a service for an error.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ServiceMessage {
    pub(crate) code: Option<String>,
    pub(crate) message: Option<String>,
}

/// Looks for a message in a body: JSON in the usual shapes, XML of an object store, a page of
/// HTML, or plain text.
pub(crate) fn read(body: &[u8]) -> ServiceMessage {
    if let Ok(json) = serde_json::from_slice::<Value>(body) {
        return of_json(&json);
    }
    let text = String::from_utf8_lossy(body);
    if is_html(body) {
        let message = ["title", "h1", "p"]
            .iter()
            .find_map(|tag| element(&text, tag));
        return ServiceMessage {
            code: None,
            message,
        };
    }
    if text.trim_start().starts_with("<?xml") || text.trim_start().starts_with("<Error") {
        return ServiceMessage {
            code: element(&text, "Code"),
            message: element(&text, "Message"),
        };
    }
    ServiceMessage {
        code: None,
        message: text.lines().find_map(one_line),
    }
}

/// Whether a body is a page for people.
pub(crate) fn is_html(body: &[u8]) -> bool {
    let begin = body.trim_ascii_start();
    let begins = |tag: &str| {
        begin
            .get(..tag.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(tag.as_bytes()))
    };
    begins("<!doctype html") || begins("<html") || begins("<head") || begins("<body")
}

/// The title of a page.
pub(crate) fn title(body: &[u8]) -> Option<String> {
    element(&String::from_utf8_lossy(body), "title")
}

/// A text as one line that a terminal can show: without control characters, and cut if long.
pub(crate) fn one_line(text: &str) -> Option<String> {
    let mut line = String::new();
    for word in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if let Some((end, _)) = line.char_indices().nth(MAX_CHARACTERS) {
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    Some(line).filter(|line| !line.is_empty())
}

fn of_json(json: &Value) -> ServiceMessage {
    // GraphQL and others: the first of several.
    if let Some(first) = json.get("errors").and_then(|errors| errors.get(0)) {
        let found = of_json(first);
        if found.message.is_some() {
            return found;
        }
    }
    let code = ["error_code", "code", "errorCode"]
        .iter()
        .find_map(|key| scalar(json.get(key)?))
        .or_else(|| scalar(json.get("extensions")?.get("code")?));
    match json.get("error") {
        // OAuth has a code here and the words elsewhere.
        Some(Value::String(error)) if json.get("error_description").is_some() => {
            return ServiceMessage {
                code: Some(error.clone()),
                message: words(json.get("error_description")),
            };
        }
        Some(error @ Value::Object(_)) => {
            let inner = of_json(error);
            return ServiceMessage {
                code: inner.code.or(code),
                message: inner.message,
            };
        }
        _ => {}
    }
    let message = [
        "message",
        "detail",
        "error",
        "title",
        "msg",
        "reason",
        "description",
    ]
    .iter()
    .find_map(|key| words(json.get(key)))
    .or_else(|| words(Some(json)));
    ServiceMessage { code, message }
}

/// The words in a value: a text, or the first of a list, which may itself have a message.
fn words(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => one_line(text),
        Value::Array(list) => list.first().and_then(|first| match first {
            Value::Object(_) => of_json(first).message,
            other => words(Some(other)),
        }),
        _ => None,
    }
}

fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => one_line(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The text of the first element of this name in HTML or XML.
fn element(text: &str, name: &str) -> Option<String> {
    // ASCII only, so that the places in both are the same.
    let lower = text.to_ascii_lowercase();
    let name = name.to_ascii_lowercase();
    let mut from = 0;
    loop {
        let begin = from + lower.get(from..)?.find(&format!("<{name}"))?;
        let after = begin + 1 + name.len();
        from = after;
        // `<p` begins `<pre` too.
        if !lower.get(after..)?.starts_with(['>', ' ', '\n', '\t']) {
            continue;
        }
        let content = after + lower.get(after..)?.find('>')? + 1;
        let end = content + lower.get(content..)?.find(&format!("</{name}"))?;
        let without_tags: String = text
            .get(content..end)?
            .split('<')
            .enumerate()
            .map(|(place, part)| {
                if place == 0 {
                    part
                } else {
                    part.split_once('>').map_or("", |(_, rest)| rest)
                }
            })
            .collect();
        return one_line(&unescape(&without_tags));
    }
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(body: &str, code: Option<&str>, message: Option<&str>) {
        let found = read(body.as_bytes());
        assert_eq!(
            (found.code.as_deref(), found.message.as_deref()),
            (code, message)
        );
    }

    #[test]
    fn messages_in_their_shapes() {
        check(
            r#"{"error_code": "RESOURCE_DOES_NOT_EXIST", "message": "Run '8f' not found", "sqlstate": "KAM00"}"#,
            Some("RESOURCE_DOES_NOT_EXIST"),
            Some("Run '8f' not found"),
        );
        check(
            r#"{"error": {"code": 403, "message": "no"}}"#,
            Some("403"),
            Some("no"),
        );
        check(
            r#"{"error": "invalid_client", "error_description": "who?"}"#,
            Some("invalid_client"),
            Some("who?"),
        );
        check(
            r#"{"error": "project not found"}"#,
            None,
            Some("project not found"),
        );
        check(
            r#"{"data": null, "errors": [{"message": "denied", "extensions": {"code": "PERMISSION"}}]}"#,
            Some("PERMISSION"),
            Some("denied"),
        );
        check(
            r#"{"type": "about:blank", "title": "Gone", "detail": "It left", "status": 410}"#,
            None,
            Some("It left"),
        );
        check(r#"{"detail": "Not Found"}"#, None, Some("Not Found"));
        check(
            r#"{"detail": [{"loc": ["query"], "msg": "field required"}]}"#,
            None,
            Some("field required"),
        );
        check(r#"["broken"]"#, None, Some("broken"));
        check(r#""broken""#, None, Some("broken"));
        check("{}", None, None);
        check("", None, None);
        check("\n  \nfirst line\nsecond", None, Some("first line"));
        check(
            "<!doctype html>\n<html lang=en>\n<title>404 Not Found</title><h1>Not Found</h1>",
            None,
            Some("404 Not Found"),
        );
        check(
            "<HTML><body><pre>x</pre><P class=a>Tom &amp; <b>Jerry</b></P>",
            None,
            Some("Tom & Jerry"),
        );
        check("<html><title", None, None);
        check(
            "<?xml version=\"1.0\"?><Error><Code>NoSuchKey</Code><Message>gone</Message></Error>",
            Some("NoSuchKey"),
            Some("gone"),
        );
    }

    #[test]
    fn a_message_is_one_short_line_without_control_characters() {
        check(
            "{\"message\": \"a\\u001b[31mb\\nc\"}",
            None,
            Some("a [31mb c"),
        );
        let long = read("ä".repeat(1000).as_bytes()).message.unwrap();
        assert_eq!(long.chars().count(), MAX_CHARACTERS + 1);
    }

    proptest::proptest! {
        #[test]
        fn no_body_is_too_odd(body: Vec<u8>, text in "(<[a-zP/]{0,6}>?|&[a-z]{0,3};|[ -~]|é|\n){0,40}") {
            read(&body);
            let found = read(text.as_bytes());
            proptest::prop_assert!(found.message.is_none_or(|line| !line.is_empty() && !line.contains('\n')));
        }
    }
}
