//! Questions to a server and what it answers.

use std::{borrow::Cow, fmt::Display};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value as Json, json, value::RawValue};
use tracker_http::{HttpClient, Url};
use tracker_model::{Error, ErrorKind, Result};

use super::failure::failure;

/// What stands before a field that only our own server knows: other servers read a comment.
const EXTENSION: &str = "# trackway: ";

/// Sends questions.
#[derive(Debug, Clone)]
pub(super) struct GraphQl {
    http: HttpClient,
    url: Url,
    extended: bool,
}

/// Whether a request may be sent again when its answer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Twice is as good as once.
    Safe,
    /// The second would not find what the first found.
    Unsafe,
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Box<RawValue>>,
    #[serde(default)]
    errors: Option<Vec<Told>>,
}

/// An error as a server tells it.
#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    message: String,
    #[serde(default)]
    extensions: Option<Json>,
}

impl GraphQl {
    pub(super) fn new(http: HttpClient, url: Url) -> Self {
        Self {
            http,
            url,
            extended: false,
        }
    }

    /// Says that the server knows the fields of ours.
    pub(super) fn extend(&mut self) {
        self.extended = true;
    }

    /// Asks for something. `doing` begins the messages of errors.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        doing: impl Display,
        document: &str,
        variables: impl Serialize,
    ) -> Result<T> {
        self.send(doing, document, variables, Repeat::Safe).await
    }

    /// Asks for something, or changes something.
    pub(super) async fn send<T: DeserializeOwned>(
        &self,
        doing: impl Display,
        document: &str,
        variables: impl Serialize,
        repeat: Repeat,
    ) -> Result<T> {
        let document = match self.extended {
            true => Cow::Owned(document.replace(EXTENSION, "")),
            false => Cow::Borrowed(document),
        };
        let body = json!({ "query": document, "variables": variables });
        let mut request = self.http.post(self.url.clone()).json_body(&body);
        if repeat == Repeat::Safe {
            request = request.idempotent();
        }
        let answer: Answer = request.json().await.map_err(|e| failure(e, &doing))?;
        if let Some(told) = answer.errors.filter(|errors| !errors.is_empty()) {
            return Err(refusal(&told).context(doing));
        }
        let data = answer.data.as_deref().map_or("null", RawValue::get);
        serde_json::from_str(data).map_err(|e| {
            let message = format!("{doing}: the server answered something else than was asked");
            Error::new(ErrorKind::Corrupt, message).with_source(e)
        })
    }
}

/// The error for what a server tells. Ours says the kind, others have only their words.
fn refusal(errors: &[Told]) -> Error {
    let said: Vec<&str> = errors.iter().map(|told| told.message.as_str()).collect();
    let code = errors
        .iter()
        .find_map(|told| told.extensions.as_ref()?.get("code")?.as_str());
    let kind = code.and_then(kind_of_code);
    let kind = kind.unwrap_or_else(|| kind_of_words(&said.join(" ").to_ascii_lowercase()));
    let message: String = said.join("; ").chars().take(500).collect();
    Error::new(kind, message)
}

fn kind_of_code(code: &str) -> Option<ErrorKind> {
    use ErrorKind as K;
    let kinds = [
        K::NotFound,
        K::AlreadyExists,
        K::Unauthenticated,
        K::PermissionDenied,
        K::RateLimited,
        K::InvalidInput,
        K::Unsupported,
        K::Conflict,
        K::Corrupt,
        K::StorageFull,
        K::Unavailable,
        K::Unexpected,
    ];
    kinds.into_iter().find(|kind| format!("{kind:?}") == code)
}

fn kind_of_words(words: &str) -> ErrorKind {
    let has = |some: &[&str]| some.iter().any(|part| words.contains(part));
    if has(&["permission denied", "not authorized", "forbidden"]) {
        ErrorKind::PermissionDenied
    } else if has(&[
        "unauthorized",
        "not logged in",
        "unauthenticated",
        "invalid api key",
    ]) {
        ErrorKind::Unauthenticated
    } else if has(&[
        "cannot query field",
        "unknown field",
        "unknown argument",
        "unknown type",
    ]) {
        ErrorKind::Unsupported
    } else if has(&["could not find", "not found", "does not exist"]) {
        ErrorKind::NotFound
    } else if has(&["rate limit"]) {
        ErrorKind::RateLimited
    } else if has(&["already exists", "duplicate"]) {
        ErrorKind::AlreadyExists
    } else if has(&["invalid", "must be", "expected"]) {
        ErrorKind::InvalidInput
    } else {
        ErrorKind::Unexpected
    }
}

/// The nodes of a connection, and where the next page begins.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Connection<T> {
    #[serde(default = "Vec::new")]
    edges: Vec<Edge<T>>,
    page_info: Option<PageInfo>,
}

#[derive(Debug, Deserialize)]
struct Edge<T> {
    node: Option<T>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PageInfo {
    end_cursor: Option<String>,
    #[serde(default)]
    has_next_page: bool,
}

impl PageInfo {
    /// The cursor of the next page, if there is one.
    pub(super) fn next(&self) -> Option<String> {
        let cursor = self.end_cursor.clone().filter(|_| self.has_next_page);
        cursor.filter(|cursor| !cursor.is_empty())
    }
}

impl<T> Connection<T> {
    pub(super) fn nodes(self) -> impl Iterator<Item = T> {
        self.edges.into_iter().filter_map(|edge| edge.node)
    }

    /// The cursor of the next page, if there is one.
    pub(super) fn next(&self) -> Option<String> {
        self.page_info.as_ref().and_then(PageInfo::next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(message: &str, code: Option<&str>) -> ErrorKind {
        refusal(&[Told {
            message: message.to_owned(),
            extensions: code.map(|code| json!({ "code": code })),
        }])
        .kind()
    }

    #[test]
    fn kinds_of_errors() {
        assert_eq!(told("x", Some("Conflict")), ErrorKind::Conflict);
        assert_eq!(told("x", Some("SOMETHING")), ErrorKind::Unexpected);
        let said = "Cannot query field \"trackway\" on type \"Query\".";
        assert_eq!(told(said, None), ErrorKind::Unsupported);
        assert_eq!(
            told("could not find project a/b", None),
            ErrorKind::NotFound
        );
        assert_eq!(
            told("permission denied to access a/b", None),
            ErrorKind::PermissionDenied
        );
    }

    #[test]
    fn connections() {
        let text = r#"{"edges":[{"node":1},{"node":null}],"pageInfo":{"endCursor":"c","hasNextPage":true},"more":0}"#;
        let page: Connection<u8> = serde_json::from_str(text).unwrap();
        assert_eq!(page.next().as_deref(), Some("c"));
        assert_eq!(page.nodes().collect::<Vec<_>>(), [1]);
        let page: Connection<u8> = serde_json::from_str(r#"{"edges":[]}"#).unwrap();
        assert_eq!(page.next(), None);
    }
}
