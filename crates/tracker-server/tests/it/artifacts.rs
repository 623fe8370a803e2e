//! Artifacts: what clients do one after the other, and what they must not get done.

mod exact;

use std::collections::BTreeMap;

use axum::http::{Method, StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use md5::{Digest as _, Md5};
use serde_json::{Value as Json, json};
use tracker_model::{
    ArtifactDraft, ArtifactStore, CollectionPatch, CollectionPath, CollectionStore, Content,
    RunPatch, RunStore, bytes_of,
};

use crate::support::{Client, World};

pub(crate) fn md5(contents: &[u8]) -> String {
    STANDARD.encode(Md5::digest(contents))
}

pub(crate) type Files<'a> = BTreeMap<&'a str, &'a str>;

/// The digest of an artifact with these files.
fn digest(files: &Files<'_>) -> String {
    let mut hasher = Md5::new_with_prefix("wandb-artifact-manifest-v1\n");
    for (path, contents) in files {
        hasher.update(format!("{path}:{}\n", md5(contents.as_bytes())));
    }
    hex::encode(hasher.finalize())
}

pub(crate) async fn create(
    client: &Client,
    name: &str,
    files: &Files<'_>,
    aliases: &[&str],
) -> Result<Json, String> {
    let aliases: Vec<Json> = aliases
        .iter()
        .map(|a| json!({"artifactCollectionName": name, "alias": a}))
        .collect();
    let query = "mutation Begin($input: CreateArtifactInput!) {
        createArtifact(input: $input) { artifact { id state } } }";
    let input = json!({
        "entityName": "ada", "projectName": "p", "runName": "maker", "artifactTypeName": "data",
        "artifactCollectionName": name, "digest": digest(files), "aliases": aliases,
        "enableDigestDeduplication": true, "clientID": format!("client-{}", digest(files)),
        "metadata": "{\"rows\": NaN}",
    });
    let mut data = client.try_ask(query, json!({"input": input})).await?;
    Ok(data["createArtifact"]["artifact"].take())
}

/// Announces files, and answers where each is to be put.
async fn announce(client: &Client, id: &str, files: &[(&str, &str)]) -> Result<Vec<Json>, String> {
    let query = "mutation Files($files: [CreateArtifactFileSpecInput!]!) {
        createArtifactFiles(input: {artifactFiles: $files, storageLayout: V2}) {
            files { edges { node { name uploadUrl artifact { id } } } } } }";
    let specs: Vec<Json> = files
        .iter()
        .map(|(name, contents)| json!({"artifactID": id, "name": name, "md5": md5(contents.as_bytes())}))
        .collect();
    let data = client.try_ask(query, json!({"files": specs})).await?;
    let edges = data["createArtifactFiles"]["files"]["edges"]
        .as_array()
        .unwrap();
    Ok(edges.iter().map(|edge| edge["node"].clone()).collect())
}

pub(crate) async fn put_manifest(client: &Client, id: &str, contents: Json) {
    let text = json!({"version": 1, "contents": contents}).to_string();
    let query = "mutation List($id: ID!, $md5: String!) {
        createArtifactManifest(input: {artifactID: $id, name: \"m.json\", digest: $md5, type: FULL}) {
            artifactManifest { id file { uploadUrl } } } }";
    let data = client
        .ask(query, json!({"id": id, "md5": md5(text.as_bytes())}))
        .await;
    let url = data["createArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"]
        .as_str()
        .unwrap();
    assert_eq!(client.put(url, text.as_bytes()).await, StatusCode::OK);
}

fn listed(files: &Files<'_>) -> Json {
    let entry = |(path, contents): (&&str, &&str)| {
        let entry = json!({"digest": md5(contents.as_bytes()), "size": contents.len(), "local_path": "/home/ada/x"});
        ((*path).to_owned(), entry)
    };
    Json::Object(files.iter().map(entry).collect())
}

pub(crate) async fn commit(client: &Client, id: &str) -> Result<Json, String> {
    let query = "mutation End($id: ID!) { commitArtifact(input: {artifactID: $id}) {
        artifact { id digest commitHash versionIndex state aliases { alias } metadata size fileCount
            createdBy { ... on Run { name } } } } }";
    let mut data = client.try_ask(query, json!({"id": id})).await?;
    Ok(data["commitArtifact"]["artifact"].take())
}

