//! Rules, maps and lists of users: any text is read without a panic, and a rule that lets somebody in without a proof is only there
//! if the text has said so.
#![forbid(unsafe_code)]
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use libfuzzer_sys::fuzz_target;
use tidegate::auth::hba::{Connection, Method, Origin, Rules};
use tidegate::auth::{IdentMaps, Text, Wanted, read_userlist};

/// Files that there are. A thousand, which is what a text may ask for, would take seconds.
const FILES: usize = 20;

fuzz_target!(|data: &[u8]| {
    let text = String::from_utf8_lossy(data);
    // The text itself stands for every file that it asks for.
    let mut asked = 0;
    let mut files = |_: &str, wanted: Wanted<'_>| {
        asked += 1;
        match wanted {
            _ if asked > FILES => Err("it cannot be read".to_owned()),
            Wanted::File("gone") => Err("it is not there".to_owned()),
            Wanted::IfExists("gone") => Ok(Vec::new()),
            _ => Ok(vec![Text { name: "again".to_owned(), text: text.to_string() }]),
        }
    };
    let whole = Text { name: "hba".to_owned(), text: text.to_string() };
    if let Ok(rules) = Rules::read(&whole, &mut files) {
        let address = IpAddr::V4(Ipv4Addr::from(data.len() as u32 * 0x0101_0101));
        let origins = [Origin::Socket, Origin::Host { address, is_encrypted: data.len() % 2 == 0 }];
        for origin in origins {
            for database in [Some("app"), None] {
                let found = rules.first(&Connection { origin, database, user: "ann" }, &[]);
                let is_open = found.is_some_and(|rule| rule.method == Method::Trust);
                assert!(!is_open || text.contains("trust"), "nobody has said so: {text:?}");
            }
        }
    }
    let maps = IdentMaps::read(&whole, &mut files);
    if let Ok(maps) = maps {
        let _ = maps.allow(Some("m"), &text, "ann");
    }
    // A password that stands where one belongs is in no complaint, whatever comes behind it.
    let (_, unreadable) = read_userlist(&format!("\"somebody\" \"{MARK}{text}"));
    assert!(!format!("{unreadable:?}").contains(MARK), "{unreadable:?}");
});

const MARK: &str = "a-password-nobody-writes";
