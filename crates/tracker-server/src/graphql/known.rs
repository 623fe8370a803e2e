//! Fields that the schema has not are refused by name, as any GraphQL server does: an answer that
//! silently lacks them would be taken for data.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, OnceLock},
};

use async_graphql::{
    Name, Positioned, SchemaEnv, ServerError, Variables,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextParseQuery},
    parser::types::{
        ExecutableDocument, FragmentDefinition, OperationType, Selection, SelectionSet,
    },
    registry::{MetaType, MetaTypeName, Registry},
};

/// The fields of a schema.
#[derive(Clone)]
pub(crate) struct KnownFields(SchemaEnv);

impl fmt::Debug for KnownFields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KnownFields").finish_non_exhaustive()
    }
}

/// Learns what a schema has: the engine tells its extensions. They are on the way of every field of
/// every answer, so that this one is in a schema that answers nothing else.
#[derive(Clone, Default)]
pub(crate) struct Learner(Arc<OnceLock<SchemaEnv>>);

impl Learner {
    /// What was learned, if the schema was asked anything.
    pub(crate) fn learned(&self) -> Option<KnownFields> {
        self.0.get().cloned().map(KnownFields)
    }
}

impl ExtensionFactory for Learner {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(self.clone())
    }
}

#[async_trait::async_trait]
impl Extension for Learner {
    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> Result<ExecutableDocument, ServerError> {
        self.0.get_or_init(|| ctx.schema_env.clone());
        next.run(ctx, query, variables).await
    }
}

impl KnownFields {
    /// Refuses a document that asks for anything else.
    pub(crate) fn check(&self, document: &ExecutableDocument) -> Result<(), ServerError> {
        let registry = &self.0.registry;
        let check = Check {
            registry,
            fragments: &document.fragments,
        };
        for (_, operation) in document.operations.iter() {
            let root = match operation.node.ty {
                OperationType::Query => Some(registry.query_type.as_str()),
                OperationType::Mutation => registry.mutation_type.as_deref(),
                OperationType::Subscription => None,
            };
            let root = root.ok_or_else(|| {
                ServerError::new("subscriptions are not served", Some(operation.pos))
            })?;
            check.selections(root, &operation.node.selection_set)?;
        }
        Ok(())
    }
}

/// The most selections of a query with its fragments spread out.
const MAX_SELECTIONS: usize = 50_000;
/// How deep selections may be, with fragments spread out.
const MAX_DEPTH: usize = 64;

/// Refuses a document whose fragments multiply or go round in circles. It comes before everything
/// that walks through the document as often as it says.
pub(crate) fn check_size(document: &ExecutableDocument) -> Result<(), ServerError> {
    let mut left = MAX_SELECTIONS;
    for (_, operation) in document.operations.iter() {
        count(document, &operation.node.selection_set, 0, &mut left)?;
    }
    Ok(())
}

fn count(
    document: &ExecutableDocument,
    set: &Positioned<SelectionSet>,
    depth: usize,
    left: &mut usize,
) -> Result<(), ServerError> {
    for selection in &set.node.items {
        *left = left
            .checked_sub(1)
            .filter(|_| depth < MAX_DEPTH)
            .ok_or_else(|| {
                ServerError::new("the query is too large or too deep", Some(selection.pos))
            })?;
        let inner = match &selection.node {
            Selection::Field(field) => Some(&field.node.selection_set),
            Selection::InlineFragment(inline) => Some(&inline.node.selection_set),
            Selection::FragmentSpread(spread) => document
                .fragments
                .get(&spread.node.fragment_name.node)
                .map(|fragment| &fragment.node.selection_set),
        };
        if let Some(inner) = inner {
            count(document, inner, depth + 1, left)?;
        }
    }
    Ok(())
}

struct Check<'a> {
    registry: &'a Registry,
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
}

impl Check<'_> {
    fn selections(&self, on: &str, set: &Positioned<SelectionSet>) -> Result<(), ServerError> {
        for selection in &set.node.items {
            match &selection.node {
                Selection::Field(field) => {
                    let name = field.node.name.node.as_str();
                    if name == "__typename" {
                        continue;
                    }
                    let Some(known) = self.field(on, name) else {
                        let message = format!("unknown field {name:?} of type {on:?}");
                        return Err(ServerError::new(message, Some(field.pos)));
                    };
                    let inner = MetaTypeName::concrete_typename(&known).to_owned();
                    self.selections(&inner, &field.node.selection_set)?;
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let Some(fragment) = self.fragments.get(name) else {
                        let message = format!("unknown fragment {name:?}");
                        return Err(ServerError::new(message, Some(spread.pos)));
                    };
                    let on = fragment.node.type_condition.node.on.node.to_string();
                    self.selections(&on, &fragment.node.selection_set)?;
                }
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let on = condition.map_or(on.to_owned(), |c| c.node.on.node.to_string());
                    self.selections(&on, &inline.node.selection_set)?;
                }
            }
        }
        Ok(())
    }

    /// The type of a field.
    fn field(&self, on: &str, name: &str) -> Option<String> {
        let root = on == self.registry.query_type;
        match (root, name) {
            (true, "__schema") => return Some("__Schema".to_owned()),
            (true, "__type") => return Some("__Type".to_owned()),
            _ => {}
        }
        match self.registry.types.get(on)? {
            MetaType::Object { fields, .. } | MetaType::Interface { fields, .. } => {
                Some(fields.get(name)?.ty.clone())
            }
            _ => None,
        }
    }
}