/// Logs a version, uploading what the server asks for; answers it and the names that were uploaded.
pub(crate) async fn log(
    client: &Client,
    name: &str,
    files: &Files<'_>,
    aliases: &[&str],
) -> (Json, Vec<String>) {
    let begun = create(client, name, files, aliases).await.unwrap();
    assert_eq!(begun["state"], "PENDING");
    let id = begun["id"].as_str().unwrap();
    let all: Vec<_> = files
        .iter()
        .map(|(path, contents)| (*path, *contents))
        .collect();
    let mut uploaded = Vec::new();
    for (node, (path, contents)) in announce(client, id, &all).await.unwrap().iter().zip(&all) {
        assert_eq!(node["name"], *path);
        if let Some(url) = node["uploadUrl"].as_str() {
            assert_eq!(client.put(url, contents.as_bytes()).await, StatusCode::OK);
            uploaded.push((*path).to_owned());
        }
    }
    put_manifest(client, id, listed(files)).await;
    (commit(client, id).await.unwrap(), uploaded)
}

pub(crate) async fn ada(world: &World) -> Client {
    let run = "ada/p/maker".parse().unwrap();
    world
        .tracker
        .upsert_run(&run, RunPatch::new(), Default::default())
        .await
        .unwrap();
    world.user("ada").await
}

pub(crate) fn aliases(artifact: &Json) -> Vec<&str> {
    let all = artifact["aliases"].as_array().unwrap();
    all.iter()
        .map(|alias| alias["alias"].as_str().unwrap())
        .collect()
}

const NAMED: &str = "query Named($name: String!) { project(name: \"p\", entityName: \"ada\") {
    artifact(name: $name) { id versionIndex aliases { alias } digest description tags { name }
        currentManifest { file { directUrl } }
        files(first: 10) { totalCount edges { node { name directUrl md5 sizeBytes } } } } } }";

pub(crate) async fn named(client: &Client, name: &str) -> Json {
    let mut data = client.ask(NAMED, json!({"name": name})).await;
    data["project"]["artifact"].take()
}

#[tokio::test]
async fn versions_follow_each_other() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let first = Files::from([("a.txt", "one"), ("dir/b.txt", "two")]);
    let (made, uploaded) = log(&ada, "data", &first, &["latest", "base"]).await;
    assert_eq!(uploaded, ["a.txt", "dir/b.txt"]);
    assert_eq!(
        (&made["versionIndex"], &made["digest"]),
        (&json!(0), &json!(digest(&first)))
    );
    assert_eq!((&made["size"], &made["fileCount"]), (&json!(6), &json!(2)));
    assert_eq!(made["createdBy"]["name"], "maker");
    assert_eq!(made["commitHash"].as_str().map(str::len), Some(64));
    assert_eq!(made["metadata"], r#"{"rows":"NaN"}"#);

    // What the latest version has is not asked for again, wherever it was there.
    let second = Files::from([("a.txt", "three"), ("moved.txt", "two")]);
    let (made, uploaded) = log(&ada, "data", &second, &["latest"]).await;
    assert_eq!(uploaded, ["a.txt"]);
    assert_eq!(
        (&made["versionIndex"], aliases(&made)),
        (&json!(1), vec!["latest"])
    );
    assert_eq!(aliases(&named(&ada, "data:v0").await), ["base"]);

    // The same contents are the same version, which gets the aliases.
    let same = create(&ada, "data", &first, &["latest", "again"])
        .await
        .unwrap();
    assert_eq!(same["state"], "COMMITTED");
    let found = named(&ada, "data:latest").await;
    assert_eq!(
        (&found["id"], &found["versionIndex"]),
        (&same["id"], &json!(0))
    );
    assert_eq!(aliases(&found), ["base", "latest", "again"]);
    assert_eq!(
        named(&ada, &format!("data:{}", digest(&second))).await["versionIndex"],
        1
    );
}

async fn client_files(client: &Client, query: &str, variables: Json) -> Vec<Json> {
    let data = client.ask(query, variables).await;
    let edges = data["artifact"]["filesByManifestEntries"]["edges"].as_array();
    edges
        .unwrap()
        .iter()
        .map(|edge| edge["node"].clone())
        .collect()
}

