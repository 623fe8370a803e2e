//! Fields that the schema has not are refused by name, as any GraphQL server does: an answer that
//! silently lacks them would be taken for data.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{
    Name, Positioned, ServerError, Variables,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextParseQuery},
    parser::types::{
        ExecutableDocument, FragmentDefinition, OperationType, Selection, SelectionSet,
    },
    registry::{MetaType, MetaTypeName, Registry},
};

/// Checks the fields of each query against the schema.
pub(crate) struct KnownFields;

impl ExtensionFactory for KnownFields {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for KnownFields {
    async fn parse_query(
        &self,
        ctx: &ExtensionContext<'_>,
        query: &str,
        variables: &Variables,
        next: NextParseQuery<'_>,
    ) -> Result<ExecutableDocument, ServerError> {
        let document = next.run(ctx, query, variables).await?;
        let registry = &ctx.schema_env.registry;
        let mut check = Check {
            registry,
            fragments: &document.fragments,
            left: 50_000,
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
            check.selections(root, &operation.node.selection_set, 0)?;
        }
        Ok(document)
    }
}

struct Check<'a> {
    registry: &'a Registry,
    fragments: &'a HashMap<Name, Positioned<FragmentDefinition>>,
    /// How many selections may still be looked at: fragments that spread each other multiply.
    left: usize,
}

impl Check<'_> {
    fn selections(
        &mut self,
        on: &str,
        set: &Positioned<SelectionSet>,
        depth: usize,
    ) -> Result<(), ServerError> {
        for selection in &set.node.items {
            self.left = self
                .left
                .checked_sub(1)
                .filter(|_| depth < 64)
                .ok_or_else(|| {
                    ServerError::new("the query is too large or too deep", Some(selection.pos))
                })?;
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
                    self.selections(&inner, &field.node.selection_set, depth + 1)?;
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let Some(fragment) = self.fragments.get(name) else {
                        let message = format!("unknown fragment {name:?}");
                        return Err(ServerError::new(message, Some(spread.pos)));
                    };
                    let on = fragment.node.type_condition.node.on.node.to_string();
                    self.selections(&on, &fragment.node.selection_set, depth + 1)?;
                }
                Selection::InlineFragment(inline) => {
                    let condition = inline.node.type_condition.as_ref();
                    let on = condition.map_or(on.to_owned(), |c| c.node.on.node.to_string());
                    self.selections(&on, &inline.node.selection_set, depth + 1)?;
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
