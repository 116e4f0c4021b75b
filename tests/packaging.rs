//! What Tidegate is installed by: the script, the Debian package's description, the systemd units, the compose stack.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use yaml_rust2::{Yaml, YamlLoader};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

// ---------------------------------------------------------------------------------------------- scripts/install.sh

/// A place to install to, with a blank in its name, and an archive as scripts/archive.sh makes it.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let parts = place.path("parts");
        fs::create_dir(&parts).unwrap();
        // A debug build takes seconds to compress.
        let stands_in = format!("#!/bin/sh\nexec {} \"$@\"\n", env!("CARGO_BIN_EXE_tidegate"));
        fs::write(parts.join("tidegate"), stands_in).unwrap();
        fs::copy(root().join("config/tidegate.toml"), parts.join("tidegate.toml")).unwrap();
        fs::copy(root().join("examples/systemd/tidegate.service"), parts.join("tidegate.service")).unwrap();
        place.pack(&["tidegate", "tidegate.toml", "tidegate.service"]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn prefix(&self) -> PathBuf {
        self.path("a prefix")
    }

    fn archive(&self) -> PathBuf {
        self.path("tidegate.tar.gz")
    }

    fn pack(&self, parts: &[&str]) {
        let mut tar = Command::new("tar");
        tar.arg("-czf").arg(self.archive()).arg("-C").arg(self.path("parts")).args(parts);
        assert!(tar.status().unwrap().success());
    }

    fn sum(&self) -> String {
        let said = Command::new("sha256sum").arg(self.archive()).output().unwrap();
        String::from_utf8(said.stdout).unwrap().split(' ').next().unwrap().to_owned()
    }

    /// Runs the script with the prefix and `args`. Returns whether it succeeded, and what it said.
    fn install(&self, args: &[&str]) -> (bool, String) {
        let mut script = Command::new("sh");
        script.arg(root().join("scripts/install.sh")).arg("--prefix").arg(self.prefix()).args(args);
        said(&script.env("HOME", self.folder.path()).output().unwrap())
    }

    fn install_archive(&self, args: &[&str]) -> (bool, String) {
        let archive = self.archive();
        self.install(&[&["--from", archive.to_str().unwrap()], args].concat())
    }
}

fn said(output: &Output) -> (bool, String) {
    let text =
        [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text).into_owned()).concat();
    (output.status.success(), text)
}

#[test]
fn an_archive_is_installed() {
    let place = Place::new();
    let (ok, text) = place.install_archive(&["--sha256", &place.sum().to_uppercase()]);
    assert!(ok && text.contains("is not in your PATH"), "{text}");
    let program = place.prefix().join("bin/tidegate");
    let (runs, version) = said(&Command::new(&program).arg("--version").output().unwrap());
    assert!(runs && version.starts_with("tidegate "), "{version}");
    let installed = fs::read_to_string(place.prefix().join("share/tidegate/tidegate.toml")).unwrap();
    assert_eq!(installed, read("config/tidegate.toml"));
    assert!(place.prefix().join("share/tidegate/tidegate.service").is_file());
    // Once more, over what is there, while it runs; by the sum in the file beside it.
    let mut running =
        Command::new(&program).args(["explain", "select 1"]).stdout(Stdio::null()).spawn().unwrap();
    fs::write(place.path("tidegate.tar.gz.sha256"), format!("{}  tidegate.tar.gz\n", place.sum())).unwrap();
    let (ok, text) = place.install_archive(&[]);
    assert!(running.wait().unwrap().success());
    assert!(ok, "{text}");
    let left: Vec<_> =
        fs::read_dir(place.prefix().join("bin")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["tidegate"]);
}

#[test]
fn what_is_not_verified_is_not_installed() {
    let place = Place::new();
    let refused = |args: &[&str], why: &str| {
        let (ok, text) = place.install_archive(args);
        assert!(!ok && text.contains(why), "{args:?}: {text}");
        assert!(!place.prefix().exists(), "{args:?} has installed something");
    };
    refused(&[], "say the archive's checksum with --sha256");
    refused(&["--sha256", &"0".repeat(64)], "and not 0000");
    refused(&["--sha256"], "needs a value");
    refused(&["--frob"], "unknown argument: --frob");
    let (ok, text) = place.install(&["--sha256", "00"]);
    assert!(!ok && text.contains("name it with --from"), "{text}");
    // The right sum of something else.
    place.pack(&["tidegate.toml"]);
    refused(&["--sha256", &place.sum()], "has not what an archive of Tidegate has");
}