#[tokio::test]
async fn files_and_manifests_can_be_read() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let files = Files::from([("a.txt", "one"), ("dir/b ü.txt", "two")]);
    log(&ada, "data", &files, &["latest"]).await;
    let found = named(&ada, "data").await;
    assert_eq!(found["files"]["totalCount"], 2);
    let url = found["files"]["edges"][1]["node"]["directUrl"]
        .as_str()
        .unwrap();
    assert_eq!(ada.get(url).await.body, b"two");
    let part = ada
        .send(Method::GET, url, Vec::new(), &[("range", "bytes=1-")])
        .await;
    assert_eq!(
        (part.status, &*part.body),
        (StatusCode::PARTIAL_CONTENT, &b"wo"[..])
    );
    let head = ada.send(Method::HEAD, url, Vec::new(), &[]).await;
    assert_eq!(
        (
            head.headers["content-length"].to_str().unwrap(),
            head.body.len()
        ),
        ("3", 0)
    );

    let url = found["currentManifest"]["file"]["directUrl"]
        .as_str()
        .unwrap();
    let manifest: Json = serde_json::from_slice(&ada.get(url).await.body).unwrap();
    let entry = json!({"digest": md5(b"one"), "size": 3, "birthArtifactID": found["id"]});
    assert_eq!(manifest["contents"]["a.txt"], entry);

    let id = found["id"].as_str().unwrap();
    let query =
        "query Some($id: ID!, $entries: [ArtifactManifestEntryInput!]) { artifact(id: $id) {
        filesByManifestEntries(entries: $entries, storageLayout: \"V2\", manifestVersion: \"1\") {
            pageInfo { hasNextPage } edges { node { name directUrl } } } } }";
    let entries = json!([{"name": "a.txt", "digest": md5(b"one")}]);
    let some = client_files(&ada, query, json!({"id": id, "entries": entries})).await;
    assert_eq!(some.len(), 1);
    assert_eq!(
        ada.get(some[0]["directUrl"].as_str().unwrap()).await.body,
        b"one"
    );
    let none = client_files(&ada, query, json!({"id": id, "entries": []})).await;
    assert!(none.is_empty());
    let hex = hex::encode(Md5::digest(b"two"));
    let old = format!("/artifactsV2/default/ada/{id}/{hex}");
    let new = format!("/artifactsV2/default/ada/p/data/{id}/{hex}/b");
    let orphan = format!("/artifactsV2/default/ada/p/data/gone/{hex}/b");
    let eve = world.user("eve").await;
    for url in [old, new, orphan] {
        assert_eq!(ada.get(&url).await.body, b"two", "{url}");
        assert_eq!(eve.get(&url).await.status, StatusCode::NOT_FOUND, "{url}");
    }
    let other = format!("/artifactsV2/default/ada/p/data/{id}/{}/b", "0".repeat(32));
    assert_eq!(ada.get(&other).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_commit_goes_on_after_a_restart_and_counts_once() {
    let world = World::new().await;
    let client = ada(&world).await;
    let files = Files::from([("a.txt", "one")]);
    let begun = create(&client, "data", &files, &["latest"]).await.unwrap();
    let id = begun["id"].as_str().unwrap();
    let places = announce(&client, id, &[("a.txt", "one")]).await.unwrap();
    assert_eq!(
        client
            .put(places[0]["uploadUrl"].as_str().unwrap(), b"one")
            .await,
        StatusCode::OK
    );
    put_manifest(&client, id, listed(&files)).await;

    let world = world.restarted().await;
    let client = world.again("ada").await;
    // A client that begins again goes on with what is here.
    assert_eq!(
        create(&client, "data", &files, &["latest"]).await.unwrap(),
        begun
    );
    let made = commit(&client, id).await.unwrap();
    assert_eq!(commit(&client, id).await.unwrap(), made);
    let other = Files::from([("b.txt", "two")]);
    assert_eq!(log(&client, "data", &other, &[]).await.0["versionIndex"], 1);
    // What is committed stays as it is.
    let place = places[0]["uploadUrl"].as_str().unwrap();
    assert_eq!(client.put(place, b"one").await, StatusCode::CONFLICT);
    announce(&client, id, &[("c.txt", "three")])
        .await
        .unwrap_err();
}

#[tokio::test]
async fn what_was_not_uploaded_is_not_committed() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let files = Files::from([("a.txt", "one"), ("b.txt", "two")]);
    let begun = create(&ada, "data", &files, &[]).await.unwrap();
    let id = begun["id"].as_str().unwrap();
    commit(&ada, id).await.unwrap_err();
    let places = announce(&ada, id, &[("a.txt", "one"), ("b.txt", "two")])
        .await
        .unwrap();
    let url = |place: usize| places[place]["uploadUrl"].as_str().unwrap();
    // Other contents than those that were promised are not taken.
    assert_eq!(ada.put(url(0), b"two").await, StatusCode::BAD_REQUEST);
    assert_eq!(ada.put(url(1), b"two").await, StatusCode::OK);
    put_manifest(&ada, id, listed(&files)).await;
    let error = commit(&ada, id).await.unwrap_err();
    assert!(
        error.contains("a.txt") && !error.contains("b.txt"),
        "{error}"
    );
    assert_eq!(named(&ada, "data").await, Json::Null);
    assert_eq!(ada.put(url(0), b"one").await, StatusCode::OK);
    commit(&ada, id).await.unwrap();
}

