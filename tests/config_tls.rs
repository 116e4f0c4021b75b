//! What can be said about TLS towards servers, and what cannot be meant.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rcgen::{CertificateParams, KeyPair};
use tidegate::config::{
    ChannelBinding, Given, Secret, ServerTls, Settings, Sources, SslMode, SslNegotiation, load,
};

fn read(parameters: &str) -> Result<Settings, String> {
    let url = Some(Secret::new(format!("postgres://app:secret@pg1/app?{parameters}")));
    let sources = Sources { flags: Given { url, ..Given::default() }, ..Sources::default() };
    load(&sources).map_err(|mistakes| mistakes.to_string())
}

fn tls(parameters: &str) -> ServerTls {
    read(parameters).unwrap_or_else(|mistakes| panic!("{mistakes}")).databases[0].server_tls.clone()
}

#[track_caller]
fn refused(parameters: &str, says: &str) {
    let text = read(parameters).err().unwrap_or_else(|| panic!("{parameters} is taken"));
    assert!(text.contains(says), "{parameters}: {says:?} is missing in:\n{text}");
    assert_eq!(text.lines().next(), Some("There is a mistake in the configuration:"), "{text}");
}

fn write(folder: &Path, name: &str, text: &str, mode: u32) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn certificate(key: &KeyPair) -> String {
    CertificateParams::new(vec!["pg1".to_owned()]).unwrap().self_signed(key).unwrap().pem()
}

#[test]
fn nothing_said_is_libpqs_default() {
    let said = tls("");
    assert_eq!((said.mode, said.negotiation), (SslMode::Prefer, SslNegotiation::Postgres));
    assert_eq!(said.channel_binding, ChannelBinding::Prefer);
    assert!(said.client().is_some());
    assert_eq!(tls("sslrootcert=&sslcert=&sslkey=&sslcrl="), said, "empty names are none");
    assert!(tls("sslmode=disable").client().is_none());
}

#[test]
fn what_drivers_know_by_other_names() {
    assert_eq!(tls("ssl=true").mode, SslMode::Require);
    assert_eq!(tls("sslaccept=accept_invalid_certs").mode, SslMode::Prefer);
    assert_eq!(tls("sslaccept=strict").mode, SslMode::VerifyFull);
    assert_eq!(tls("sslmode=require&sslaccept=strict").mode, SslMode::VerifyFull);
    assert_eq!(tls("sslrootcert=system").mode, SslMode::VerifyFull);
    refused("ssl=no", "Say what you want with sslmode");
    refused("sslidentity=a.p12", "PKCS #12 files are not read");
    refused("sslpassword=hunter2", "encrypted keys are not read");
    assert!(!read("sslpassword=hunter2").unwrap_err().contains("hunter2"));
}

#[test]
fn what_cannot_be_meant_is_a_mistake() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let root = write(folder.path(), "root.crt", &certificate(&key), 0o644);
    for (parameters, says) in [
        ("sslmode=sure", "\"sure\" is not known here"),
        ("sslmode=verify-ca", "needs to know who is trusted to sign certificates"),
        ("sslmode=verify-full", "needs to know who is trusted to sign certificates"),
        ("sslmode=require&sslrootcert=system", "sslrootcert=system and sslmode=require do not go together"),
        ("sslmode=prefer&ssl=true", "ssl=true and sslmode=prefer do not go together"),
        ("sslmode=prefer&sslaccept=strict", "sslaccept=strict and sslmode=prefer do not go together"),
        ("sslmode=disable&channel_binding=require", "nothing to bind to without encryption"),
        ("sslnegotiation=direct", "sslnegotiation=direct and sslmode=prefer do not go together"),
        ("sslmode=allow&sslnegotiation=direct", "sslnegotiation=direct and sslmode=allow"),
        ("sslcert=/a", "it has no key"),
        ("sslkey=/a", "it has no certificate"),
        ("ssl_max_protocol_version=TLSv1.1", "no version of TLS before 1.2"),
        ("ssl_max_protocol_version=TLSv1.2&ssl_min_protocol_version=TLSv1.3", "lower than ssl_min"),
        ("sslsni=maybe", "neither 1 nor 0"),
        ("channel_binding=always", "\"always\" is not known here"),
        ("gssencmode=require", "cannot be encrypted by GSSAPI"),
        ("ssmode=require", "Did you mean sslmode?"),
        ("sslrootcert=/nowhere/root.crt", "the file \"/nowhere/root.crt\" cannot be read"),
        ("sslrootcert=/", "the file \"/\" is not a regular file"),
    ] {
        refused(parameters, says);
    }
    refused(&format!("sslrootcert={root}&sslaccept=accept_invalid_certs"), "Leave one of the two out");
    assert!(read("gssencmode=prefer").is_ok());
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let crt = write(folder.path(), "app.crt", &certificate(&key), 0o644);
    let good = write(folder.path(), "app.key", &key.serialize_pem(), 0o600);
    let open = write(folder.path(), "open.key", &key.serialize_pem(), 0o644);
    let wrong = write(folder.path(), "wrong.key", &other.serialize_pem(), 0o600);
    assert!(read(&format!("sslcert={crt}&sslkey={good}")).is_ok());
    refused(
        &format!("sslcert={crt}&sslkey={open}"),
        "open.key\" is a private key that group or world can access",
    );
    refused(&format!("sslcert={crt}&sslkey={wrong}"), "belongs to the certificate (sslcert)");
    refused(&format!("sslcert={good}&sslkey={good}"), "app.key\" has no certificate");
    refused(&format!("sslrootcert={good}"), "app.key\" has no certificate");
    refused(&format!("sslrootcert={crt}&sslcrl={crt}"), "app.crt\" has no certificate revocation list");
}

#[test]
fn settings_are_others_when_their_files_have_others_contents() {
    let folder = tempfile::tempdir().unwrap();
    let key = KeyPair::generate().unwrap();
    let file = folder.path().join("tidegate.toml");
    let text = "[database.app]\nurl = 'postgres://app:secret@pg1/app'\nsslmode = 'verify-ca'\nsslrootcert = 'root.crt'\n";
    fs::write(&file, text).unwrap();
    write(folder.path(), "root.crt", &certificate(&key), 0o644);
    let read = || load(&Sources { file: Some(file.clone()), ..Sources::default() }).unwrap();
    let before = read();
    assert_eq!(before, read());
    write(folder.path(), "root.crt", &certificate(&key), 0o644);
    assert_ne!(before, read(), "a certificate of another number");
    let shown = format!("{before:?}");
    assert!(shown.contains("ServerTls(verify-ca, postgres, prefer, …)"), "{shown}");
}