#[test]
fn a_place_that_cannot_be_written_to_is_named() {
    let place = Place::new();
    fs::write(place.prefix(), "a file").unwrap();
    let (ok, text) = place.install_archive(&["--sha256", &place.sum()]);
    assert!(!ok && text.contains("cannot be written to: choose another --prefix"), "{text}");
}

#[test]
fn a_dry_run_does_nothing() {
    let place = Place::new();
    for args in [
        &["--dry-run"][..],
        &["--dry-run", "--from", place.archive().to_str().unwrap(), "--sha256", &place.sum()],
    ] {
        let (ok, text) = place.install(args);
        assert!(ok, "{text}");
        assert!(text.contains("a prefix/bin/tidegate") && !place.prefix().exists(), "{text}");
    }
    let (_, text) = place.install(&["--dry-run"]);
    assert!(text.starts_with("cargo build --release --locked"), "{text}");
}

// ---------------------------------------------------------------------------------------------- every script

/// The shell scripts of the tree.
fn scripts() -> Vec<PathBuf> {
    let listed = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(listed.status.success(), "the tree is not one of git's");
    let paths = String::from_utf8(listed.stdout).unwrap();
    let is_script = |path: &PathBuf| {
        fs::read(path).is_ok_and(|text| {
            let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
            first.starts_with(b"#!") && (first.ends_with(b"sh"))
        })
    };
    paths.lines().map(|path| root().join(path)).filter(is_script).collect()
}

#[test]
fn scripts_are_clean() {
    let scripts = scripts();
    assert!(scripts.iter().any(|path| path.ends_with("scripts/install.sh")), "{scripts:?}");
    let checked =
        Command::new("shellcheck").args(["--external-sources", "--severity=warning"]).args(&scripts).output();
    let checked = checked.expect("shellcheck is there: scripts/setup.sh test installs it");
    let (clean, text) = said(&checked);
    assert!(clean, "{text}");
}

// ---------------------------------------------------------------------------------------------- the Debian package

/// The value of `key` in the package's description, as it is written there.
fn described(key: &str) -> String {
    let manifest = read("Cargo.toml");
    let (_, package) = manifest.split_once("[package.metadata.deb]\n").unwrap();
    let (_, value) = package.split_once(&format!("\n{key} = ")).unwrap_or_else(|| panic!("no {key}"));
    let end = if value.starts_with('[') {
        value.find("\n]\n").or_else(|| value.find('\n'))
    } else {
        value.find('\n')
    };
    value[..end.unwrap()].to_owned()
}

fn quoted(text: &str) -> Vec<&str> {
    text.split('"').skip(1).step_by(2).collect()
}

#[test]
fn the_package_has_what_it_names() {
    let (assets, script) = (described("assets"), read("scripts/deb.sh"));
    let mut installed = Vec::new();
    for asset in assets.lines().filter(|line| line.trim_start().starts_with("[\"")) {
        let [from, to, mode] = quoted(asset)[..] else { panic!("{asset}") };
        let folder = Path::new(from.trim_end_matches(|c| c != '/'));
        // What the program prints is written by the script that makes the package.
        let printed = from.strip_prefix("target/package/").map(|part| part.trim_end_matches("/*.1"));
        let there = from.starts_with("target/release/")
            || printed.is_some_and(|part| script.contains(&format!("$parts/{part}\"")))
            || root().join(from).is_file()
            || from.contains('*') && root().join(folder).is_dir();
        assert!(there, "{from} is not there");
        installed.push((to.to_owned(), mode.to_owned()));
    }
    let conf_files = described("conf-files");
    let [conf_file] = quoted(&conf_files)[..] else { panic!("{conf_files}") };
    let of_group = ("etc/tidegate/tidegate.toml".to_owned(), "640".to_owned());
    assert!(conf_file == "/etc/tidegate/tidegate.toml" && installed.contains(&of_group), "{installed:?}");
    assert!(installed.contains(&("usr/bin/".to_owned(), "755".to_owned())));

    let unit = read("examples/systemd/tidegate.service");
    let exec = unit.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
    assert_eq!(exec, format!("/usr/bin/tidegate run --config {conf_file}"));
    let user = unit.lines().find_map(|line| line.strip_prefix("User=")).unwrap();
    let postinst = read("packaging/debian/postinst");
    assert!(
        postinst.contains(&format!("/nonexistent {user}\n")) && postinst.contains("#DEBHELPER#"),
        "{postinst}"
    );
    assert!(postinst.contains(&format!("chgrp {user} /etc/tidegate {conf_file}")), "{postinst}");
    assert!(described("depends").contains("adduser"));
    // Without a word in prerm it would go on when the package is removed.
    assert!(read("packaging/debian/prerm").contains("stop tidegate.socket tidegate.service"));
}

