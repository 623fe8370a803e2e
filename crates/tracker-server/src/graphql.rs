//! `POST /graphql`.
//!
//! The schema is W&B's as far as its SDK asks for it, in its words: a *model* is a project, a
//! *bucket* a run, and the *name* of a run its id.

mod artifact;
mod artifact_writes;
mod collection;
mod exact;
pub(crate) mod known;
mod listing;
mod page;
mod project;
mod reads;
mod report;
mod run;
mod scalars;
mod session;
mod sweep;
mod writes;

use std::sync::Arc;

use async_graphql::{
    EmptySubscription, ErrorExtensionValues, MergedObject, SchemaBuilder, ServerError,
    ValidationMode,
};
use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::{IntoResponse, Response},
};
use tracker_model::{EntityName, ErrorKind};

use crate::{
    accounts::Viewer,
    app::App,
    error::HttpResult,
    http::{Shared, graphql_error, json_text, read_body},
};

pub(crate) use self::report::path_of as report_at;

/// The project of runs that name none.
pub(crate) const UNCATEGORIZED: &str = "uncategorized";

/// What can be asked.
#[derive(Debug, Default, MergedObject)]
#[graphql(name = "Query")]
pub(crate) struct Query(
    session::SessionQuery,
    project::ProjectQuery,
    report::ReportQuery,
    artifact::ArtifactQuery,
    exact::ExactQuery,
    exact::ExactArtifactQuery,
);

/// What can be changed.
#[derive(Debug, Default, MergedObject)]
#[graphql(name = "Mutation")]
pub(crate) struct Mutation(
    session::SessionMutation,
    writes::RunMutation,
    sweep::SweepMutation,
    report::ReportMutation,
    artifact_writes::ArtifactMutation,
    exact::ExactMutation,
    exact::ExactArtifactMutation,
);

pub(crate) type Schema = async_graphql::Schema<Query, Mutation, EmptySubscription>;

/// What resolvers need of a request.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) app: Arc<App>,
    pub(crate) viewer: Arc<Viewer>,
    /// What URLs begin with.
    pub(crate) base: String,
    /// Whether the client sees what is marked as deleted.
    pub(crate) exact: bool,
}

impl Asked {
    /// What the request of a resolver needs.
    pub(crate) fn of<'a>(ctx: &'a async_graphql::Context<'_>) -> GraphResult<&'a Self> {
        ctx.data::<Self>()
    }

    /// The entity named, or the viewer's own.
    pub(crate) fn entity(&self, name: Option<&str>) -> tracker_model::Result<EntityName> {
        match name {
            None | Some("") => Ok(self.viewer.user.name.clone()),
            Some(name) => name.parse(),
        }
    }
}

pub(crate) type GraphResult<T> = async_graphql::Result<T>;

/// The error as a client of GraphQL sees it.
pub(crate) fn told(error: tracker_model::Error) -> async_graphql::Error {
    let mut message = error.message().to_owned();
    if let Some(hint) = error.hint() {
        message = format!("{message} ({hint})");
    }
    let mut extensions = ErrorExtensionValues::default();
    extensions.set("code", format!("{:?}", error.kind()));
    // Only these may be tried again; the client learns it from the status.
    match error.kind() {
        ErrorKind::Unavailable => extensions.set("status", 503),
        ErrorKind::StorageFull => extensions.set("status", 507),
        ErrorKind::RateLimited => extensions.set("status", 429),
        ErrorKind::Unexpected | ErrorKind::Corrupt => {
            tracing::error!(%error, "a query failed");
        }
        _ => {}
    }
    let mut told = async_graphql::Error::new(message);
    told.extensions = Some(extensions);
    told
}

/// `None` for what does not exist.
pub(crate) fn found<T>(result: tracker_model::Result<T>) -> GraphResult<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(told(e)),
    }
}

/// The schema, and what it has.
///
/// # Errors
/// `Unexpected`: the engine did not say it.
pub(crate) async fn schema(
    options: &crate::Options,
) -> tracker_model::Result<(Schema, known::KnownFields)> {
    let learner = known::Learner::default();
    let asked = build(options).extension(learner.clone()).finish();
    asked.execute("{ __typename }").await;
    let known = learner.learned().ok_or_else(|| {
        tracker_model::Error::new(
            ErrorKind::Unexpected,
            "the schema cannot be asked for its fields",
        )
    })?;
    Ok((build(options).finish(), known))
}

fn build(options: &crate::Options) -> SchemaBuilder<Query, Mutation, EmptySubscription> {
    Schema::build(Query::default(), Mutation::default(), EmptySubscription)
        // Clients of other ages send inputs that this schema has not: those are passed over.
        // Fields that it has not are refused by `known`.
        .validation_mode(ValidationMode::Fast)
        .limit_depth(options.max_depth)
        .limit_complexity(options.max_complexity)
        .limit_recursive_depth(options.max_depth.saturating_mul(2))
        .limit_directives(20)
        .disable_suggestions()
}

