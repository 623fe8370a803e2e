//! Who asks, and what the server is.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tracker_model::{EntityName, Error, ErrorKind, Timestamp};

use super::{
    Asked, GraphResult, found,
    page::connection,
    project::{ProjectConnection, projects_of},
    scalars::{DateTime, Json},
    told,
};
use crate::{
    accounts::{ApiKey, Role, Team, User},
    ids,
};

connection!(UserConnection, UserEdge, UserNode);
connection!(ApiKeyConnection, ApiKeyEdge, ApiKeyNode);
connection!(TeamConnection, TeamEdge, EntityNode);
connection!(OrganizationConnection, OrganizationEdge, Organization);

/// Somebody who may use the server.
#[derive(Debug, Clone)]
pub(crate) enum UserNode {
    /// With an account here.
    Account(User),
    /// Named by a run, with or without an account.
    Named(String),
}

#[Object(name = "User")]
impl UserNode {
    async fn id(&self) -> ID {
        ID(ids::encode("User", &[self.text()]))
    }

    async fn name(&self) -> &str {
        self.text()
    }

    async fn username(&self) -> &str {
        self.text()
    }

    async fn email(&self) -> Option<&str> {
        match self {
            Self::Account(user) => user.email.as_deref(),
            Self::Named(_) => None,
        }
    }

    async fn admin(&self) -> bool {
        matches!(self, Self::Account(user) if user.admin)
    }

    /// JSON text.
    async fn flags(&self) -> &str {
        r#"{"code_saving_enabled":true}"#
    }

    /// The entity that the user logs to unless told otherwise.
    async fn entity(&self) -> &str {
        self.text()
    }

    async fn deleted_at(&self) -> Option<DateTime> {
        None
    }

    async fn photo_url(&self) -> Option<String> {
        None
    }

    async fn account_type(&self) -> Option<String> {
        None
    }

    async fn api_keys(&self, ctx: &Context<'_>) -> GraphResult<ApiKeyConnection> {
        let asked = Asked::of(ctx)?;
        let mut keys = Vec::new();
        if let Self::Account(user) = self
            && (user.name == asked.viewer.user.name || asked.viewer.user.admin)
        {
            let known = asked.app.accounts.keys(&user.name).await.map_err(told)?;
            keys.extend(known.into_iter().map(|key| ApiKeyNode { key, name: None }));
        }
        Ok(ApiKeyConnection::all(keys))
    }

    async fn teams(&self, ctx: &Context<'_>) -> GraphResult<TeamConnection> {
        // The SDK takes these for all entities that the user may log to.
        let entities = self.entities(Asked::of(ctx)?).await?;
        Ok(TeamConnection::all(entities))
    }

    /// Those of the entities that they share.
    async fn organizations(&self, ctx: &Context<'_>) -> GraphResult<Vec<Organization>> {
        let entities = self.entities(Asked::of(ctx)?).await?;
        Ok(entities.into_iter().map(Organization::of).collect())
    }

    async fn projects(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        first: Option<i64>,
    ) -> GraphResult<ProjectConnection> {
        let asked = Asked::of(ctx)?;
        let entity: EntityName = self.text().parse().map_err(told)?;
        projects_of(asked, &entity, after.as_deref(), first).await
    }
}

impl UserNode {
    /// The teams that they are in, as far as the viewer may read them, and their own entity.
    async fn entities(&self, asked: &Asked) -> GraphResult<Vec<EntityNode>> {
        let Self::Account(user) = self else {
            return Ok(Vec::new());
        };
        let teams = asked.app.accounts.teams().await.map_err(told)?;
        let mut nodes: Vec<_> = teams
            .into_iter()
            .filter(|team| team.members.contains_key(&user.name))
            .filter(|team| asked.viewer.may_read(&team.name))
            .map(|team| EntityNode::new(team.name))
            .collect();
        nodes.push(EntityNode::new(user.name.clone()));
        nodes.dedup_by(|a, b| a.0 == b.0);
        Ok(nodes)
    }