#[tokio::test]
async fn paths_stay_inside_the_artifact() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let files = Files::from([("../a.txt", "one")]);
    let begun = create(&ada, "data", &files, &[]).await.unwrap();
    let id = begun["id"].as_str().unwrap();
    for path in ["../a.txt", "/etc/x", "a//b", "a/./b", ""] {
        announce(&ada, id, &[(path, "one")]).await.unwrap_err();
    }
    let places = announce(&ada, id, &[("a.txt", "one")]).await.unwrap();
    ada.put(places[0]["uploadUrl"].as_str().unwrap(), b"one")
        .await;
    put_manifest(&ada, id, listed(&files)).await;
    let error = commit(&ada, id).await.unwrap_err();
    assert!(error.contains("'..'"), "{error}");
}

#[tokio::test]
async fn others_are_told_nothing() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let files = Files::from([("secret.txt", "a secret")]);
    let (made, _) = log(&ada, "data", &files, &["latest"]).await;
    let id = &made["id"];
    let pending = create(&ada, "next", &Files::from([("x", "y")]), &[])
        .await
        .unwrap();
    let eve = world.user("eve").await;
    assert_eq!(
        eve.ask(NAMED, json!({"name": "data"})).await["project"],
        Json::Null
    );
    let by_id = "query Id($id: ID!) { artifact(id: $id) { id digest } }";
    let address = STANDARD.encode("Artifact:v1:ada:p:0:data");
    for id in [id, &pending["id"], &json!(address)] {
        assert_eq!(
            eve.ask(by_id, json!({"id": id})).await["artifact"],
            Json::Null
        );
    }
    let client = json!({"client": format!("client-{}", digest(&files))});
    let by_client =
        "query Client($client: ID!) { clientIDMapping(clientID: $client) { serverID } }";
    assert_eq!(
        eve.ask(by_client, client.clone()).await["clientIDMapping"],
        Json::Null
    );
    assert_eq!(
        ada.ask(by_client, client).await["clientIDMapping"]["serverID"],
        *id
    );

    create(&eve, "data", &files, &[]).await.unwrap_err();
    announce(&eve, pending["id"].as_str().unwrap(), &[("x", "y")])
        .await
        .unwrap_err();
    commit(&eve, pending["id"].as_str().unwrap())
        .await
        .unwrap_err();
    for (field, input) in [
        (
            "updateArtifact",
            json!({"artifactID": id, "description": "x"}),
        ),
        (
            "deleteArtifact",
            json!({"artifactID": id, "deleteAliases": true}),
        ),
        (
            "linkArtifact",
            json!({"artifactID": id, "artifactPortfolioName": "mine", "entityName": "eve", "projectName": "q"}),
        ),
        (
            "useArtifact",
            json!({"artifactID": id, "entityName": "eve", "projectName": "q", "runName": "r"}),
        ),
    ] {
        let kind = format!("{}{}Input", field[..1].to_uppercase(), &field[1..]);
        let query =
            format!("mutation M($input: {kind}!) {{ {field}(input: $input) {{ __typename }} }}");
        let error = eve
            .try_ask(&query, json!({"input": input}))
            .await
            .unwrap_err();
        assert!(error.contains("does not exist"), "{field}: {error}");
    }
}

