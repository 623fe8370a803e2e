//! Collections of artifacts: their names, lists of them, and versions that several runs write.

use std::sync::Arc;

use axum::http::StatusCode;
use serde_json::{Value as Json, json};
use tracker_model::{
    ArtifactDraft, ArtifactStore, CollectionPatch, CollectionPath, CollectionStore, Content,
    MemoryTracker, bytes_of,
};
use tracker_server::{Options, Role};

use crate::{
    artifacts::{Files, ada, aliases, commit, create, log, md5, named},
    support::{Client, World},
};

async fn collection(client: &Client, name: &str) -> Json {
    let query = "query Collection($name: String!) { project(name: \"p\", entityName: \"ada\") {
        artifactCollection(name: $name) { __typename id name description
            defaultArtifactType { name } artifacts { edges { version node { id digest } } } } } }";
    let mut data = client.ask(query, json!({"name": name})).await;
    data["project"]["artifactCollection"].take()
}

async fn update(client: &Client, of: &Json, name: &str) -> Result<Json, String> {
    let kind = of["__typename"].as_str().unwrap();
    let query = format!(
        "mutation Update($input: Update{kind}Input!) {{ update{kind}(input: $input) {{
            artifactCollection {{ id name description }} }} }}"
    );
    let id = match kind {
        "ArtifactSequence" => "artifactSequenceID",
        _ => "artifactPortfolioID",
    };
    let input = json!({id: of["id"], "name": name, "description": ""});
    let mut data = client.try_ask(&query, json!({"input": input})).await?;
    Ok(data[format!("update{kind}")]["artifactCollection"].take())
}

async fn link(client: &Client, id: &Json, portfolio: &str) {
    let query = "mutation Link($input: LinkArtifactInput!) { linkArtifact(input: $input) { versionIndex } }";
    let input = json!({"artifactID": id, "artifactPortfolioName": portfolio, "entityName": "ada",
        "projectName": "p", "aliases": [{"alias": "best"}]});
    client.ask(query, json!({"input": input})).await;
}

async fn memberships(client: &Client, id: &Json) -> Vec<String> {
    let query = "query Where($id: ID!) { artifact(id: $id) { artifactMemberships { edges { node {
        artifactCollection { name } } } } } }";
    let data = client.ask(query, json!({"id": id})).await;
    let edges = data["artifact"]["artifactMemberships"]["edges"].as_array();
    let name = |edge: &Json| {
        edge["node"]["artifactCollection"]["name"]
            .as_str()
            .map(str::to_owned)
    };
    edges.unwrap().iter().filter_map(name).collect()
}

#[tokio::test]
async fn collections_go_on_under_another_name() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let files = Files::from([("a", "1")]);
    let (made, _) = log(&ada, "data", &files, &["latest"]).await;
    link(&ada, &made["id"], "shelf").await;
    let (data, shelf) = (
        collection(&ada, "data").await,
        collection(&ada, "shelf").await,
    );

    let renamed = update(&ada, &data, "better").await.unwrap();
    assert_eq!(
        (&renamed["name"], &renamed["description"]),
        (&json!("better"), &json!(""))
    );
    update(&ada, &shelf, "board").await.unwrap();
    assert_eq!(named(&ada, "data:latest").await, Json::Null);
    for name in ["better:latest", "better:v0", "board:best"] {
        assert_eq!(named(&ada, name).await["id"], made["id"], "{name}");
    }
    assert_eq!(memberships(&ada, &made["id"]).await, ["better", "board"]);
    // Who learnt an id before goes on with it.
    let moved = "mutation Move($input: MoveArtifactSequenceInput!) {
        moveArtifactSequence(input: $input) { artifactCollection { name defaultArtifactType { name } } } }";
    let input = json!({"artifactSequenceID": data["id"], "destinationArtifactTypeName": "model"});
    let moved = ada.ask(moved, json!({"input": input})).await;
    assert_eq!(
        moved["moveArtifactSequence"]["artifactCollection"],
        json!({"name": "better", "defaultArtifactType": {"name": "model"}})
    );

    let board = collection(&ada, "board").await;
    assert_eq!(
        board["defaultArtifactType"]["name"], "model",
        "what it links is of that type"
    );

    // The old name is free; what is there is not taken for what was.
    let (other, _) = log(&ada, "data", &Files::from([("b", "2")]), &["latest"]).await;
    assert_eq!(other["versionIndex"], 0);
    assert_eq!(named(&ada, "better:v0").await["id"], made["id"]);
    let again = collection(&ada, "data").await;
    let taken = update(&ada, &again, "better").await.unwrap_err();
    assert!(taken.contains("exists already"), "{taken}");
    update(&ada, &again, "third").await.unwrap();
    let ids = |name| collection(&ada, name);
    let id = async |name| ids(name).await["artifacts"]["edges"][0]["node"]["id"].clone();
    assert_eq!(
        (id("better").await, id("third").await),
        (made["id"].clone(), other["id"].clone())
    );

    // The same contents are the same version there, too.
    let same = create(&ada, "third", &Files::from([("b", "2")]), &["same"])
        .await
        .unwrap();
    assert_eq!(
        (&same["id"], &same["state"]),
        (&other["id"], &json!("COMMITTED"))
    );

    let stranger = world.user("eve").await;
    update(&stranger, &data, "stolen").await.unwrap_err();
    let nothing = update(&ada, &data, "").await.unwrap_err();
    assert!(nothing.contains("name"), "{nothing}");
}