    fn text(&self) -> &str {
        match self {
            Self::Account(user) => user.name.as_str(),
            Self::Named(name) => name,
        }
    }
}

/// A key. Its name is the key itself where it was just made, and else what it begins with.
#[derive(Debug)]
pub(crate) struct ApiKeyNode {
    key: ApiKey,
    name: Option<String>,
}

#[Object(name = "ApiKey")]
impl ApiKeyNode {
    async fn id(&self) -> ID {
        ID(ids::encode("ApiKey", &[&self.key.id]))
    }

    async fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.key.hint.clone())
    }

    async fn description(&self) -> Option<&str> {
        self.key.description.as_deref()
    }
}

/// Who owns projects: a user or a team; and whether it stands for an organization.
#[derive(Debug, Clone)]
pub(crate) struct EntityNode(EntityName, bool);

#[Object(name = "Entity")]
impl EntityNode {
    async fn id(&self) -> ID {
        ID(ids::encode("Entity", &[self.0.as_str()]))
    }

    async fn name(&self) -> &str {
        self.0.as_str()
    }

    async fn available(&self) -> bool {
        false
    }

    async fn photo_url(&self) -> Option<String> {
        None
    }

    async fn limits(&self) -> Json {
        Json("{}".to_owned())
    }

    async fn read_only(&self, ctx: &Context<'_>) -> GraphResult<bool> {
        Ok(!Asked::of(ctx)?.viewer.may_write(&self.0))
    }

    async fn read_only_admin(&self) -> bool {
        false
    }

    async fn is_team(&self, ctx: &Context<'_>) -> GraphResult<bool> {
        Ok(self.team(ctx).await?.is_some())
    }

    async fn entity_type(&self, ctx: &Context<'_>) -> GraphResult<&'static str> {
        Ok(if self.1 {
            "organization"
        } else if self.team(ctx).await?.is_some() {
            "team"
        } else {
            "user"
        })
    }

    async fn private_only(&self) -> bool {
        true
    }

    async fn storage_bytes(&self) -> i64 {
        0
    }

    async fn code_saving_enabled(&self) -> bool {
        true
    }

    async fn default_access(&self) -> &'static str {
        "PRIVATE"
    }

    async fn is_paid(&self) -> bool {
        false
    }

    async fn members(&self, ctx: &Context<'_>) -> GraphResult<Vec<Member>> {
        let members = match self.team(ctx).await? {
            Some(team) => team.members.into_iter().collect(),
            // A user's own entity has one member, who says everything there.
            None if self.owner(ctx).await?.is_some() => vec![(self.0.clone(), Role::Admin)],
            None => Vec::new(),
        };
        let node = |(name, role)| Member { name, role };
        Ok(members.into_iter().map(node).collect())
    }

    async fn organization(&self) -> Organization {
        Organization::of(self.clone())
    }

    async fn user(&self, ctx: &Context<'_>) -> GraphResult<Option<UserNode>> {
        Ok(self.owner(ctx).await?.map(UserNode::Account))
    }

    async fn projects(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        first: Option<i64>,
    ) -> GraphResult<ProjectConnection> {
        projects_of(Asked::of(ctx)?, &self.0, after.as_deref(), first).await
    }
}

impl EntityNode {
    pub(crate) fn new(name: EntityName) -> Self {
        Self(name, false)
    }

    /// The user whose own entity it is.
    async fn owner(&self, ctx: &Context<'_>) -> GraphResult<Option<User>> {
        let accounts = &Asked::of(ctx)?.app.accounts;
        accounts.user(&self.0).await.map_err(told)
    }

    async fn team(&self, ctx: &Context<'_>) -> GraphResult<Option<Team>> {
        Asked::of(ctx)?
            .app
            .accounts
            .team(&self.0)
            .await
            .map_err(told)
    }
}

/// Somebody in a team.
#[derive(Debug)]
pub(crate) struct Member {
    name: EntityName,
    role: Role,
}

#[Object]
impl Member {
    async fn id(&self) -> ID {
        ID(ids::encode("User", &[self.name.as_str()]))
    }