/// Whoever knows the MD5 of contents must upload them all the same, to any collection but one that
/// has them already.
#[tokio::test]
async fn contents_of_others_cannot_be_claimed() {
    let world = World::new().await;
    let client = ada(&world).await;
    let files = Files::from([("secret.txt", "a secret")]);
    let (made, _) = log(&client, "data", &files, &["latest"]).await;
    let eve = world.user("eve").await;
    let query = "mutation Begin($input: CreateArtifactInput!) {
        createArtifact(input: $input) { artifact { id state } } }";
    let input = json!({"entityName": "eve", "projectName": "q", "artifactTypeName": "data",
        "artifactCollectionName": "data", "digest": digest(&files), "enableDigestDeduplication": true});
    let begun = eve.ask(query, json!({"input": input})).await;
    let begun = &begun["createArtifact"]["artifact"];
    assert_eq!(begun["state"], "PENDING");
    let id = begun["id"].as_str().unwrap();
    let places = announce(&eve, id, &[("secret.txt", "a secret")])
        .await
        .unwrap();
    assert!(places[0]["uploadUrl"].is_string());
    let entry = json!({"digest": md5(b"a secret"), "size": 8, "birthArtifactID": made["id"]});
    put_manifest(&eve, id, json!({"secret.txt": entry})).await;
    let error = commit(&eve, id).await.unwrap_err();
    assert!(error.contains("not uploaded"), "{error}");
    // Within one's own artifacts it is enough to say where the contents come from.
    let other = create(&client, "other", &files, &[]).await.unwrap();
    let id = other["id"].as_str().unwrap();
    let places = announce(&client, id, &[("secret.txt", "a secret")])
        .await
        .unwrap();
    assert!(places[0]["uploadUrl"].is_string());
    put_manifest(&client, id, json!({"secret.txt": entry})).await;
    commit(&client, id).await.unwrap();
}

#[tokio::test]
async fn aliases_tags_and_deletion() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let (made, _) = log(&ada, "data", &Files::from([("a", "1")]), &["latest"]).await;
    let id = &made["id"];
    let add = "mutation Add($input: AddAliasesInput!) { addAliases(input: $input) { success } }";
    let names = |names: &[&str]| -> Json {
        let alias = |name: &&str| json!({"artifactCollectionName": "data", "alias": name, "entityName": "ada", "projectName": "p"});
        json!({"input": {"artifactID": id, "aliases": names.iter().map(alias).collect::<Vec<_>>()}})
    };
    ada.ask(add, names(&["best", "good"])).await;
    for bad in ["v7", "a:b", ""] {
        ada.try_ask(add, names(&[bad])).await.unwrap_err();
    }
    let remove =
        "mutation Remove($input: DeleteAliasesInput!) { deleteAliases(input: $input) { success } }";
    ada.ask(remove, names(&["good"])).await;
    let update = "mutation Change($input: UpdateArtifactInput!) { updateArtifact(input: $input) { artifact { id } } }";
    let input = json!({"artifactID": id, "description": "what", "tagsToAdd": [{"tagName": "x"}, {"tagName": "y"}],
        "tagsToDelete": [{"tagName": "x"}]});
    ada.ask(update, json!({"input": input})).await;
    let found = named(&ada, "data:best").await;
    assert_eq!(aliases(&found), ["latest", "best"]);
    assert_eq!(
        (&found["description"], &found["tags"]),
        (&json!("what"), &json!([{"name": "y"}]))
    );

    let delete = "mutation Delete($input: DeleteArtifactInput!) { deleteArtifact(input: $input) { artifact { id state } } }";
    let error = ada
        .try_ask(delete, json!({"input": {"artifactID": id}}))
        .await
        .unwrap_err();
    assert!(error.contains("aliases"), "{error}");
    let input = json!({"input": {"artifactID": id, "deleteAliases": true}});
    let deleted = ada.ask(delete, input.clone()).await;
    assert_eq!(deleted["deleteArtifact"]["artifact"]["state"], "DELETED");
    assert_eq!(named(&ada, "data").await, Json::Null);
    ada.try_ask(delete, input).await.unwrap_err();
    commit(&ada, id.as_str().unwrap()).await.unwrap_err();
    // Its number is not given again, and its contents are not taken for there.
    let (made, uploaded) = log(&ada, "data", &Files::from([("a", "1")]), &[]).await;
    assert_eq!((&made["versionIndex"], uploaded.len()), (&json!(1), 1));
}