#[tokio::test]
async fn imported_collections_are_renamed_with_what_links_them() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let path = CollectionPath::new("ada/p".parse().unwrap(), "mine").unwrap();
    world
        .tracker
        .upsert_collection(&path, CollectionPatch::new())
        .await
        .unwrap();
    let mut writer = world
        .tracker
        .artifact_writer(&path, ArtifactDraft::new())
        .await
        .unwrap();
    let contents = Content::Bytes(bytes_of("one"));
    writer.add("a.txt".into(), contents).await.unwrap();
    writer.commit().await.unwrap();
    let before = named(&ada, "mine:v0").await;
    link(&ada, &before["id"], "shelf").await;

    let mine = collection(&ada, "mine").await;
    update(&ada, &mine, "ours").await.unwrap();
    let after = named(&ada, "ours:v0").await;
    assert_eq!(memberships(&ada, &after["id"]).await, ["ours", "shelf"]);
    assert_eq!(
        memberships(&ada, &before["id"]).await,
        ["ours", "shelf"],
        "by the id it had"
    );
    let url = after["files"]["edges"][0]["node"]["directUrl"]
        .as_str()
        .unwrap();
    assert!(url.contains("/wandb_artifacts/"), "{url}");
    assert_eq!(ada.get(url).await.body, b"one");
}

#[tokio::test]
async fn lists_are_filtered_and_ordered() {
    let world = World::new().await;
    let ada = ada(&world).await;
    for (name, contents) in [("beta", "1"), ("alpha", "2"), ("beta", "3")] {
        log(&ada, name, &Files::from([("a", contents)]), &["latest"]).await;
    }
    let collections = async |filters: &str, order: &str| {
        let query = "query List($filters: JSONString, $order: String) {
            project(name: \"p\", entityName: \"ada\") { artifactType(name: \"data\") {
                artifactCollections(filters: $filters, order: $order) { totalCount
                    edges { node { name } } } } } }";
        let data = ada
            .try_ask(query, json!({"filters": filters, "order": order}))
            .await?;
        let edges = data["project"]["artifactType"]["artifactCollections"]["edges"].as_array();
        let name = |edge: &Json| edge["node"]["name"].as_str().map(str::to_owned);
        Ok::<Vec<String>, String>(edges.unwrap().iter().filter_map(name).collect())
    };
    assert_eq!(collections("{}", "-name").await.unwrap(), ["beta", "alpha"]);
    assert_eq!(
        collections("{}", "createdAt").await.unwrap(),
        ["beta", "alpha"]
    );
    assert_eq!(
        collections("{\"name\": \"alpha\"}", "").await.unwrap(),
        ["alpha"]
    );
    let unknown = collections("{\"nmae\": 1}", "").await.unwrap_err();
    assert!(unknown.contains("nmae"), "{unknown}");

    let versions = async |filters: &str, order: &str| {
        let query = "query List($filters: JSONString, $order: String) {
            project(name: \"p\", entityName: \"ada\") { artifactCollection(name: \"beta\") {
                artifacts(filters: $filters, order: $order) { edges { version } } } } }";
        let data = ada
            .ask(query, json!({"filters": filters, "order": order}))
            .await;
        let edges = data["project"]["artifactCollection"]["artifacts"]["edges"].as_array();
        let version = |edge: &Json| edge["version"].as_str().map(str::to_owned);
        edges
            .unwrap()
            .iter()
            .filter_map(version)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        versions("{\"state\": \"COMMITTED\"}", "").await,
        ["v1", "v0"]
    );
    assert_eq!(versions("{\"state\": \"PENDING\"}", "").await, [""; 0]);
    assert_eq!(versions("{}", "+versionIndex").await, ["v0", "v1"]);
    assert_eq!(versions("{\"alias\": \"latest\"}", "").await, ["v1"]);
    assert_eq!(
        versions("{\"versionIndex\": {\"$lt\": 1}}", "").await,
        ["v0"]
    );
}

