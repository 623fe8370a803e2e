//! What clients of ours ask beyond the wire, and what they must not get by it.

use axum::http::{Method, StatusCode};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value as Json, json};
use tracker_model::{
    ArtifactDraft, ArtifactStore, CollectionPatch, CollectionPath, CollectionStore, Content,
    ContentHasher, Digests, LinkDraft, VersionLink, bytes_of,
};

use crate::support::{Client, World};

const SECRET: &[u8] = b"of ada alone";

fn digests(contents: &[u8]) -> Digests {
    let mut hasher = ContentHasher::new();
    hasher.update(contents);
    hasher.finish()
}

fn at(entity: &str, name: &str) -> CollectionPath {
    CollectionPath::new(format!("{entity}/p").parse().unwrap(), name).unwrap()
}

fn text(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).unwrap()
}

/// A version of ada's, made by a run of hers.
async fn version_of_ada(world: &World) -> VersionLink {
    let path = at("ada", "model");
    let tracker = &world.tracker;
    let patch = CollectionPatch::new();
    tracker.upsert_collection(&path, patch).await.unwrap();
    let mut draft = ArtifactDraft::new();
    draft.logged_by = Some("ada/p/maker".parse().unwrap());
    let mut writer = tracker.artifact_writer(&path, draft).await.unwrap();
    let body = Content::Bytes(bytes_of(SECRET));
    writer.add("f".into(), body).await.unwrap();
    let index = writer.commit().await.unwrap().index;
    VersionLink {
        collection: path,
        index,
    }
}

async fn mutation(client: &Client, call: &str, variables: Json) -> Result<Json, String> {
    let names = variables.as_object().unwrap().keys();
    let declared: Vec<String> = names.map(|name| format!("${name}: JSONString!")).collect();
    let query = format!("mutation M({}) {{ {call} }}", declared.join(", "));
    client.try_ask(&query, variables).await
}

#[tokio::test]
async fn contents_are_named_by_their_digests_by_admins_alone() {
    let world = World::new().await;
    let bob = world.user("bob").await;
    version_of_ada(&world).await;
    let can = "{ trackway { can { contents storedContent versionIndices links } } }";
    let can = bob.ask(can, json!({})).await;
    let wanted =
        json!({"contents": false, "storedContent": false, "versionIndices": true, "links": true});
    assert_eq!(can["trackway"]["can"], wanted);
    let secret = digests(SECRET);
    let query = format!(
        "/trackway/contents?size={}&blake3={}&md5={}&sha256={}",
        secret.size, secret.blake3, secret.md5, secret.sha256
    );
    for method in [Method::GET, Method::HEAD] {
        let answer = bob.send(method, &query, Vec::new(), &[]).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN);
    }
    let put = bob
        .send(Method::POST, "/trackway/contents", b"x".to_vec(), &[])
        .await;
    assert_eq!(put.status, StatusCode::FORBIDDEN);

    // Nor by a manifest that says they are here already.
    let path = at("bob", "mine");
    let patch = CollectionPatch::new();
    world.tracker.upsert_collection(&path, patch).await.unwrap();
    let begin = "mutation B($input: CreateArtifactInput!) {
        createArtifact(input: $input) { artifact { id } } }";
    let input = json!({
        "entityName": "bob", "projectName": "p", "artifactTypeName": "any", "digest": "",
        "artifactCollectionName": "mine", "trackway": "{}",
    });
    let begun = bob.ask(begin, json!({"input": input})).await;
    let id = begun["createArtifact"]["artifact"]["id"].as_str().unwrap();
    let entry = json!({"digest": "", "trackway": {"extras": {}, "stored": secret}});
    let manifest = json!({"version": 1, "contents": {"f": entry}}).to_string();
    let md5 = STANDARD.encode(hex::decode(digests(manifest.as_bytes()).md5).unwrap());
    let list = "mutation L($id: ID!, $md5: String!) {
        createArtifactManifest(input: {artifactID: $id, name: \"m.json\", digest: $md5, type: FULL}) {
            artifactManifest { file { uploadUrl } } } }";
    let listed = bob.ask(list, json!({"id": id, "md5": md5})).await;
    let url = &listed["createArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"];
    let put = bob.put(url.as_str().unwrap(), manifest.as_bytes()).await;
    assert_eq!(put, StatusCode::OK);
    let commit =
        "mutation C($id: ID!) { commitArtifact(input: {artifactID: $id}) { artifact { id } } }";
    let refused = bob.try_ask(commit, json!({"id": id})).await.unwrap_err();
    assert!(refused.contains("admins"), "{refused}");
}

