//! Ways into documents.

use crate::{Key, Kind, Node, Path, path::index_of};

/// A path made ready to be followed.
#[derive(Debug)]
pub(super) struct Route {
    steps: Vec<Step>,
}

#[derive(Debug)]
struct Step {
    /// The keys that go on from here and how many steps each takes, longest first.
    keys: Vec<(Key, usize)>,
    /// The element of an array that the part names.
    index: Option<usize>,
    /// It is skipped where it leads nowhere.
    optional: bool,
}

impl Route {
    pub(super) fn new(path: &Path) -> Self {
        let parts = path.parts().iter().enumerate();
        let steps = parts.map(|(at, part)| Step {
            keys: path
                .keys_at(at)
                .into_iter()
                .map(|(key, taken)| (Key::new(key), taken))
                .collect(),
            index: index_of(part),
            optional: path.optional_part() == Some(at),
        });
        Self {
            steps: steps.collect(),
        }
    }

    /// The end of the way, where one leads through objects alone: a value, or nothing where a key
    /// is missing. Nothing at all where there may be several ends.
    #[inline]
    pub(super) fn end<'a, N: Node<'a>>(&self, root: N) -> Option<Option<N>> {
        let (mut node, mut steps) = (root, self.steps.as_slice());
        while let Some((step, rest)) = steps.split_first() {
            let child = match step.keys.as_slice() {
                [(key, _)] => node.get_key(key).map(|child| (child, rest)),
                keys => one_of(node, keys, steps)?,
            };
            match child {
                Some((child, rest)) => (node, steps) = (child, rest),
                None if matches!(node.kind(), Kind::Array) => return None,
                None if step.optional => steps = rest,
                None => return Some(None),
            }
        }
        Some(Some(node))
    }

    /// Whether some candidate passes; see [`super::Source::any`].
    pub(super) fn any<'a, N: Node<'a>>(
        &self,
        root: N,
        unwind: bool,
        passes: &mut impl FnMut(Option<N>) -> bool,
    ) -> bool {
        // An array as document is one with the keys 0, 1, …: an element of `$elemMatch`.
        if let (Kind::Array, Some((step, rest))) = (root.kind(), self.steps.split_first()) {
            return match step.index.and_then(|index| root.item(index)) {
                Some(item) => walk(item, rest, false, unwind, passes),
                None => passes(None),
            };
        }
        walk(root, &self.steps, false, unwind, passes)
    }
}

/// The child at one of some keys with the steps behind it, or nothing if there is none. Nothing at
/// all if there are several.
fn one_of<'a, 's, N: Node<'a>>(
    node: N,
    keys: &[(Key, usize)],
    steps: &'s [Step],
) -> Option<Option<(N, &'s [Step])>> {
    let mut children = keys.iter().filter_map(|(key, taken)| {
        Some((node.get_key(key)?, steps.get(*taken..).unwrap_or_default()))
    });
    let first = children.next();
    children.next().is_none().then_some(first)
}

/// Goes on from a node. `by_index`: it was reached as an element that a number names. The depth is
/// that of the path.
fn walk<'a, N: Node<'a>>(
    node: N,
    steps: &[Step],
    by_index: bool,
    unwind: bool,
    passes: &mut impl FnMut(Option<N>) -> bool,
) -> bool {
    let kind = node.kind();
    let Some((step, rest)) = steps.split_first() else {
        return passes(Some(node))
            || (unwind
                && !by_index
                && matches!(kind, Kind::Array)
                && node.items().any(|item| passes(Some(item))));
    };
    match kind {
        Kind::Object => {
            let mut found = false;
            for (key, taken) in &step.keys {
                if let Some(child) = node.get_key(key) {
                    found = true;
                    let rest = steps.get(*taken..).unwrap_or_default();
                    if walk(child, rest, false, unwind, passes) {
                        return true;
                    }
                }
            }
            match (found, step.optional) {
                (true, _) => false,
                (false, true) => walk(node, rest, by_index, unwind, passes),
                (false, false) => passes(None),
            }
        }
        _ if step.optional => walk(node, rest, by_index, unwind, passes),
        Kind::Array => {
            let objects = node
                .items()
                .filter(|item| matches!(item.kind(), Kind::Object));
            for item in objects {
                if walk(item, steps, false, unwind, passes) {
                    return true;
                }
            }
            let named = step.index.and_then(|index| node.item(index));
            named.is_some_and(|item| walk(item, rest, true, unwind, passes))
        }
        _ => !by_index && passes(None),
    }
}