const BEGIN: &str = "mutation Begin($input: CreateArtifactInput!) {
    createArtifact(input: $input) { artifact { id state } } }";

fn shared(id: Option<&str>, digest: &str) -> Json {
    json!({"input": {"entityName": "ada", "projectName": "p", "runName": "maker",
        "artifactTypeName": "data", "artifactCollectionName": "both", "digest": digest,
        "aliases": ["latest", "together"], "tags": ["t"], "enableDigestDeduplication": true,
        "distributedID": id, "clientID": digest}})
}

/// Adds a file to an artifact as one of its writers.
async fn add(client: &Client, id: &Json, name: &str, contents: &str) {
    let begin = "mutation List($id: ID!) { createArtifactManifest(input: {artifactID: $id,
        name: \"wandb_manifest.patch.json\", digest: \"\", type: PATCH}) { artifactManifest { id } } }";
    let data = client.ask(begin, json!({"id": id})).await;
    let manifest = &data["createArtifactManifest"]["artifactManifest"]["id"];
    let query = "mutation Files($files: [CreateArtifactFileSpecInput!]!) {
        createArtifactFiles(input: {artifactFiles: $files, storageLayout: V2}) {
            files { edges { node { uploadUrl storagePath } } } } }";
    let file = json!({"artifactID": id, "artifactManifestID": manifest, "name": name,
        "md5": md5(contents.as_bytes())});
    let data = client.ask(query, json!({"files": [file]})).await;
    let node = &data["createArtifactFiles"]["files"]["edges"][0]["node"];
    let path = node["storagePath"].as_str().unwrap();
    assert!(path.starts_with("wandb_artifacts/"), "{path}");
    let put = client.put(node["uploadUrl"].as_str().unwrap(), contents.as_bytes());
    assert_eq!(put.await, StatusCode::OK);
    let entry = json!({"digest": md5(contents.as_bytes()), "size": contents.len()});
    let text = json!({"version": 1, "contents": {name: entry}}).to_string();
    let end = "mutation End($id: ID!, $md5: String!) { updateArtifactManifest(input: {
        artifactManifestID: $id, digest: $md5}) { artifactManifest { file { uploadUrl } } } }";
    let data = client
        .ask(end, json!({"id": manifest, "md5": md5(text.as_bytes())}))
        .await;
    let url = data["updateArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"].as_str();
    assert_eq!(
        client.put(url.unwrap(), text.as_bytes()).await,
        StatusCode::OK
    );
}

/// What several runs add to one artifact is one version, when one of them says that it is done.
#[tokio::test]
async fn several_runs_write_one_version() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let begin = async |id, digest: &str| {
        let mut data = ada.ask(BEGIN, shared(id, digest)).await;
        data["createArtifact"]["artifact"].take()
    };
    let first = begin(Some("group"), "1").await;
    let second = begin(Some("group"), "2").await;
    assert_eq!(
        (&first["id"], &second["state"]),
        (&second["id"], &json!("PENDING"))
    );
    assert_ne!(begin(Some("others"), "1").await["id"], first["id"]);
    let alone = begin(None, "3").await;
    assert_ne!(alone["id"], first["id"]);

    let id = &first["id"];
    for (name, contents) in [("a", "one"), ("b", "two"), ("c", "old"), ("c", "new")] {
        add(&ada, id, name, contents).await;
    }
    let made = commit(&ada, id.as_str().unwrap()).await.unwrap();
    assert_eq!(
        (&made["versionIndex"], &made["fileCount"]),
        (&json!(0), &json!(3))
    );
    assert_eq!(aliases(&made), ["latest", "together"]);
    let read = named(&ada, "both:together").await;
    assert_eq!(read["tags"], json!([{"name": "t"}]));
    let mut contents = Vec::new();
    for edge in read["files"]["edges"].as_array().unwrap() {
        let url = edge["node"]["directUrl"].as_str().unwrap();
        contents.push(String::from_utf8(ada.get(url).await.body).unwrap());
    }
    assert_eq!(contents, ["one", "two", "new"], "the last one counts");

    // What is committed is done: the next ones begin another.
    assert_ne!(begin(Some("group"), "1").await["id"], *id);
    let begin = "mutation List($id: ID!) { createArtifactManifest(input: {artifactID: $id,
        name: \"m.json\", digest: \"\", type: PATCH}) { artifactManifest { id } } }";
    let refused = ada.try_ask(begin, json!({"id": alone["id"]})).await;
    refused.unwrap_err();
}