    async fn admin(&self) -> bool {
        self.role == Role::Admin
    }

    async fn role(&self) -> &'static str {
        self.role.as_str()
    }

    async fn pending(&self) -> bool {
        false
    }

    async fn email(&self) -> Option<String> {
        None
    }

    async fn username(&self) -> &str {
        self.name.as_str()
    }

    async fn name(&self) -> &str {
        self.name.as_str()
    }

    async fn photo_url(&self) -> Option<String> {
        None
    }

    /// A person, not a service.
    async fn account_type(&self) -> &'static str {
        "USER"
    }

    async fn api_key(&self) -> Option<String> {
        None
    }
}

/// Whose registries there are. There are no companies above entities here: each is its own, so that
/// a registry is a project of it, with portfolios.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct Organization {
    id: ID,
    name: String,
    org_entity: Option<EntityNode>,
    core_weave_organization_id: Option<String>,
    feature_flags: Vec<FeatureFlag>,
}

impl Organization {
    fn of(entity: EntityNode) -> Self {
        let name = entity.0.as_str().to_owned();
        Self {
            id: ID(ids::encode("Organization", &[&name])),
            name,
            org_entity: Some(EntityNode(entity.0, true)),
            core_weave_organization_id: None,
            feature_flags: Vec::new(),
        }
    }
}

/// Something that is tried out with some companies.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct FeatureFlag {
    ramp_key: String,
    is_enabled: bool,
}

/// What the server can do.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerInfo;

/// Something that a client may use if it is there.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct ServerFeature {
    name: String,
    is_enabled: bool,
}

/// The newest version of a server that users run themselves.
#[derive(Debug, Clone, SimpleObject)]
pub(crate) struct LocalVersionInfo {
    out_of_date: bool,
    latest_version_string: String,
    version_on_this_instance_string: String,
}

/// What clients may rely on. What is not named here they do the simplest way.
const FEATURES: &[&str] = &[
    "SWEEPS_LOCAL_SCHEDULER",
    "UPDATE_RUN_STATE",
    "STRUCTURED_CONSOLE_LOGS",
    "FILESTREAM_GZIP",
    "LARGE_FILENAMES",
    "CLIENT_IDS",
    "TOTAL_COUNT_IN_FILE_CONNECTION",
    "ARTIFACT_TAGS",
    "ARTIFACT_COLLECTIONS_FILTERING_SORTING",
    "SWEEPS_QUERY_FILTERING",
    "PROJECT_ARTIFACT_COLLECTION_MEMBERSHIP",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILES",
    "ARTIFACT_COLLECTION_MEMBERSHIP_FILE_DOWNLOAD_HANDLER",
    "ARTIFACT_MEMBERSHIP_IN_LINK_ARTIFACT_RESPONSE",
    "USE_ARTIFACT_WITH_ENTITY_AND_PROJECT_INFORMATION",
];

#[Object]
impl ServerInfo {
    async fn features(&self) -> Vec<ServerFeature> {
        let on = |name: &&str| ServerFeature {
            name: (*name).to_owned(),
            is_enabled: true,
        };
        FEATURES.iter().map(on).collect()
    }

    async fn cli_version_info(&self) -> Json {
        Json::of(&json!({"max_cli_version": "99.0.0", "min_cli_version": "0.15.0"}))
    }

    async fn latest_local_version_info(&self) -> Option<LocalVersionInfo> {
        None
    }
}