/// Room for an answer, to begin with.
const ANSWER: usize = 32 << 10;

pub(crate) async fn serve(State(shared): State<Shared>, request: Request) -> HttpResult<Response> {
    let app = &shared.app;
    let viewer = app.viewer(request.headers()).await?;
    let base = app.base_url(request.headers(), request.uri());
    let exact = exact::asked_for(request.headers());
    let (bytes, _room) = read_body(app, request).await?;
    let asked: async_graphql::Request = match serde_json::from_slice(&bytes) {
        Ok(asked) => named(asked),
        Err(e) => {
            let message = format!("the body is not a GraphQL request: {e}");
            return Ok(graphql_error(StatusCode::BAD_REQUEST, &message));
        }
    };
    drop(bytes);
    if asked.query.len() > 256 << 10 {
        let message = "the query has more than 256 KiB";
        return Ok(graphql_error(StatusCode::BAD_REQUEST, message));
    }
    let asked = with_defaults(asked);
    let data = Asked {
        app: app.clone(),
        viewer,
        base,
        exact,
    };
    let mut asked = asked;
    let document = asked.parsed_query();
    let checked = document.and_then(|document| {
        known::check_size(document)?;
        shared.known.check(document)
    });
    if let Err(error) = checked {
        tracing::info!(error = error.message, "a query was refused");
        return Ok(graphql_error(StatusCode::OK, &error.message));
    }
    let operation = asked.operation_name.clone().unwrap_or_default();
    let answer = shared.schema.execute(asked.data(data)).await;
    if let Some(error) = answer.errors.first() {
        tracing::info!(
            operation,
            error = error.message,
            "a query was answered with an error"
        );
    }
    tracing::debug!(operation, "asked");
    let status = status_of(&answer.errors);
    let mut text = Vec::with_capacity(ANSWER);
    match serde_json::to_writer(&mut text, &answer) {
        Ok(()) => Ok(json_text(status, text)),
        Err(e) => {
            tracing::error!(error = %e, "an answer cannot be written");
            let message = "the answer cannot be written";
            Ok(graphql_error(StatusCode::INTERNAL_SERVER_ERROR, message).into_response())
        }
    }
}

/// The SDK sends an empty name for an operation without one.
fn named(mut asked: async_graphql::Request) -> async_graphql::Request {
    asked.operation_name = asked.operation_name.filter(|name| !name.is_empty());
    asked
}

/// Sets the variables that are left out to the defaults of the operation. The engine knows these
/// in arguments, but not in directives such as `@include(if: $aliases)`.
fn with_defaults(mut asked: async_graphql::Request) -> async_graphql::Request {
    let wanted = asked.operation_name.clone();
    // A query that cannot be read is refused later.
    let Ok(document) = asked.parsed_query() else {
        return asked;
    };
    let mut defaults = Vec::new();
    for (name, operation) in document.operations.iter() {
        if wanted.is_some() && wanted.as_deref() != name.map(|name| name.as_str()) {
            continue;
        }
        for variable in &operation.node.variable_definitions {
            if let Some(value) = &variable.node.default_value {
                defaults.push((variable.node.name.node.clone(), value.node.clone()));
            }
        }
    }
    for (name, value) in defaults {
        asked.variables.entry(name).or_insert(value);
    }
    asked
}

fn status_of(errors: &[ServerError]) -> StatusCode {
    let status =
        errors
            .iter()
            .find_map(|error| match error.extensions.as_ref()?.get("status")? {
                async_graphql::Value::Number(status) => u16::try_from(status.as_u64()?).ok(),
                _ => None,
            });
    status
        .and_then(|status| StatusCode::from_u16(status).ok())
        .unwrap_or(StatusCode::OK)
}

#[cfg(test)]
mod tests {
    use async_graphql::{Request, Value, Variables};
    use serde_json::json;

    use super::with_defaults;

    #[test]
    fn variables_have_their_defaults() {
        let query = "query A($x: Int = 1, $y: Int = 2, $z: Int) { a } query B($x: Int = 3) { a }";
        let given = Variables::from_json(json!({"y": 7}));
        let asked = Request::new(query).operation_name("A").variables(given);
        let variables = with_defaults(asked).variables;
        let value = |name: &str| variables.get(name).cloned();
        assert_eq!(value("x"), Some(Value::from(1)));
        assert_eq!(value("y"), Some(Value::from(7)));
        assert_eq!(value("z"), None);
        assert!(with_defaults(Request::new("{")).variables.is_empty());
    }
}
