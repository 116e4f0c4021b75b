//! What the program is made of: no unsafe code of ours, and an image and examples that give it no more rights than it needs.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use yaml_rust2::{Yaml, YamlLoader};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn yaml(path: &str) -> Vec<Yaml> {
    YamlLoader::load_from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The root of every crate of the package in `folder`, by Cargo's conventions and the tables of its manifest.
fn crate_roots(folder: &str) -> Vec<PathBuf> {
    let folder = root().join(folder);
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let named = manifest.lines().filter_map(|line| line.strip_prefix("path = \"")?.strip_suffix('"'));
    let mut roots: Vec<PathBuf> = named.map(|path| folder.join(path)).collect();
    roots.extend(["src/lib.rs", "src/main.rs", "build.rs"].map(|path| folder.join(path)));
    for part in ["src/bin", "tests", "benches", "examples"] {
        for path in fs::read_dir(folder.join(part)).into_iter().flatten().map(|entry| entry.unwrap().path()) {
            roots.push(if path.is_dir() { path.join("main.rs") } else { path });
        }
    }
    roots.retain(|path| path.extension().is_some_and(|extension| extension == "rs") && path.exists());
    roots.sort();
    roots.dedup();
    roots
}

#[test]
fn every_crate_of_ours_forbids_unsafe_code() {
    let roots: Vec<_> = [".", "bench/load", "fuzz"].into_iter().flat_map(crate_roots).collect();
    let found = |end: &str| roots.iter().any(|path| path.ends_with(end));
    for end in
        ["src/lib.rs", "src/main.rs", "tests/supply_chain.rs", "tests/oracle/main.rs", "benches/classify.rs"]
    {
        assert!(found(end), "{end} is not among {roots:?}");
    }
    assert!(found("bench/load/src/main.rs") && found("fuzz/fuzz_targets/shape.rs"), "{roots:?}");
    let without: Vec<_> = roots
        .iter()
        .filter(|path| {
            !fs::read_to_string(path).unwrap().lines().any(|line| line == "#![forbid(unsafe_code)]")
        })
        .collect();
    assert!(without.is_empty(), "#![forbid(unsafe_code)] is missing in {without:?}");
}

/// The values of an instruction of the Dockerfile's last stage.
fn last_stage(instruction: &str) -> Vec<String> {
    let text = read("Dockerfile").replace("\\\n", " ");
    let stage = text.rsplit("\nFROM ").next().unwrap().to_owned();
    stage
        .lines()
        .filter_map(|line| line.strip_prefix(instruction)?.strip_prefix(' ').map(str::to_owned))
        .collect()
}

#[test]
fn the_image_runs_as_a_user_who_is_not_root_by_number() {
    let user = last_stage("USER").pop().expect("a USER");
    // Kubernetes cannot tell that a user is not root by its name.
    let ids: Vec<u32> = user.split(':').map(|id| id.parse().unwrap_or_else(|_| panic!("{user}"))).collect();
    assert!(ids.iter().all(|id| *id > 0), "{user}");
    assert_eq!(last_stage("HEALTHCHECK").len(), 1, "the engine can ask how it is");
}

#[test]
fn compose_gives_the_proxy_no_rights() {
    let compose = &yaml("docker-compose.yml")[0];
    let tidegate = &compose["services"]["tidegate"];
    assert_eq!(tidegate["read_only"].as_bool(), Some(true));
    assert_eq!(tidegate["cap_drop"], Yaml::Array(vec![Yaml::String("ALL".to_owned())]));
    assert_eq!(tidegate["security_opt"][0].as_str(), Some("no-new-privileges:true"));
    for port in tidegate["ports"].as_vec().unwrap() {
        assert!(port.as_str().unwrap().starts_with("127.0.0.1:"), "only this machine reaches {port:?}");
    }
}

#[test]
fn kubernetes_gives_the_proxy_no_rights() {
    for (file, kind) in [("deployment.yaml", "Deployment"), ("statefulset.yaml", "StatefulSet")] {
        let objects = yaml(&format!("examples/kubernetes/{file}"));
        let set = objects.iter().find(|object| object["kind"].as_str() == Some(kind)).unwrap();
        let pod = &set["spec"]["template"]["spec"];
        assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false), "{file}");
        let of_pod = &pod["securityContext"];
        assert_eq!(of_pod["runAsNonRoot"].as_bool(), Some(true), "{file}");
        assert!(of_pod["runAsUser"].as_i64().unwrap() > 0, "{file}");
        assert_eq!(of_pod["seccompProfile"]["type"].as_str(), Some("RuntimeDefault"), "{file}");
        for container in pod["containers"].as_vec().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(context["allowPrivilegeEscalation"].as_bool(), Some(false), "{file}");
            assert_eq!(context["readOnlyRootFilesystem"].as_bool(), Some(true), "{file}");
            assert_eq!(context["capabilities"]["drop"][0].as_str(), Some("ALL"), "{file}");
            assert!(context["capabilities"]["add"].is_badvalue(), "{file}");
        }
    }
}

#[test]
fn systemd_gives_the_proxy_no_rights() {
    let unit = read("examples/systemd/tidegate.service");
    let said: Vec<&str> = unit.lines().collect();
    for line in [
        "User=tidegate",
        "NoNewPrivileges=yes",
        "CapabilityBoundingSet=",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "ProtectProc=invisible",
        "MemoryDenyWriteExecute=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "SystemCallFilter=@system-service",
        "LimitCORE=0",
    ] {
        assert!(said.contains(&line), "{line} is missing");
    }
    assert!(!said.iter().any(|line| line.starts_with("ReadWritePaths=")), "it writes nothing");
}