// ---------------------------------------------------------------------------------------------- systemd

/// systemd's own opinion of the units. Where there is no systemd, there is none.
#[test]
fn systemd_accepts_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        println!("skipped: there is no systemd-analyze on this machine");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(root().join("examples/systemd")).unwrap() {
        let entry = entry.unwrap();
        // The program is not installed here.
        let text = fs::read_to_string(entry.path()).unwrap();
        let text = text.replace("/usr/bin/tidegate", env!("CARGO_BIN_EXE_tidegate"));
        let copy = folder.path().join(entry.file_name());
        fs::write(&copy, text).unwrap();
        fs::set_permissions(&copy, Permissions::from_mode(0o644)).unwrap();
    }
    let units =
        ["tidegate.service", "tidegate.socket", "tidegate-admin.socket"].map(|name| folder.path().join(name));
    let verified =
        Command::new("systemd-analyze").args(["verify", "--man=no"]).args(&units).output().unwrap();
    let (ok, text) = said(&verified);
    let complaints: Vec<_> =
        text.lines().filter(|line| line.contains(&*folder.path().to_string_lossy())).collect();
    assert!(ok && complaints.is_empty(), "{text}");
    // 0 is best, 10 is a service without any hardening.
    let rated = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager", "--threshold=20"])
        .arg(&units[0])
        .output()
        .unwrap();
    let (ok, text) = said(&rated);
    println!("{}", text.lines().last().unwrap_or_default());
    assert!(ok, "the unit is exposed to more than 2.0 of 10:\n{text}");
}

// ---------------------------------------------------------------------------------------------- the compose stack

fn yaml(path: &str) -> Yaml {
    YamlLoader::load_from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}")).remove(0)
}

fn texts(list: &Yaml) -> Vec<&str> {
    list.as_vec().into_iter().flatten().filter_map(Yaml::as_str).collect()
}

/// What the stack mounts is there, what it opens is reached from this machine only, and the monitoring finds the proxy.
#[test]
fn the_stack_fits() {
    let stack = yaml("docker-compose.yml");
    let services = stack["services"].as_hash().unwrap();
    for (name, service) in services {
        let name = name.as_str().unwrap();
        for mount in texts(&service["volumes"]) {
            let (from, rest) = mount.split_once(':').unwrap();
            assert!(root().join(from).exists(), "{name}: {from} is not there");
            assert!(rest.ends_with(":ro"), "{name}: {mount}");
        }
        for port in texts(&service["ports"]) {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port} is reached from other machines");
        }
    }
    let monitoring: Vec<_> =
        services.iter().filter(|(_, service)| !service["profiles"].is_badvalue()).collect();
    let names: Vec<_> = monitoring.iter().map(|(name, _)| name.as_str().unwrap()).collect();
    assert_eq!(names, ["prometheus", "grafana"]);
    assert!(monitoring.iter().all(|(_, service)| texts(&service["profiles"]) == ["monitoring"]));

    let prometheus = yaml("deploy/prometheus/prometheus.yml");
    let target = &prometheus["scrape_configs"][0]["static_configs"][0]["targets"][0];
    assert_eq!(target.as_str(), Some("tidegate:6433"));
    assert_eq!(stack["services"]["tidegate"]["environment"]["TIDEGATE_ADMIN"].as_str(), Some("0.0.0.0:6433"));
    let source = yaml("deploy/grafana/provisioning/datasources/prometheus.yml");
    assert_eq!(source["datasources"][0]["url"].as_str(), Some("http://prometheus:9090"));
    let dashboards = yaml("deploy/grafana/provisioning/dashboards/tidegate.yml");
    let place = dashboards["providers"][0]["options"]["path"].as_str().unwrap();
    let mounts = texts(&stack["services"]["grafana"]["volumes"]);
    assert!(mounts.contains(&&*format!("./deploy/grafana:{place}:ro")), "{mounts:?}");
}