/// # Errors
/// `PermissionDenied` for those who may not say who is in the team.
fn manage(asked: &Asked, team: &EntityName) -> GraphResult<()> {
    asked.viewer.read(team).map_err(told)?;
    match asked.viewer.may_manage(team) {
        true => Ok(()),
        false => {
            let message = format!("only an admin of the team {team} says who is in it");
            Err(told(Error::new(ErrorKind::PermissionDenied, message)))
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct SessionQuery;

#[Object]
impl SessionQuery {
    async fn viewer(&self, ctx: &Context<'_>) -> GraphResult<Option<UserNode>> {
        Ok(Some(UserNode::Account(Asked::of(ctx)?.viewer.user.clone())))
    }

    async fn server_info(&self) -> Option<ServerInfo> {
        Some(ServerInfo)
    }

    async fn entity(
        &self,
        ctx: &Context<'_>,
        name: Option<String>,
    ) -> GraphResult<Option<EntityNode>> {
        let asked = Asked::of(ctx)?;
        let entity = asked.entity(name.as_deref()).map_err(told)?;
        found(asked.viewer.read(&entity).map(|()| EntityNode::new(entity)))
    }

    async fn organization(
        &self,
        ctx: &Context<'_>,
        name: String,
    ) -> GraphResult<Option<Organization>> {
        let asked = Asked::of(ctx)?;
        let Ok(entity) = name.parse::<EntityName>() else {
            return Ok(None);
        };
        if !asked.viewer.may_read(&entity) {
            return Ok(None);
        }
        let node = EntityNode::new(entity);
        let known = node.owner(ctx).await?.is_some() || node.team(ctx).await?.is_some();
        Ok(known.then(|| Organization::of(node)))
    }

    /// The users whose name or address begins with the text.
    async fn users(&self, ctx: &Context<'_>, query: Option<String>) -> GraphResult<UserConnection> {
        let asked = Asked::of(ctx)?;
        let query = query.unwrap_or_default();
        let users = asked.app.accounts.users().await.map_err(told)?;
        let fits = |user: &User| {
            user.name.as_str().starts_with(&query)
                || user
                    .email
                    .as_ref()
                    .is_some_and(|email| email.starts_with(&query))
        };
        let nodes = users.into_iter().filter(fits).map(UserNode::Account);
        Ok(UserConnection::all(nodes.collect()))
    }
}

#[derive(Debug, InputObject)]
pub(crate) struct GenerateApiKeyInput {
    description: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct GenerateApiKeyPayload {
    api_key: Option<ApiKeyNode>,
}

#[derive(Debug, InputObject)]
pub(crate) struct DeleteApiKeyInput {
    id: String,
}

/// Whether it was done.
#[derive(Debug, SimpleObject)]
pub(crate) struct Success {
    pub(crate) success: bool,
    pub(crate) client_mutation_id: Option<String>,
}

impl Success {
    pub(crate) fn yes() -> Self {
        Self {
            success: true,
            client_mutation_id: None,
        }
    }
}

#[derive(Debug, InputObject)]
pub(crate) struct CreateUserInput {
    email: String,
    admin: Option<bool>,
}

#[derive(SimpleObject)]
pub(crate) struct CreateUserPayload {
    user: Option<UserNode>,
}

#[derive(Debug, InputObject)]
pub(crate) struct CreateTeamInput {
    team_name: String,
    team_admin_user_name: Option<String>,
}

#[derive(SimpleObject)]
pub(crate) struct CreateTeamPayload {
    entity: Option<EntityNode>,
}

#[derive(Debug, InputObject)]
pub(crate) struct CreateInviteInput {
    entity_name: String,
    username: Option<String>,
    email: Option<String>,
    admin: Option<bool>,
}

/// Somebody who was put into a team.
#[derive(Debug, SimpleObject)]
pub(crate) struct Invite {
    id: ID,
    name: String,
    email: Option<String>,
    created_at: DateTime,
    to_user: Option<UserNode>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct CreateInvitePayload {
    invite: Option<Invite>,
}

#[derive(Debug, InputObject)]
pub(crate) struct DeleteInviteInput {
    id: Option<String>,
    entity_name: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct SessionMutation;

#[Object]
impl SessionMutation {
    async fn generate_api_key(
        &self,
        ctx: &Context<'_>,
        input: GenerateApiKeyInput,
    ) -> GraphResult<GenerateApiKeyPayload> {
        let asked = Asked::of(ctx)?;
        let user = &asked.viewer.user.name;
        let made = asked.app.accounts.generate_key(user, input.description);
        let (known, key) = made.await.map_err(told)?;
        Ok(GenerateApiKeyPayload {
            api_key: Some(ApiKeyNode {
                key: known,
                name: Some(key.expose_secret().to_owned()),
            }),
        })
    }

    async fn delete_api_key(
        &self,
        ctx: &Context<'_>,
        input: DeleteApiKeyInput,
    ) -> GraphResult<Success> {
        let asked = Asked::of(ctx)?;
        let [id] = ids::decode("ApiKey", &input.id).map_err(told)?;
        let user = &asked.viewer.user.name;
        let success = asked
            .app
            .accounts
            .delete_key(user, &id)
            .await
            .map_err(told)?;
        Ok(Success {
            success,
            client_mutation_id: None,
        })
    }

    /// Puts a user into a team, at once.
    async fn create_invite(
        &self,
        ctx: &Context<'_>,
        input: CreateInviteInput,
    ) -> GraphResult<CreateInvitePayload> {
        let asked = Asked::of(ctx)?;
        let team: EntityName = input.entity_name.parse().map_err(told)?;
        manage(asked, &team)?;
        let Some(name) = input.username else {
            let error = Error::invalid("this server sends no mail")
                .with_hint("name a user who has an account here");
            return Err(told(error));
        };
        let name: EntityName = name.parse().map_err(told)?;
        let role = match input.admin {
            Some(true) => Role::Admin,
            _ => Role::Member,
        };
        let accounts = &asked.app.accounts;
        accounts
            .set_member(&team, &name, Some(role))
            .await
            .map_err(told)?;
        let user = accounts.user(&name).await.map_err(told)?;
        let invite = Invite {
            id: ID(ids::encode("User", &[name.as_str()])),
            name: name.to_string(),
            email: input.email,
            created_at: DateTime(Timestamp::now()),
            to_user: user.map(UserNode::Account),
        };
        Ok(CreateInvitePayload {
            invite: Some(invite),
        })
    }

    /// Takes a user out of a team.
    async fn delete_invite(
        &self,
        ctx: &Context<'_>,
        input: DeleteInviteInput,
    ) -> GraphResult<Success> {
        let asked = Asked::of(ctx)?;
        let (Some(id), Some(team)) = (input.id, input.entity_name) else {
            return Err(told(Error::invalid("it takes a member's id and a team")));
        };
        let team: EntityName = team.parse().map_err(told)?;
        manage(asked, &team)?;
        let [name] = ids::decode("User", &id).map_err(told)?;
        let name = name.parse().map_err(told)?;
        let removed = asked.app.accounts.set_member(&team, &name, None);
        removed.await.map_err(told)?;
        Ok(Success::yes())
    }

    /// Makes a user without a key, named as the address is before the `@`.
    async fn create_user(
        &self,
        ctx: &Context<'_>,
        input: CreateUserInput,
    ) -> GraphResult<CreateUserPayload> {
        let asked = Asked::of(ctx)?;
        if !asked.viewer.user.admin {
            let message = "only an admin makes users";
            return Err(told(Error::new(ErrorKind::PermissionDenied, message)));
        }
        let admin = input.admin.unwrap_or(false);
        let made = asked.app.accounts.add_user_by_email(input.email, admin);
        Ok(CreateUserPayload {
            user: Some(UserNode::Account(made.await.map_err(told)?)),
        })
    }

    async fn create_team(
        &self,
        ctx: &Context<'_>,
        input: CreateTeamInput,
    ) -> GraphResult<CreateTeamPayload> {
        let asked = Asked::of(ctx)?;
        let own = asked.viewer.user.name.clone();
        let admin = match input.team_admin_user_name {
            Some(name) => name.parse().map_err(told)?,
            None => own.clone(),
        };
        if admin != own && !asked.viewer.user.admin {
            let message = "only an admin makes teams for others";
            return Err(told(Error::new(ErrorKind::PermissionDenied, message)));
        }
        let name: EntityName = input.team_name.parse().map_err(told)?;
        let team = asked
            .app
            .accounts
            .add_team(name, &admin)
            .await
            .map_err(told)?;
        Ok(CreateTeamPayload {
            entity: Some(EntityNode::new(team.name)),
        })
    }
}
