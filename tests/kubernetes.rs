//! The examples for Kubernetes fit what the program understands, and their parts fit each other.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tidegate::config::{Given, Host, ListenAddress, Settings, Sources, load};
use yaml_rust2::{Yaml, YamlLoader};

/// One file: the objects in it.
struct Example(Vec<Yaml>);

impl Example {
    fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes").join(name);
        let objects = YamlLoader::load_from_str(&fs::read_to_string(path).unwrap()).unwrap();
        for object in &objects {
            for field in ["apiVersion", "kind"] {
                assert!(object[field].as_str().is_some(), "{name}: {field} is missing in {object:?}");
            }
            assert!(object["metadata"]["name"].as_str().is_some(), "{name}: an object has no name");
        }
        Self(objects)
    }

    fn all(&self, kind: &str) -> Vec<&Yaml> {
        self.0.iter().filter(|object| object["kind"].as_str() == Some(kind)).collect()
    }

    fn one(&self, kind: &str) -> &Yaml {
        let [object] = self.all(kind)[..] else { panic!("not one {kind}") };
        object
    }

    /// The pods' template, the only container in it, and the object that makes them.
    fn pods(&self, kind: &str) -> (&Yaml, &Yaml, &Yaml) {
        let set = self.one(kind);
        let pod = &set["spec"]["template"]["spec"];
        let [container] = &pod["containers"].as_vec().unwrap()[..] else { panic!("not one container") };
        (set, pod, container)
    }

    /// What the program makes of the file in the `ConfigMap`, with the passwords of the Secret, as the instance of this number.
    fn settings(&self, container: &Yaml, peer_id: Option<i64>) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let secret = self.one("Secret")["stringData"].as_hash().unwrap();
        for (name, value) in secret {
            fs::write(folder.path().join(name.as_str().unwrap()), value.as_str().unwrap()).unwrap();
        }
        let mounts = list(&container["volumeMounts"]);
        let place = |name: &str| {
            mounts.iter().find(|mount| text(&mount["name"]) == name).map(|m| text(&m["mountPath"]))
        };
        let (config, secrets) = (place("config").unwrap(), place("secret").unwrap());
        let args: Vec<_> = list(&container["args"]).iter().map(text).collect();
        let [command, flag, path] = &args[..] else { panic!("{args:?}") };
        assert_eq!((command.as_str(), flag.as_str()), ("run", "--config"));
        let name = path.strip_prefix(&format!("{config}/")).unwrap();
        let said = text(&self.one("ConfigMap")["data"][name]);
        assert!(said.contains(&secrets), "no password is read from {secrets}");
        let file = folder.path().join(name);
        fs::write(&file, said.replace(&secrets, folder.path().to_str().unwrap())).unwrap();
        let flags = Given { peer_id: peer_id.map(|id| id.to_string()), ..Given::default() };
        load(&Sources { file: Some(file), flags, ..Sources::default() })
            .unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }
}

fn list(yaml: &Yaml) -> Vec<Yaml> {
    yaml.as_vec().unwrap_or_else(|| panic!("not a list: {yaml:?}")).clone()
}

fn text(yaml: &Yaml) -> String {
    yaml.as_str().unwrap_or_else(|| panic!("not a text: {yaml:?}")).to_owned()
}

fn number(yaml: &Yaml) -> i64 {
    yaml.as_i64().unwrap_or_else(|| panic!("not a number: {yaml:?}"))
}

fn port_of(container: &Yaml, name: &str) -> i64 {
    let ports = list(&container["ports"]);
    number(&ports.iter().find(|port| text(&port["name"]) == name).unwrap()["containerPort"])
}

