//! Who somebody is, and who else there is.

use serde_json::{Value as Json, json};
use tracker_server::Role;

use crate::{
    requests::{TestServer, Who},
    support::World,
};

const MEMBERS: &str =
    "query($name: String!) { entity(name: $name) { members { username accountType admin } } }";

#[tokio::test]
async fn keys_are_named_by_what_they_begin_with() {
    let world = World::new().await;
    let key = "ann-0123456789abcdefghijklmnopqrstuvwxyz0123";
    let added = world
        .accounts()
        .add_user("ann".parse().unwrap(), false, Some(key.into()));
    added.await.unwrap();
    let ann = world.again("ann").await;
    let query = "{ viewer { apiKeys { edges { node { id name } } } } }";
    let keys = ann.ask(query, json!({})).await;
    let name = keys["viewer"]["apiKeys"]["edges"][0]["node"]["name"].clone();
    let name = name.as_str().unwrap();
    assert!(
        key.starts_with(name) && (3..=8).contains(&name.len()),
        "{name}"
    );
    // Only who makes a key sees all of it.
    let make = "mutation { generateApiKey(input: {}) { apiKey { name } } }";
    let made = ann.ask(make, json!({})).await;
    assert_eq!(
        made["generateApiKey"]["apiKey"]["name"]
            .as_str()
            .unwrap()
            .len(),
        40
    );
}

#[tokio::test]
async fn an_entity_says_who_is_in_it() {
    let world = World::new().await;
    let ann = world.user("ann").await;
    world.user("bob").await;
    let (team, bob) = ("team".parse().unwrap(), "bob".parse().unwrap());
    let ann_name = "ann".parse().unwrap();
    world.accounts().add_team(team, &ann_name).await.unwrap();
    let team = "team".parse().unwrap();
    let set = world.accounts().set_member(&team, &bob, Some(Role::Viewer));
    set.await.unwrap();
    let member =
        |name: &str, admin: bool| json!({"username": name, "accountType": "USER", "admin": admin});
    let own = ann.ask(MEMBERS, json!({"name": "ann"})).await;
    assert_eq!(own["entity"]["members"], json!([member("ann", true)]));
    let team = ann.ask(MEMBERS, json!({"name": "team"})).await;
    let both = json!([member("ann", true), member("bob", false)]);
    assert_eq!(team["entity"]["members"], both);
    // Of others one does not learn whether they exist.
    let other = ann.ask(MEMBERS, json!({"name": "bob"})).await;
    assert_eq!(other["entity"], Json::Null);
}

#[tokio::test]
async fn an_admin_makes_users() {
    let server = TestServer::start().await;
    let make = "mutation($email: String!, $admin: Boolean) { \
         createUser(input: {email: $email, admin: $admin}) { user { username email admin } } }";
    let cat = json!({"email": "cat@example.com", "admin": true});
    let made = server.query(Who::Local, make, cat.clone()).await;
    let user = json!({"username": "cat", "email": "cat@example.com", "admin": true});
    assert_eq!(made["data"]["createUser"]["user"], user);
    let find = "{ users(query: \"cat@\") { edges { node { username apiKeys { edges { node { id } } } } } } }";
    let found = server.data(find, json!({})).await;
    let node = json!({"username": "cat", "apiKeys": {"edges": []}});
    assert_eq!(found["users"]["edges"], json!([{"node": node}]));
    for (who, email, word) in [
        (Who::Local, "cat@example.org", "already"),
        (Who::Local, "cat", "no e-mail address"),
        (Who::Local, "cat@", "no e-mail address"),
        (Who::Local, "../cat@example.com", "holds"),
        (Who::Eve, "dog@example.com", "only an admin"),
    ] {
        let answer = server.query(who, make, json!({"email": email})).await;
        let told = answer["errors"][0]["message"].as_str().unwrap();
        assert!(told.contains(word), "{email}: {told}");
    }
}