#[tokio::test]
async fn storage_regions_are_labels() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let begin = async |region: &str| {
        let mut input = shared(None, "1");
        input["input"]["storageRegion"] = region.into();
        ada.try_ask(BEGIN, input).await
    };
    let refused = begin("coreweave-us").await.unwrap_err();
    assert!(refused.contains("coreweave-us"), "{refused}");
    let begun = begin("our-rack").await.unwrap();
    let id = begun["createArtifact"]["artifact"]["id"].as_str().unwrap();
    crate::artifacts::put_manifest(&ada, id, json!({})).await;
    commit(&ada, id).await.unwrap();
    let url = named(&ada, "both:latest").await["currentManifest"]["file"]["directUrl"].take();
    let manifest = ada.get(url.as_str().unwrap()).await.json();
    assert_eq!(manifest["storagePolicyConfig"]["storageRegion"], "our-rack");
}

/// Some clients send names where the schema has objects with a name.
#[tokio::test]
async fn aliases_and_tags_may_be_names_alone() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let files = Files::from([("a", "1")]);
    let (made, _) = log(&ada, "data", &files, &["latest"]).await;
    let query =
        "mutation Again($digest: String!, $aliases: [ArtifactAliasInput!], $tags: [TagInput!]) {
        createArtifact(input: {entityName: \"ada\", projectName: \"p\", artifactTypeName: \"data\",
            artifactCollectionNames: [\"data\"], digest: $digest, aliases: $aliases, tags: $tags,
            enableDigestDeduplication: true}) { artifact { id state } } }";
    let names = json!({"digest": made["digest"], "aliases": ["again", "more"], "tags": []});
    let same = ada.ask(query, names).await;
    assert_eq!(same["createArtifact"]["artifact"]["id"], made["id"]);
    assert_eq!(
        aliases(&named(&ada, "data:more").await),
        ["latest", "again", "more"]
    );
    let wrong = json!({"digest": made["digest"], "aliases": [7]});
    ada.try_ask(query, wrong).await.unwrap_err();
}

/// What many writers say together is no more than what one may say.
#[tokio::test]
async fn manifests_of_many_writers_are_bounded_together() {
    let mut options = Options::new();
    options.max_body = 2_000;
    let world = World::with_options(Arc::new(MemoryTracker::new()), options).await;
    let ada = ada(&world).await;
    let begun = ada.ask(BEGIN, shared(Some("group"), "1")).await;
    let id = &begun["createArtifact"]["artifact"]["id"];
    for name in ["a", "b", "c"] {
        add(&ada, id, &name.repeat(800), "x").await;
    }
    let refused = commit(&ada, id.as_str().unwrap()).await.unwrap_err();
    assert!(refused.contains("2000 bytes together"), "{refused}");
}

/// A registry is a project of an entity, which is its own organization.
#[tokio::test]
async fn entities_are_their_own_organizations() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let team = "crew".parse().unwrap();
    let name = "ada".parse().unwrap();
    world
        .accounts()
        .set_member(&team, &name, Some(Role::Member))
        .await
        .unwrap();
    let query = "query Org($entity: String!) { entity(name: $entity) {
        organization { name orgEntity { name entityType } } user { organizations { name } } } }";
    let data = ada.ask(query, json!({"entity": "ada"})).await;
    let organization = |name: &str| json!({"name": name, "orgEntity": {"name": name, "entityType": "organization"}});
    assert_eq!(data["entity"]["organization"], organization("ada"));
    assert_eq!(
        data["entity"]["user"]["organizations"],
        json!([{"name": "crew"}, {"name": "ada"}])
    );
    let named = "query Named($org: String!) { organization(name: $org) { name orgEntity { name entityType } } }";
    let crew = ada.ask(named, json!({"org": "crew"})).await;
    assert_eq!(crew["organization"], organization("crew"));
    let eve = world.user("eve").await;
    for (client, name) in [
        (&ada, "nobody"),
        (&ada, "a/b"),
        (&eve, "crew"),
        (&eve, "ada"),
    ] {
        let data = client.ask(named, json!({"org": name})).await;
        assert_eq!(data["organization"], Json::Null, "{name}");
    }

    let (made, _) = log(&ada, "data", &Files::from([("a", "1")]), &["latest"]).await;
    let link = "mutation Link($input: LinkArtifactInput!) { linkArtifact(input: $input) {
        artifactMembership { artifactCollection { project { name entityName } } } } }";
    let input = json!({"artifactID": made["id"], "artifactPortfolioName": "best", "entityName": "crew",
        "projectName": "wandb-registry-model"});
    let linked = ada.ask(link, json!({"input": input})).await;
    assert_eq!(
        linked["linkArtifact"]["artifactMembership"]["artifactCollection"]["project"],
        json!({"name": "wandb-registry-model", "entityName": "crew"})
    );
}
