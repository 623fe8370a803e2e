//! Parts of documents.

use crate::{FilterError, Kind, Node, Object, Path, Value, node::to_value};

/// Which fields of a document are kept, as MongoDB's projections say it.
///
/// What is kept stays where it is, in the document's order. A path leads through the elements of
/// arrays: of those, objects and arrays stay and others do not. An object on the way stays, even if
/// nothing in it does; any other value on the way does not. A number is a key, never an element.
/// Where one path leads through the end of another, the wider says what happens.
///
/// ```
/// use query_dsl::{Projection, Value};
///
/// let run = Value::parse_json(r#"{"name": "r1", "config": {"lr": 0.1, "seed": 3}, "tags": []}"#)?;
/// let kept = Projection::including(["tags", "config.lr"])?.apply(&run);
/// assert_eq!(kept.to_json(), r#"{"config":{"lr":0.1},"tags":[]}"#);
/// let kept = Projection::excluding(["tags", "config.lr"])?.apply(&run);
/// assert_eq!(kept.to_json(), r#"{"name":"r1","config":{"seed":3}}"#);
/// # Ok::<(), query_dsl::FilterError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    paths: Vec<Path>,
    includes: bool,
}

impl Projection {
    /// Keeps these fields alone; of none, nothing.
    ///
    /// # Errors
    /// A path is none.
    pub fn including<P: Into<Path>>(
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Self, FilterError> {
        Self::new(paths, true)
    }

    /// Keeps all but these fields.
    ///
    /// # Errors
    /// A path is none.
    pub fn excluding<P: Into<Path>>(
        paths: impl IntoIterator<Item = P>,
    ) -> Result<Self, FilterError> {
        Self::new(paths, false)
    }

    fn new<P: Into<Path>>(
        paths: impl IntoIterator<Item = P>,
        includes: bool,
    ) -> Result<Self, FilterError> {
        let paths: Vec<Path> = paths.into_iter().map(Into::into).collect();
        paths.iter().try_for_each(Path::check)?;
        Ok(Self { paths, includes })
    }

    /// What is kept of a document. The paths' ways to be met are those of filters; see
    /// [`Path::with_joined_keys`] and [`Path::with_optional_part`].
    pub fn apply<'a, N: Node<'a>>(&self, document: N) -> Value {
        let ways = self.paths.iter().map(|path| Way { path, at: 0 }).collect();
        self.part(document, ways)
            .unwrap_or_else(|| Value::Object(Object::new()))
    }

    /// What is kept of a part to which some paths have led.
    fn part<'a, N: Node<'a>>(&self, node: N, ways: Vec<Way<'_>>) -> Option<Value> {
        let ways: Vec<Way<'_>> = ways.into_iter().map(|way| way.at(node)).collect();
        if ways.is_empty() || ways.iter().any(Way::ends) {
            return (self.includes != ways.is_empty()).then(|| to_value(node));
        }
        match node.kind() {
            Kind::Object => {
                let keys: Vec<Vec<(String, usize)>> =
                    ways.iter().map(|way| way.path.keys_at(way.at)).collect();
                let kept = node.entries().filter_map(|(key, child)| {
                    let ways = ways.iter().zip(&keys).flat_map(|(way, keys)| {
                        let taken = keys.iter().filter(|(found, _)| found == key);
                        taken.map(|(_, taken)| way.after(*taken))
                    });
                    Some((key.to_owned(), self.part(child, ways.collect())?))
                });
                Some(Value::Object(kept.collect::<Object>()))
            }
            Kind::Array => {
                let kept = node
                    .items()
                    .filter_map(|item| self.part(item, ways.clone()));
                Some(Value::Array(kept.collect()))
            }
            _ => (!self.includes).then(|| to_value(node)),
        }
    }
}

/// A path that was followed up to a part.
#[derive(Clone, Copy)]
struct Way<'p> {
    path: &'p Path,
    at: usize,
}

impl Way<'_> {
    fn ends(&self) -> bool {
        self.at == self.path.parts().len()
    }

    fn after(self, taken: usize) -> Self {
        Self {
            at: self.at + taken,
            ..self
        }
    }

    /// Without the part that is left out at a node.
    fn at<'a, N: Node<'a>>(self, node: N) -> Self {
        let optional = self.path.optional_part() == Some(self.at);
        let keys = if optional {
            self.path.keys_at(self.at)
        } else {
            Vec::new()
        };
        if optional && keys.iter().all(|(key, _)| node.get(key).is_none()) {
            self.after(1)
        } else {
            self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lazy::JsonText;

    #[track_caller]
    fn check<P: Into<Path> + Clone>(paths: &[P], document: &str, included: &str, rest: &str) {
        let text = JsonText::new(document);
        let kept = Projection::including(paths.to_vec()).unwrap();
        assert_eq!(kept.apply(text.root()).to_json(), included);
        let kept = Projection::excluding(paths.to_vec()).unwrap();
        assert_eq!(kept.apply(text.root()).to_json(), rest);
    }

    #[test]
    fn fields_stay_where_they_are() {
        let document = r#"{"b":{"x":1,"y":[2]},"a":1,"c":null}"#;
        check(
            &["a", "b.y"],
            document,
            r#"{"b":{"y":[2]},"a":1}"#,
            r#"{"b":{"x":1},"c":null}"#,
        );
        check(
            &["c", "b", "b.y"],
            document,
            r#"{"b":{"x":1,"y":[2]},"c":null}"#,
            r#"{"a":1}"#,
        );
        check(&["nosuch", "b.z"], document, r#"{"b":{}}"#, document);
        check(&["a.b"], document, "{}", document);
        check::<&str>(&[], document, "{}", document);
    }

    #[test]
    fn arrays_are_looked_into() {
        let document = r#"{"a":[{"b":1,"c":2},3,[{"b":4}],{"c":5}]}"#;
        check(
            &["a.b"],
            document,
            r#"{"a":[{"b":1},[{"b":4}],{}]}"#,
            r#"{"a":[{"c":2},3,[{}],{"c":5}]}"#,
        );
        check(&["a.0"], document, r#"{"a":[{},[{}],{}]}"#, document);
    }

    #[test]
    fn paths_are_met_as_by_filters() {
        let joined = Path::new(["c", "a", "b"]).with_joined_keys(1);
        let document = r#"{"c":{"a.b":1,"a":{"b":2,"x":3}}}"#;
        check(
            &[joined],
            document,
            r#"{"c":{"a.b":1,"a":{"b":2}}}"#,
            r#"{"c":{"a":{"x":3}}}"#,
        );
        let optional = Path::new(["c", "k", "value"]).with_optional_part(2);
        let (with, without) = (r#"{"c":{"k":{"value":1,"x":2}}}"#, r#"{"c":{"k":{"x":2}}}"#);
        check(
            std::slice::from_ref(&optional),
            with,
            r#"{"c":{"k":{"value":1}}}"#,
            without,
        );
        check(&[optional], without, without, r#"{"c":{}}"#);
    }

    #[test]
    fn what_is_no_path_is_refused() {
        assert!(Projection::including(["a..b"]).is_err());
        assert!(Projection::excluding([""]).is_err());
    }
}
