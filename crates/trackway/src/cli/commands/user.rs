use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tracker_model::{EntityName, Timestamp};
use tracker_server::{Accounts, Role};
use tracker_store::{EmbeddedStore, StoreOptions};

use crate::cli::{
    Shell, ask,
    failure::{Exit, Failure, Result},
    output::{Listing, left},
    text,
};

/// Who may use the server over a store. Changes are seen by running servers within a second.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway user add ada                        a user with a new key, printed once
  trackway user add ci --api-key \"$KEY\"        with a key of your own
  trackway user team vision ada --role admin   put ada into the team vision
  trackway user ls
  trackway user rm ada --yes")]
pub(crate) struct UserArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add a user, or with --new-key give one more key
    Add(AddArgs),
    /// List users, their keys and teams
    #[command(visible_alias = "list")]
    Ls,
    /// Delete a user and all keys; what the user logged stays
    Rm(RemoveArgs),
    /// Put a user into a team, which is made if there is none, or take one out
    Team(TeamArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The user's name, and the name of the user's entity
    name: String,
    /// Open every entity to the user
    #[arg(long)]
    admin: bool,
    /// The key, 8 printable characters or more; `-` reads it from standard input
    #[arg(
        long,
        value_name = "KEY",
        env = "TRACKWAY_NEW_API_KEY",
        hide_env_values = true
    )]
    api_key: Option<String>,
    /// Give a user who is there one more key
    #[arg(long, conflicts_with_all = ["admin", "api_key"])]
    new_key: bool,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// The user
    name: String,
    /// Do it without asking
    #[arg(long, short)]
    yes: bool,
}

#[derive(Debug, Args)]
struct TeamArgs {
    /// The team, and the name of its entity
    team: String,
    /// The user
    user: String,
    /// What the user may do
    #[arg(long, value_enum, default_value = "member", conflicts_with = "remove")]
    role: RoleArg,
    /// Take the user out of the team
    #[arg(long)]
    remove: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Read
    Viewer,
    /// Read and write
    Member,
    /// Also say who is in the team
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Member => Self::Member,
            RoleArg::Admin => Self::Admin,
        }
    }
}

#[derive(Debug, Serialize)]
struct Added<'a> {
    schema: &'static str,
    user: &'a str,
    admin: bool,
    api_key: &'a str,
}

#[derive(Debug, Serialize)]
struct UserShape {
    name: String,
    admin: bool,
    created_at: Timestamp,
    teams: Vec<TeamShape>,
    keys: Vec<KeyShape>,
}

#[derive(Debug, Serialize)]
struct TeamShape {
    team: String,
    role: &'static str,
}

#[derive(Debug, Serialize)]
struct KeyShape {
    id: String,
    begins_with: String,
    description: Option<String>,
    created_at: Timestamp,
}

pub(super) async fn run(shell: &mut Shell, args: UserArgs) -> Result<Exit> {
    let dir = shell.settings.store()?.to_owned();
    // Users may be there before anything else is.
    let options = StoreOptions::new().with_create(matches!(args.what, What::Add(_)));
    let store = EmbeddedStore::open(&dir, options).await?;
    let accounts = Accounts::open(Arc::new(store)).await?;
    match args.what {
        What::Add(args) => add(shell, &accounts, args).await,
        What::Ls => list(shell, &accounts).await,
        What::Rm(args) => {
            let name: EntityName = args.name.parse()?;
            if accounts.user(&name).await?.is_none() {
                return Err(Failure::not_found(format!("there is no user {name}")));
            }
            ask::sure(
                shell,
                args.yes,
                &format!("delete user {name} with all keys"),
            )?;
            accounts.delete_user(&name).await?;
            shell.talk.note(format!(
                "user {name} is deleted; running servers know within a second"
            ));
            Ok(Exit::Ok)
        }
        What::Team(args) => {
            let (team, user) = (args.team.parse()?, args.user.parse()?);
            let role = (!args.remove).then_some(args.role.into());
            accounts.set_member(&team, &user, role).await?;
            shell.talk.note(match role {
                Some(role) => format!("{user} is {} of the team {team}", role.as_str()),
                None => format!("{user} is no longer in the team {team}"),
            });
            Ok(Exit::Ok)
        }
    }
}

async fn add(shell: &mut Shell, accounts: &Accounts, args: AddArgs) -> Result<Exit> {
    let name: EntityName = args.name.parse()?;
    let given = match args.api_key.as_deref() {
        Some("-") => Some(ask::secret_from_stdin()?),
        Some(key) => Some(SecretString::from(key)),
        None => None,
    };
    let own = given.is_some();
    let (admin, key) = if args.new_key {
        let (_, key) = accounts.generate_key(&name, None).await?;
        let user = accounts.user(&name).await?;
        (user.is_some_and(|user| user.admin), key)
    } else {
        let (user, key) = accounts.add_user(name.clone(), args.admin, given).await?;
        (user.admin, key)
    };
    if shell.out.is_json() {
        shell.out.document(&Added {
            schema: "trackway.user/1",
            user: name.as_str(),
            admin,
            api_key: key.expose_secret(),
        })?;
    } else if own {
        // Whoever gave it knows it.
        shell.talk.note(format!("user {name} is added"));
    } else {
        shell
            .talk
            .note(format!("user {name} has a new key, shown only now:"));
        shell.out.line(key.expose_secret())?;
    }
    Ok(Exit::Ok)
}

async fn list(shell: &mut Shell, accounts: &Accounts) -> Result<Exit> {
    let columns = [
        left("USER"),
        left("ADMIN"),
        left("CREATED (UTC)"),
        left("KEYS"),
        left("TEAMS"),
    ];
    let (users, teams) = (accounts.users().await?, accounts.teams().await?);
    let terminal = shell.out.terminal;
    let mut listing = Listing::new(&mut shell.out, &columns);
    for user in users {
        let keys = accounts.keys(&user.name).await?;
        let member = teams.iter().filter_map(|team| {
            let role = team.members.get(&user.name)?;
            Some(TeamShape {
                team: team.name.to_string(),
                role: role.as_str(),
            })
        });
        let shape = UserShape {
            name: user.name.to_string(),
            admin: user.admin,
            created_at: user.created_at,
            teams: member.collect(),
            keys: keys
                .into_iter()
                .map(|key| KeyShape {
                    id: key.id,
                    begins_with: key.hint,
                    description: key.description,
                    created_at: key.created_at,
                })
                .collect(),
        };
        listing.row(&shape, || {
            let keys: Vec<_> = shape
                .keys
                .iter()
                .map(|key| format!("{}…", key.begins_with))
                .collect();
            let teams: Vec<_> = shape
                .teams
                .iter()
                .map(|team| format!("{} ({})", team.team, team.role))
                .collect();
            vec![
                shape.name.clone(),
                if shape.admin {
                    "yes".to_owned()
                } else {
                    String::new()
                },
                text::time_cell(shape.created_at, terminal),
                keys.join(" "),
                teams.join(", "),
            ]
        })?;
    }
    if listing.end()? == 0 {
        shell
            .talk
            .note("there are no users; the first start of `trackway serve` makes one");
    }
    Ok(Exit::Ok)
}
