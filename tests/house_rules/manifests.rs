//! Which crate may depend on which.

use std::collections::BTreeSet;

use toml::Table;

use crate::tree::{File, files};
use crate::{caught, demand};

/// Directory of a crate, the crates of this workspace that it may name.
const ROOMS: [(&str, &[&str]); 9] = [
    ("domain", &[]),
    ("journal", &["domain"]),
    ("commands", &["domain", "journal"]),
    ("projections", &["domain", "journal"]),
    ("identity", &["domain", "journal"]),
    ("gateway", &["domain", "journal", "commands", "projections", "identity"]),
    ("api", &["domain", "journal", "commands", "projections", "identity", "gateway"]),
    ("", &["domain", "journal", "commands", "projections", "identity", "gateway", "api"]),
    ("bench", &["domain", "journal", "commands", "projections"]),
];

/// All that the domain may use from outside: values and traits, nothing that can wait, read or write.
const DOMAIN_MAY_USE: [&str; 7] = ["chrono", "cqrs-es", "serde", "serde_json", "sha2", "thiserror", "uuid"];

/// Crates that belong to certain rooms: who else names them does their work.
const RESERVED: [(&str, &[&str]); 6] = [
    ("sqlx", &["journal", "projections", "identity", "", "bench"]),
    ("actix-", &["api"]),
    ("axum", &[]),
    ("hyper", &[]),
    ("utoipa", &["api"]),
    ("warp", &[]),
];

const ADVICE: &str = "The direction is domain <- journal <- {commands, projections, identity} <- gateway <- api <- root <- bench. Move the \
     code to the room that may do this; docs/ARCHITECTURE.md says what each room must not know.";

#[test]
fn dependencies_point_one_way() {
    let manifests = manifests();
    let violations: Vec<_> = manifests.iter().flat_map(direction).collect();
    demand(&violations, ADVICE);
}

#[test]
fn every_crate_has_a_place_in_the_direction_and_takes_the_workspace_lints() {
    let manifests = manifests();
    let violations: Vec<_> = manifests.iter().flat_map(membership).collect();
    demand(
        &violations,
        "Add the crate to ROOMS in this file, and `[lints] workspace = true` to its manifest.",
    );
    assert_eq!(manifests.len(), ROOMS.len(), "a crate of ROOMS is gone");
}

#[test]
fn a_dependency_against_the_direction_is_caught() {
    let check = |path: &str, text: &str| direction(&File::made_up(path, text));
    caught(
        &check("projections/Cargo.toml", "[dependencies]\ncounterfoil-commands.workspace = true"),
        "projections depends on counterfoil-commands",
    );
    caught(
        &check("commands/Cargo.toml", "[dev-dependencies]\ncounterfoil-projections.workspace = true"),
        "commands depends on counterfoil-projections",
    );
    caught(
        &check("domain/Cargo.toml", "[target.'cfg(unix)'.dependencies]\ntokio = \"1\""),
        "domain depends on tokio",
    );
    caught(&check("api/Cargo.toml", "[dependencies.sqlx]\nworkspace = true"), "api depends on sqlx");
    caught(&check("Cargo.toml", "[dependencies]\nactix-web.workspace = true"), "root depends on actix-web");
    caught(
        &check(
            "journal/Cargo.toml",
            "[dependencies]\nd = { package = \"counterfoil-api\", path = \"../api\" }",
        ),
        "journal depends on counterfoil-api",
    );
    assert!(
        check("domain/Cargo.toml", "[dependencies]\nserde = \"1\"\n[dev-dependencies]\nproptest = \"1\"")
            .is_empty()
    );
}

#[test]
fn an_unknown_crate_is_caught() {
    caught(
        &membership(&File::made_up("common/Cargo.toml", "[lints]\nworkspace = true")),
        "common has no place",
    );
    caught(&membership(&File::made_up("api/Cargo.toml", "[package]\nname = \"api\"")), "api does not take");
}

fn manifests() -> Vec<File> {
    files()
        .into_iter()
        .filter(|file| file.path == "Cargo.toml" || file.path.ends_with("/Cargo.toml"))
        .collect()
}

fn room_of(manifest: &File) -> &str {
    manifest.path.strip_suffix("Cargo.toml").unwrap_or_default().trim_end_matches('/')
}

fn named(room: &str) -> &str {
    if room.is_empty() { "root" } else { room }
}

fn parse(manifest: &File) -> Table {
    manifest.text.parse().unwrap_or_else(|error| panic!("{} is not TOML: {error}", manifest.path))
}

fn membership(manifest: &File) -> Vec<String> {
    let room = room_of(manifest);
    let known = ROOMS.iter().any(|(name, _)| *name == room);
    let lints =
        parse(manifest).get("lints").and_then(|lints| lints.get("workspace")?.as_bool()) == Some(true);
    let mut violations = Vec::new();
    if !known {
        violations.push(format!("{} has no place in the direction of dependencies", named(room)));
    }
    if !lints {
        violations.push(format!("{} does not take the workspace lints", named(room)));
    }
    violations
}

fn direction(manifest: &File) -> Vec<String> {
    let room = room_of(manifest);
    let Some((_, may)) = ROOMS.iter().find(|(name, _)| *name == room) else {
        return Vec::new();
    };
    let (shipped, all) = dependencies(&parse(manifest));
    let refused_inner =
        |name: &String| name.strip_prefix("counterfoil-").is_some_and(|inner| !may.contains(&inner));
    // Tests of the root may stand up a server of their own to play the other side of a connection.
    let only_tested = |name: &String| room.is_empty() && !shipped.contains(name);
    let refused_reserved = |name: &String| {
        !only_tested(name)
            && RESERVED.iter().any(|(prefix, rooms)| name.starts_with(prefix) && !rooms.contains(&room))
    };
    let refused_domain = |name: &String| {
        room == "domain" && shipped.contains(name) && !DOMAIN_MAY_USE.contains(&name.as_str())
    };
    all.iter()
        .filter(|name| refused_inner(name) || refused_reserved(name) || refused_domain(name))
        .map(|name| format!("{} depends on {name}", named(room)))
        .collect()
}

/// The names of the shipped dependencies, and those of all, of every target and with tests and build scripts.
fn dependencies(manifest: &Table) -> (BTreeSet<String>, BTreeSet<String>) {
    let of_targets = manifest.get("target").and_then(|targets| targets.as_table()).into_iter().flatten();
    let places: Vec<&Table> =
        of_targets.filter_map(|(_, target)| target.as_table()).chain(std::iter::once(manifest)).collect();
    let names = |sections: &[&str]| {
        places
            .iter()
            .flat_map(|place| sections.iter().filter_map(|section| place.get(*section)?.as_table()))
            .flatten()
            .map(|(key, value)| {
                value.get("package").and_then(|package| package.as_str()).unwrap_or(key).to_owned()
            })
            .collect()
    };
    (names(&["dependencies"]), names(&["dependencies", "dev-dependencies", "build-dependencies"]))
}
