use std::fs;
use std::os::unix::fs::PermissionsExt;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

use super::*;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// A certificate for itself, and its key.
    fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        (
            self.write(&format!("{name}.crt"), &certificate.pem()),
            self.write(&format!("{name}.key"), &key.serialize_pem()),
        )
    }
}

fn files((certificate, key): &(PathBuf, PathBuf)) -> PairFiles<'_> {
    PairFiles { certificate, key }
}

fn only(pair: &(PathBuf, PathBuf)) -> AcceptFiles<'_> {
    let own = files(pair);
    AcceptFiles { own, names: Vec::new(), authorities: None, revocation_lists: None, oldest: Oldest::V1_2 }
}

#[test]
fn a_name_picks_its_certificate() {
    let folder = Folder::new();
    let (own, one, any) = (folder.pair("own"), folder.pair("one"), folder.pair("any"));
    let names = vec![("db1.example.com", files(&one)), ("*.example.com", files(&any))];
    let acceptor = Acceptor::read(&AcceptFiles { names, ..only(&own) }).unwrap();
    let shown = |name: Option<&str>| {
        let end_point = acceptor.identity(name).end_point.clone().unwrap();
        let of = |pair: &(PathBuf, PathBuf)| super::end_point(&certificates(&pair.0).unwrap()[0]).unwrap();
        let pairs = [("own", &own), ("one", &one), ("any", &any)];
        pairs.into_iter().find(|(_, pair)| of(pair) == end_point).unwrap().0
    };
    for (name, expected) in [
        (None, "own"),
        (Some("db1.example.com"), "one"),
        (Some("DB1.Example.Com."), "one"),
        (Some("db2.example.com"), "any"),
        (Some("a.b.example.com"), "own"),
        (Some("example.com"), "own"),
        (Some("example.org"), "own"),
        (Some("*.example.com"), "any"),
        (Some(""), "own"),
    ] {
        assert_eq!(shown(name), expected, "{name:?}");
    }
    assert_eq!(acceptor.validities().len(), 3);
}

#[test]
fn every_mistake_names_its_file() {
    let folder = Folder::new();
    let (own, other) = (folder.pair("own"), folder.pair("other"));
    let crossed = (own.0.clone(), other.1.clone());
    let missing = (folder.0.path().join("missing.crt"), own.1.clone());
    let names = vec![("a.example.com", files(&missing))];
    let errors =
        Acceptor::read(&AcceptFiles { names, authorities: Some(&own.1), ..only(&crossed) }).unwrap_err();
    let text: Vec<String> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(text.len(), 3, "{text:?}");
    assert!(text[0].contains("own.key has no certificate"), "{text:?}");
    assert!(
        text[1].contains("other.key has a private key that does not belong to the certificate in"),
        "{text:?}"
    );
    assert!(text[1].contains("own.crt"), "{text:?}");
    assert!(text[2].contains("missing.crt cannot be read"), "{text:?}");
}

#[test]
fn what_files_hold_is_compared() {
    let folder = Folder::new();
    let own = folder.pair("own");
    let one = Acceptor::read(&only(&own)).unwrap();
    assert!(one.is_like(&Acceptor::read(&only(&own)).unwrap()));
    let with_authorities = Acceptor::read(&AcceptFiles { authorities: Some(&own.0), ..only(&own) }).unwrap();
    assert!(!one.is_like(&with_authorities));
    let again = folder.pair("own");
    assert!(!one.is_like(&Acceptor::read(&only(&again)).unwrap()));
}