#[tokio::test]
async fn links_stand_for_versions() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let (made, _) = log(&ada, "data", &Files::from([("a", "1")]), &["latest"]).await;
    let link = "mutation Link($input: LinkArtifactInput!) { linkArtifact(input: $input) { versionIndex
        artifactMembership { versionIndex aliases { alias } artifactCollection { __typename id name }
            artifact { id artifactSequence { __typename name } } } } }";
    let input = json!({"artifactID": made["id"], "artifactPortfolioName": "shelf", "entityName": "ada",
        "projectName": "p", "aliases": [{"artifactCollectionName": "shelf", "alias": "best"}]});
    let linked = ada.ask(link, json!({"input": input})).await;
    let place = &linked["linkArtifact"]["artifactMembership"];
    assert_eq!(
        place["artifactCollection"]["__typename"],
        "ArtifactPortfolio"
    );
    assert_eq!(
        (&place["artifact"]["id"], aliases(place)),
        (&made["id"], vec!["best", "latest"])
    );
    assert_eq!(
        place["artifact"]["artifactSequence"],
        json!({"__typename": "ArtifactSequence", "name": "data"})
    );
    assert_eq!(named(&ada, "shelf:best").await["id"], made["id"]);
    // What has versions of its own is no portfolio.
    let mut wrong = input.clone();
    wrong["artifactPortfolioName"] = json!("data");
    ada.try_ask(link, json!({"input": wrong}))
        .await
        .unwrap_err();
    create(&ada, "shelf", &Files::from([("b", "2")]), &[])
        .await
        .unwrap_err();

    let unlink = "mutation Unlink($input: UnlinkArtifactInput!) { unlinkArtifact(input: $input) { success } }";
    let input =
        json!({"artifactID": made["id"], "artifactPortfolioID": place["artifactCollection"]["id"]});
    ada.ask(unlink, json!({"input": input})).await;
    assert_eq!(named(&ada, "shelf:best").await, Json::Null);
    assert_eq!(named(&ada, "data:latest").await["id"], made["id"]);
}

/// Versions that an import made have no records: all there is to know of them is in the tracker.
#[tokio::test]
async fn versions_of_imports_are_artifacts_too() {
    let world = World::new().await;
    let ada = ada(&world).await;
    let path = CollectionPath::new("ada/p".parse().unwrap(), "a model: of/mine").unwrap();
    let mut patch = CollectionPatch::new();
    patch.kind = Some("model".to_owned());
    world.tracker.upsert_collection(&path, patch).await.unwrap();
    let mut draft = ArtifactDraft::new();
    draft.index = Some(3);
    draft.source_key = Some("models/m/3".to_owned());
    let mut writer = world.tracker.artifact_writer(&path, draft).await.unwrap();
    writer
        .add("a.txt".into(), Content::Bytes(bytes_of("one")))
        .await
        .unwrap();
    writer
        .add("far".into(), Content::Reference("s3://b/k".to_owned()))
        .await
        .unwrap();
    writer.commit().await.unwrap();

    let found = named(&ada, "a model: of/mine:v3").await;
    let expected = {
        let mut hasher = Md5::new_with_prefix("wandb-artifact-manifest-v1\n");
        hasher.update(format!("a.txt:{}\nfar:s3://b/k\n", md5(b"one")));
        hex::encode(hasher.finalize())
    };
    assert_eq!(found["digest"], expected);
    let by_id = "query Id($id: ID!) { artifact(id: $id) { versionIndex artifactType { name } } }";
    let again = ada.ask(by_id, json!({"id": found["id"]})).await;
    assert_eq!(
        again["artifact"],
        json!({"versionIndex": 3, "artifactType": {"name": "model"}})
    );
    let nodes = &found["files"]["edges"];
    assert_eq!(nodes[1]["node"]["directUrl"], "s3://b/k");
    let url = nodes[0]["node"]["directUrl"].as_str().unwrap();
    assert_eq!(ada.get(url).await.body, b"one");
}

#[tokio::test]
async fn contents_are_those_that_were_announced() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let begin =
        "mutation { upsertBucket(input: {name: \"maker\", modelName: \"p\"}) { inserted } }";
    ada.ask(begin, json!({})).await;
    let files: Files<'_> = [("a.txt", "hello")].into();
    let begun = create(&ada, "checked", &files, &[]).await.unwrap();
    let id = begun["id"].as_str().unwrap();
    let announced = announce(&ada, id, &[("a.txt", "hello")]).await.unwrap();
    let url = announced[0]["uploadUrl"].as_str().unwrap();
    put_manifest(&ada, id, listed(&files)).await;
    assert_eq!(ada.put(url, b"hullo").await, StatusCode::BAD_REQUEST);
    let refused = commit(&ada, id).await.unwrap_err();
    assert!(refused.contains("a.txt"), "{refused}");
    assert_eq!(ada.put(url, b"hello").await, StatusCode::OK);
    assert_eq!(commit(&ada, id).await.unwrap()["state"], "COMMITTED");
}
