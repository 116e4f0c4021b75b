//! TLS towards clients.

use super::*;

fn said(text: &str) -> Result<TlsSettings, Mistakes> {
    let sources = Sources { flags: given("postgres://a:b@h"), ..Sources::default() };
    from_file(text, sources).map(|settings| settings.tls)
}

const PAIR: &str = "ssl_cert_file = 'a.crt'\nssl_key_file = '/b.key'\n";

#[test]
fn a_certificate_is_enough() {
    let settings = said(PAIR).unwrap();
    assert_eq!((settings.ssl, settings.oldest), (Ssl::Allow, TlsVersion::V1_2));
    let files = settings.certificate.unwrap();
    assert!(
        files.certificate.is_absolute() && files.certificate.ends_with("a.crt"),
        "it lies beside the file"
    );
    assert_eq!(files.key, Path::new("/b.key"));
    assert_eq!(said("").unwrap(), TlsSettings::default());
    assert_eq!(said(&format!("ssl = 'off'\n{PAIR}")).unwrap().ssl, Ssl::Off);
    let more =
        "ssl = 'require'\nssl_min_protocol_version = 'tlsv1.3'\nssl_ca_file = 'c'\nssl_crl_file = 'd'\n";
    let settings = said(&format!("{more}{PAIR}")).unwrap();
    assert_eq!((settings.ssl, settings.oldest), (Ssl::Require, TlsVersion::V1_3));
    assert!(
        settings.authorities.unwrap().ends_with("c") && settings.revocation_lists.unwrap().ends_with("d")
    );
}

#[test]
fn names_have_certificates_of_their_own() {
    let sni = "[sni.'DB1.example.com.']\ncert_file = 'c'\nkey_file = 'd'\n[sni.'*.example.com']\ncert_file = 'e'\nkey_file = 'f'\n";
    let names = said(&format!("{PAIR}{sni}")).unwrap().names;
    let shown: Vec<_> =
        names.iter().map(|sni| (sni.name.as_str(), sni.files.key.file_name().unwrap())).collect();
    assert_eq!(shown, [("db1.example.com", "d".as_ref()), ("*.example.com", "f".as_ref())]);
}

#[test]
fn mistakes() {
    let one = |name: &str| format!("{PAIR}[sni.'{name}']\ncert_file = 'c'\nkey_file = 'd'\n");
    for (text, expected) in [
        ("ssl = 'on'", "It can be off, allow or require"),
        ("ssl = 'require'", "ssl: there is no ssl_cert_file"),
        ("ssl_cert_file = 'a'", "ssl_cert_file: ssl_key_file is missing"),
        ("ssl_key_file = 'a'", "ssl_key_file: ssl_cert_file is missing"),
        ("ssl_cert_file = ''", "no file is named"),
        ("ssl_min_protocol_version = 'TLSv1.1'", "Did you mean TLSv1.2? It can be TLSv1.2 or TLSv1.3"),
        ("ssl_crl_file = 'a'", "there is no ssl_ca_file"),
        ("[sni.'a.example']\ncert_file = 'c'\nkey_file = 'd'", "sni: there is no ssl_cert_file"),
        (&format!("{PAIR}[sni.'a.example']\ncert_file = 'c'"), "cert_file or key_file is missing"),
        (&format!("{PAIR}[sni.'a.example']\ncertfile = 'c'"), "Did you mean cert_file?"),
        (
            &format!("{}[sni.'A.example']\ncert_file = 'c'\nkey_file = 'd'\n", one("a.example")),
            "is given twice",
        ),
        (&one("127.0.0.1"), "is not the name of a server"),
        (&one("a.*.example"), "is not the name of a server"),
        (&one("*"), "is not the name of a server"),
        (&one(""), "is not the name of a server"),
    ] {
        assert_says(&said(text).expect_err(text), &[expected]);
    }
}