#[tokio::test]
async fn nobody_reads_or_changes_artifacts_of_others() {
    let world = World::new().await;
    let (ada, bob) = (world.user("ada").await, world.user("bob").await);
    let hers = version_of_ada(&world).await;
    let shelf = at("bob", "shelf");
    let mut patch = CollectionPatch::new();
    patch.portfolio = Some(true);
    world
        .tracker
        .upsert_collection(&shelf, patch)
        .await
        .unwrap();
    let entry = json!({"run": "bob/p/r", "collection": hers.collection, "index": 0, "role": "used", "step": null});
    let calls = [
        (
            "trackwayUpsertCollection(at: $at, patch: $patch)",
            json!({"at": text(&hers.collection), "patch": "{}"}),
        ),
        (
            "trackwayDeleteCollection(at: $at) { success }",
            json!({"at": text(&hers.collection)}),
        ),
        (
            "trackwayUpdateVersion(at: $at, patch: $patch)",
            json!({"at": text(&hers), "patch": "{}"}),
        ),
        (
            "trackwayDeleteVersion(at: $at) { success }",
            json!({"at": text(&hers)}),
        ),
        (
            "trackwayLinkVersion(at: $at, target: $target, draft: $draft)",
            json!({"at": text(&shelf), "target": text(&hers), "draft": "{}"}),
        ),
        (
            "trackwayRecordUse(entry: $entry) { success }",
            json!({"entry": text(&entry)}),
        ),
    ];
    for (call, variables) in calls {
        let refused = mutation(&bob, call, variables).await.unwrap_err();
        assert!(refused.contains("does not exist"), "{call}: {refused}");
    }
    let uses = "query U($of: JSONString!) { trackwayUses(of: $of) { uses } }";
    let of = json!({"of": text(json!({"version": hers}))});
    assert!(bob.try_ask(uses, of.clone()).await.is_err());
    assert!(ada.try_ask(uses, of).await.is_ok());

    // A version cannot be said to be made by a run of hers, and a link shows nothing of hers.
    let begin = "mutation B($input: CreateArtifactInput!) {
        createArtifact(input: $input) { artifact { id } } }";
    let input = json!({
        "entityName": "bob", "projectName": "p", "artifactTypeName": "any", "digest": "",
        "artifactCollectionName": "mine", "trackway": text(json!({"logged_by": "ada/p/maker"})),
    });
    let refused = bob
        .try_ask(begin, json!({"input": input}))
        .await
        .unwrap_err();
    assert!(refused.contains("does not exist"), "{refused}");
    let linked = world
        .tracker
        .link_version(&shelf, &hers, LinkDraft::new())
        .await;
    linked.unwrap();
    let read = "{ project(name: \"p\", entityName: \"bob\") { artifactCollection(name: \"shelf\") {
        artifactMembership(aliasName: \"v0\") { trackway }
        artifacts { edges { trackway } } } } }";
    let read = bob.ask(read, json!({})).await;
    let shelf = &read["project"]["artifactCollection"];
    assert_eq!(shelf["artifactMembership"]["trackway"], Json::Null);
    assert_eq!(shelf["artifacts"]["edges"], json!([]));
}

#[tokio::test]
async fn texts_that_are_no_records_are_refused() {
    let world = World::new().await;
    let ada = world.user("ada").await;
    let hers = version_of_ada(&world).await;
    for (at, patch) in [
        ("", "{}"),
        ("[]", "{}"),
        ("{\"project\":\"ada/p\",\"name\":\"\"}", "{}"),
        ("{\"project\":\"ada\",\"name\":\"x\"}", "{}"),
        (&*text(&hers.collection), "nothing"),
        (&*text(&hers.collection), "{\"extras\":5}"),
    ] {
        let call = "trackwayUpsertCollection(at: $at, patch: $patch)";
        let refused = mutation(&ada, call, json!({"at": at, "patch": patch})).await;
        assert!(refused.is_err(), "{at} {patch}");
    }
    let patch = json!({"description": {"set": "now"}, "extras": {"merge": {"set": {"a": 1}, "remove": []}}});
    let call = "trackwayUpdateVersion(at: $at, patch: $patch)";
    let said = json!({"at": text(&hers), "patch": text(patch)});
    let changed = mutation(&ada, call, said).await.unwrap();
    let record = changed["trackwayUpdateVersion"].as_str().unwrap();
    let record: Json = serde_json::from_str(record).unwrap();
    assert_eq!(
        (&record["description"], &record["extras"]),
        (&json!("now"), &json!({"a": 1}))
    );
}