/// The pods' ports are those that the program listens on, and whoever asks them asks the right one.
fn check_ports(example: &Example, container: &Yaml, settings: &Settings) {
    let listen: Vec<_> = settings.listen.iter().filter_map(ListenAddress::tcp).collect();
    assert_eq!(i64::from(listen[0].port()), port_of(container, "postgres"));
    let admin = settings.admin.unwrap();
    assert_eq!(i64::from(admin.port()), port_of(container, "admin"));
    assert!(!listen[0].ip().is_loopback() && !admin.ip().is_loopback(), "nobody outside the pod reaches it");
    for (probe, path) in
        [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
    {
        let get = &container[probe]["httpGet"];
        assert_eq!(
            (text(&get["path"]), text(&get["port"])),
            (path.to_owned(), "admin".to_owned()),
            "{probe}"
        );
    }
    for service in example.all("Service") {
        for port in list(&service["spec"]["ports"]) {
            assert_eq!(text(&port["targetPort"]), "postgres");
        }
    }
}

/// Objects are about the same pods.
fn check_labels(example: &Example, set: &Yaml) {
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert!(labels.as_hash().is_some_and(|labels| !labels.is_empty()));
    assert_eq!(&set["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&example.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&example.one("NetworkPolicy")["spec"]["podSelector"]["matchLabels"], labels);
    for service in example.all("Service") {
        assert_eq!(&service["spec"]["selector"], labels);
    }
    for spread in list(&set["spec"]["template"]["spec"]["topologySpreadConstraints"]) {
        assert_eq!(&spread["labelSelector"]["matchLabels"], labels);
    }
}

/// A pod has the time to drain, and a failover does not empty the Service.
fn check_times(pod: &Yaml, container: &Yaml, settings: &Settings) {
    assert!(settings.shutdown_delay >= Duration::from_secs(5), "the cluster needs time to hear of it");
    let seconds = |count: i64| Duration::from_secs(u64::try_from(count).unwrap());
    let grace = seconds(number(&pod["terminationGracePeriodSeconds"]));
    assert!(
        grace >= settings.shutdown_delay + settings.shutdown_timeout + Duration::from_secs(5),
        "{grace:?}"
    );
    let ready = &container["readinessProbe"];
    let patience = seconds(number(&ready["periodSeconds"]) * number(&ready["failureThreshold"]));
    assert!(patience > settings.databases[0].pool.failover_timeout, "{patience:?}");
}

/// The pods are what Kubernetes calls restricted, and the root of the container's files cannot be written to.
fn check_rights(pod: &Yaml, container: &Yaml) {
    let (of_pod, of_container) = (&pod["securityContext"], &container["securityContext"]);
    assert_eq!(of_pod["runAsNonRoot"].as_bool(), Some(true));
    // The Dockerfile's.
    assert_eq!((of_pod["runAsUser"].as_i64(), of_pod["runAsGroup"].as_i64()), (Some(10001), Some(10001)));
    assert_eq!(of_pod["seccompProfile"]["type"].as_str(), Some("RuntimeDefault"));
    assert_eq!(of_container["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(of_container["readOnlyRootFilesystem"].as_bool(), Some(true));
    let dropped: Vec<_> = list(&of_container["capabilities"]["drop"]).iter().map(text).collect();
    assert_eq!(dropped, ["ALL"]);
    assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false));
    for volume in ["hostPath", "emptyDir"] {
        assert!(list(&pod["volumes"]).iter().all(|v| v[volume].is_badvalue()), "it needs no {volume}");
    }
    assert!(["hostNetwork", "hostPID", "hostIPC"].iter().all(|own| pod[*own].is_badvalue()));
    for resource in ["cpu", "memory"] {
        assert!(!container["resources"]["requests"][resource].is_badvalue(), "nothing is said of {resource}");
    }
}

/// Passwords come from the Secret, as files that not everybody in the container may read, and nothing else says them.
fn check_secrets(example: &Example, pod: &Yaml, container: &Yaml) {
    let secret = example.one("Secret");
    let mounted = list(&pod["volumes"]).into_iter().find(|v| text(&v["name"]) == "secret").unwrap();
    assert_eq!(mounted["secret"]["secretName"], secret["metadata"]["name"]);
    let mode = number(&mounted["secret"]["defaultMode"]);
    assert_eq!(mode & 0o007, 0, "{mode:o}");
    assert_eq!(pod["securityContext"]["fsGroup"].as_i64(), Some(10001), "the program cannot read them");
    for (name, password) in secret["stringData"].as_hash().unwrap() {
        let password = text(password);
        assert_eq!(password, "change-me", "{name:?}: a real password is no example");
        let config = example.one("ConfigMap")["data"].as_hash().unwrap();
        assert!(config.values().all(|file| !text(file).contains(&password)));
    }
    let variables = container["env"].as_vec().into_iter().flatten();
    assert!(variables.into_iter().all(|variable| variable["value"].is_badvalue()), "a value is in the clear");
}

/// Clients reach the port for clients, the monitoring the admin address, and nobody anything else.
fn check_network(example: &Example) {
    let policy = &example.one("NetworkPolicy")["spec"];
    assert_eq!(list(&policy["policyTypes"]).iter().map(text).collect::<Vec<_>>(), ["Ingress"]);
    let rules = list(&policy["ingress"]);
    let ports: Vec<_> =
        rules.iter().flat_map(|rule| list(&rule["ports"])).map(|port| text(&port["port"])).collect();
    assert_eq!(ports, ["postgres", "admin"]);
    let from = |index: usize| list(&rules[index]["from"]).remove(0);
    let everybody = YamlLoader::load_from_str("{}").unwrap().remove(0);
    assert_eq!(from(0)["podSelector"], everybody, "all pods of the namespace, the peers among them");
    let monitoring = &from(1)["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"];
    assert_eq!(monitoring.as_str(), Some("monitoring"));
}

/// What the environment is given is what the program looks at.
fn check_environment(container: &Yaml) {
    let help = Command::new(env!("CARGO_BIN_EXE_tidegate")).args(["run", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    for variable in container["env"].as_vec().into_iter().flatten() {
        let name = text(&variable["name"]);
        assert!(help.contains(&format!("[env: {name}=")), "the program knows no {name}");
    }
}

fn check(example: &Example, kind: &str, peer_id: Option<i64>) -> Settings {
    let (set, pod, container) = example.pods(kind);
    let settings = example.settings(container, peer_id);
    assert!(number(&set["spec"]["replicas"]) >= 2);
    assert_eq!(number(&example.one("PodDisruptionBudget")["spec"]["maxUnavailable"]), 1);
    check_ports(example, container, &settings);
    check_labels(example, set);
    check_times(pod, container, &settings);
    check_environment(container);
    check_rights(pod, container);
    check_secrets(example, pod, container);
    check_network(example);
    settings
}

#[test]
fn the_stateful_set_numbers_its_pods_as_the_peers_are_listed() {
    let example = Example::read("statefulset.yaml");
    let set = example.one("StatefulSet");
    let (first, pods) = (number(&set["spec"]["ordinals"]["start"]), number(&set["spec"]["replicas"]));
    let (name, service) = (text(&set["metadata"]["name"]), text(&set["spec"]["serviceName"]));
    for ordinal in first..first + pods {
        let settings = check(&example, "StatefulSet", Some(ordinal));
        assert_eq!(settings.peer_id.map(|id| i64::from(id.number())), Some(ordinal));
        for other in first..first + pods {
            let peer = settings.peers.iter().find(|peer| i64::from(peer.id.number()) == other);
            let peer = peer.unwrap_or_else(|| panic!("the pod {other} is not among the peers"));
            assert_eq!(peer.host, Host::Tcp(format!("{name}-{other}.{service}")));
            assert_eq!(settings.listen[0].tcp().map(|address| address.port()), Some(peer.port));
        }
    }
    let headless =
        example.all("Service").into_iter().find(|s| text(&s["metadata"]["name"]) == service).unwrap();
    assert_eq!(headless["spec"]["clusterIP"].as_str(), Some("None"));
    assert_eq!(headless["spec"]["publishNotReadyAddresses"].as_bool(), Some(true));
    let (_, _, container) = example.pods("StatefulSet");
    let variable = &list(&container["env"])[0];
    assert_eq!(text(&variable["name"]), "TIDEGATE_PEER_ID");
    let field = text(&variable["valueFrom"]["fieldRef"]["fieldPath"]);
    assert_eq!(field, "metadata.labels['apps.kubernetes.io/pod-index']");
}

#[test]
fn the_deployment_needs_no_numbers() {
    let example = Example::read("deployment.yaml");
    let settings = check(&example, "Deployment", None);
    assert_eq!((settings.peer_id, settings.peers.len()), (None, 0));
    assert_eq!(text(&example.one("Service")["spec"]["sessionAffinity"]), "ClientIP");
}

#[test]
fn every_example_is_checked() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples/kubernetes");
    let names: BTreeSet<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.iter().map(String::as_str).collect::<Vec<_>>(), ["deployment.yaml", "statefulset.yaml"]);
}
