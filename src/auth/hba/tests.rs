use super::*;

const NO_FILES: fn(&str, super::lines::Wanted<'_>) -> Result<Vec<Text>, String> =
    |_, _| Err("there are no files here".to_owned());

fn read(text: &str) -> Result<Rules, Vec<Fault>> {
    let text = Text { name: "pg_hba.conf".to_owned(), text: text.to_owned() };
    Rules::read(&text, &mut { NO_FILES })
}

fn rules(text: &str) -> Rules {
    read(text).unwrap_or_else(|faults| panic!("{text}: {faults:#?}"))
}

fn host(address: &str, is_encrypted: bool) -> Origin {
    Origin::Host { address: address.parse().unwrap(), is_encrypted }
}

/// The method that decides, or nobody's.
fn method(rules: &Rules, origin: Origin, database: &str, user: &str) -> Option<Method> {
    let database = Some(database).filter(|name| !name.is_empty());
    rules.first(&Connection { origin, database, user }, &[]).map(|rule| rule.method)
}

#[test]
fn the_first_rule_that_is_about_a_connection_decides() {
    let rules = rules(
        "local   all         all                    peer\n\
         hostssl all         ann     0.0.0.0/0      cert\n\
         host    all         ann     all            reject\n\
         host    app,\"other\" all   10.0.0.0/8     scram-sha-256\n\
         host    sameuser    all     10.0.0.0 255.0.0.0 md5\n\
         host    replication bob     all            scram-sha-256\n\
         hostnossl /^t\\d+$  /^x     ::1/128        trust\n\
         hostgssenc all      all     all            trust\n",
    );
    let (plain, tls) = (host("10.1.1.1", false), host("10.1.1.1", true));
    let table = [
        (Origin::Socket, "any", "any", Some(Method::Peer)),
        (tls, "app", "ann", Some(Method::Certificate)),
        (plain, "app", "ann", Some(Method::Reject)),
        (plain, "app", "bob", Some(Method::Scram)),
        (plain, "other", "bob", Some(Method::Scram)),
        (plain, "bob", "bob", Some(Method::Md5)),
        (plain, "cat", "bob", None),
        (host("11.1.1.1", false), "app", "bob", None),
        (host("::ffff:10.1.1.1", false), "app", "bob", Some(Method::Scram)),
        (host("11.1.1.1", false), "", "bob", Some(Method::Scram)),
        (host("11.1.1.1", false), "replication", "bob", None),
        (host("11.1.1.1", false), "", "cat", None),
        (host("::1", false), "t12", "xyz", Some(Method::Trust)),
        (host("::1", true), "t12", "xyz", None),
        (host("::1", false), "t12x", "xyz", None),
        (host("::1", false), "t12", "yx", None),
    ];
    for (origin, database, user, wanted) in table {
        assert_eq!(method(&rules, origin, database, user), wanted, "{origin:?} {database} {user}");
    }
}

#[test]
fn quoted_words_are_names() {
    let rules = rules(
        "host \"all\" \"all\" all trust\nhost \"replication\" \"+x\" all reject\nhost \"sameuser\" all all md5\n",
    );
    let at = host("10.1.1.1", false);
    assert_eq!(method(&rules, at, "all", "all"), Some(Method::Trust));
    assert_eq!(method(&rules, at, "app", "all"), None);
    assert_eq!(method(&rules, at, "all", "app"), None);
    assert_eq!(method(&rules, at, "replication", "+x"), Some(Method::Reject));
    assert_eq!(method(&rules, at, "", "+x"), None);
    assert_eq!(method(&rules, at, "x", "x"), None);
    assert_eq!(method(&rules, at, "sameuser", "x"), Some(Method::Md5));
}

#[test]
fn this_machines_addresses_are_handed_in() {
    assert!(!rules("local all all peer").needs_interfaces());
    let rules = rules("host all all samehost trust\nhost all all samenet md5\n");
    assert!(rules.needs_interfaces());
    let here = Network::new("10.0.0.5".parse().unwrap(), "255.255.255.0".parse().unwrap()).unwrap();
    let first = |address| {
        let connection = Connection { origin: host(address, false), database: Some("d"), user: "u" };
        rules.first(&connection, &[here]).map(|rule| rule.method)
    };
    assert_eq!(first("10.0.0.5"), Some(Method::Trust));
    assert_eq!(first("10.0.0.6"), Some(Method::Md5));
    assert_eq!(first("10.0.1.6"), None);
}

#[test]
fn options_are_kept() {
    let rules = rules(
        "hostssl all all all cert map=m clientname=DN clientcert=verify-full\n\
         hostssl all all all md5 clientcert=verify-ca\n\
         local all all peer \"map=a b\"\n\
         local all all ident\n",
    );
    let found: Vec<_> = rules
        .iter()
        .map(|rule| {
            (rule.line, rule.method, rule.map.as_deref(), rule.client_certificate, rule.certificate_name)
        })
        .collect();
    let (full, ca) = (Some(ClientCertificate::VerifyFull), Some(ClientCertificate::VerifyCa));
    let (common, distinguished) = (CertificateName::Common, CertificateName::Distinguished);
    let wanted = [
        (1, Method::Certificate, Some("m"), full, distinguished),
        (2, Method::Md5, None, ca, common),
        (3, Method::Peer, Some("a b"), None, common),
        (4, Method::Peer, None, None, common),
    ];
    assert_eq!(found, wanted);
}

#[test]
fn every_mistake_is_told_with_its_line() {
    let bad = [
        "hots all all all trust",
        "host,local all all all trust",
        "host",
        "host all",
        "host all all",
        "host all all 10.0.0.0/8",
        "host all all 10.0.0.0 trust",
        "host all all 10.0.0.0 255.0.0.0",
        "host all all 10.0.0.0 ff00:: trust",
        "host all all 10.0.0.0/33 trust",
        "host all all 10.0.0.0/ trust",
        "host all all 10.0.0.0/-1 trust",
        "host all all fd00::/129 trust",
        "host all all db.example.com trust",
        "host all all .example.com trust",
        "host all all 127.1 trust",
        "host all all \"all\" trust",
        "host all all all,10.0.0.0/8 trust",
        "host all all all trust,md5",
        "host all all all",
        "host all all all peer",
        "host all all all ident",
        "host all all all cert",
        "hostnossl all all all cert",
        "local all all cert",
        "host all all all password",
        "host all all all ldap ldapserver=x",
        "host all all all gss",
        "host all all all Trust",
        "host all +admins all trust",
        "host samerole all all reject",
        "host samegroup all all reject",
        "host all /( all trust",
        "host all /\\bx all trust",
        "host all all all trust map=x",
        "host all all all trust clientcert=verify-ca",
        "hostssl all all all trust clientcert=1",
        "hostssl all all all cert clientcert=verify-ca",
        "hostssl all all all cert clientname=cn",
        "host all all all trust x",
        "host all all all trust x=y",
        "host \"all all all trust",
        "host @gone all all trust",
    ];
    let text = bad.join("\n");
    let faults = read(&text).expect_err("all of these are mistakes");
    let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
    let mut sorted = lines.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, (1..=bad.len()).collect::<Vec<_>>(), "{faults:#?}");
    for line in bad {
        assert!(read(line).is_err(), "{line}");
    }
}

#[test]
fn a_file_without_rules_is_a_mistake() {
    for text in ["", "# nothing\n"] {
        assert_eq!(read(text).unwrap_err().len(), 1, "{text:?}");
    }
}

#[test]
fn attack_a_file_that_names_itself_again_and_again() {
    let text =
        || Text { name: "hba".to_owned(), text: "include hba\n".repeat(20) + "host all all all reject\n" };
    let mut asked = 0;
    let read = Rules::read(&text(), &mut |_, _| {
        asked += 1;
        Ok(vec![text()])
    });
    assert!(read.is_err());
    assert!(asked <= 1_000, "{asked} files");
}
