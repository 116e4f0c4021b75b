//! Who comes in, with what, and who asks the proxy's own questions.

use zeroize::Zeroizing;

use super::databases::Line;
use super::listing::Listing;
use super::plan::{Database, Group, Plan, SecretFile, Settings, Value};
use super::translate::{Said, Sections, Wishes, shown};

/// PgBouncer's own query, which is all but the one here.
const QUERY: &str = "SELECT rolname, CASE WHEN rolvaliduntil < now() THEN NULL ELSE rolpassword END FROM pg_authid WHERE rolname=$1 AND rolcanlogin";

/// What holds for all databases.
pub(super) struct Login<'a> {
    listing: &'a Listing,
    user: Option<Said<'a>>,
    query: Option<Said<'a>>,
    /// `client_auth`; `None` where rules say it.
    method: Option<&'static str>,
}

impl<'a> Login<'a> {
    pub(super) fn of(sections: &Sections<'a>, listing: &'a Listing, plan: &mut Plan) -> Self {
        let said = sections.or("auth_type", "md5");
        let looked_up = sections.proxy("auth_user").is_some();
        let (method, group, text) = match said.value {
            "scram-sha-256" => ("scram", Group::Same, "client_auth is scram by default"),
            "md5" if listing.has_md5() || looked_up => ("md5", Group::Taken, "client_auth = \"md5\""),
            "md5" => (
                "scram",
                Group::Taken,
                "client_auth is scram by default: the passwords are the same, and drivers of this decade speak it; \
                 say client_auth = \"md5\" for older ones",
            ),
            "cert" => ("cert", Group::Taken, "client_auth = \"cert\""),
            "trust" => ("trust", Group::Taken, "client_auth = \"trust\""),
            "hba" => {
                let text = "the rules of hba_file decide; those that cannot be followed here are refused by tidegate check";
                plan.say(Group::Taken, "auth_type", said.place, text);
                return Self {
                    listing,
                    user: sections.proxy("auth_user"),
                    query: sections.proxy("auth_query"),
                    method: None,
                };
            }
            "any" => (
                "trust",
                Group::Missing,
                "client_auth = \"trust\" asks for nothing either, but clients log in to the servers as who they say they are",
            ),
            "plain" => (
                "scram",
                Group::Missing,
                "passwords do not cross the network as they are here: client_auth is scram",
            ),
            "pam" | "ldap" => (
                "scram",
                Group::Missing,
                "there is neither PAM nor LDAP here: client_auth is scram, with passwords from auth_file or auth_query",
            ),
            _ => (
                "scram",
                Group::Look,
                "it is no way to log in that PgBouncer's manual knows: client_auth is scram",
            ),
        };
        if said.place.is_some() || group != Group::Same {
            plan.say(group, "auth_type", said.place, text);
        }
        Self {
            listing,
            user: sections.proxy("auth_user"),
            query: sections.proxy("auth_query"),
            method: Some(method),
        }
    }

    /// What a database's line says of it.
    pub(super) fn of_database(
        &self,
        line: &Line<'_>,
        database: &mut Database,
        wishes: &Wishes,
        plan: &mut Plan,
    ) {
        let of = database.name.clone();
        if let Some(method) = self.method.filter(|method| *method != "scram") {
            database.settings.set("client_auth", Value::Text(method.to_owned()));
        }
        if let Some(path) = &self.listing.path {
            let value = Value::Text(path.clone());
            // It is the same for all databases.
            if plan.databases.is_empty() {
                plan.say(Group::Taken, "auth_file", None, format!("auth_file = {value}"));
            }
            database.settings.set("auth_file", value);
        }
        let asker = self.forced(line, database, wishes, plan);
        let lookup = self.lookup(line, database, plan);
        let known = asker.or(lookup);
        if known.is_none() {
            if let Some(name) = self.listing.asker(self.method != Some("trust")) {
                database.user(name);
            } else {
                let text = "nobody is known who could ask the proxy's own questions to the servers: add a section \
                            [database.NAME.user.USER] with password_file in front of all others";
                plan.say(Group::Look, shown("the first user", &of), Some(&line.entry.place), text);
            }
        }
    }

    /// Whoever all clients are there, who comes first here.
    fn forced(
        &self,
        line: &Line<'_>,
        database: &mut Database,
        wishes: &Wishes,
        plan: &mut Plan,
    ) -> Option<()> {
        let said = line.get("user").filter(|said| !said.value.is_empty())?;
        let of = database.name.clone();
        let name = said.value;
        let password = line.get("password").filter(|said| !said.value.is_empty());
        let text = format!(
            "clients are themselves on the servers, too, and log in with their own passwords: {name} is only one of them, and asks \
             the proxy's own questions"
        );
        plan.say(Group::Missing, shown("user", &of), said.place, text);
        let user = database.user(name);
        match password {
            Some(password) => {
                let file = secret_name(&wishes.stem, &of);
                let text = format!("password_file = \"{file}\", which is for its owner alone");
                plan.say(Group::Taken, shown("password", &of), password.place, text);
                user.set("password_file", Value::Text(file.clone()));
                let content = Zeroizing::new(format!("{}\n", password.value));
                plan.secrets.retain(|known| known.name != file);
                plan.secrets.push(SecretFile { name: file, content });
            }
            None if self.listing.has_password(name) || self.method == Some("trust") => {}
            None => {
                let text =
                    format!("the password of {name} is not known here: add password_file to its section");
                plan.say(Group::Look, shown("user", &of), said.place, text);
            }
        }
        Some(())
    }

    /// Users that are looked up.
    fn lookup(&self, line: &Line<'_>, database: &mut Database, plan: &mut Plan) -> Option<()> {
        let of = database.name.clone();
        let user = line.get("auth_user").or(self.user).filter(|said| !said.value.is_empty())?;
        if self.method == Some("trust") {
            plan.say(
                Group::Unneeded,
                shown("auth_user", &of),
                user.place,
                "nobody proves anything, so nobody is looked up",
            );
            return None;
        }
        let said = line.get("auth_query").or(self.query);
        let squeezed =
            |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_lowercase();
        let query = match said.map(|said| said.value).filter(|query| !query.is_empty()) {
            Some(query) if squeezed(query) != squeezed(QUERY) => query,
            _ => "default",
        };
        let (query, name) = (Value::Text(query.to_owned()), Value::Text(user.value.to_owned()));
        let text = format!("auth_query = {query}, auth_user = {name}");
        plan.say(Group::Taken, shown("auth_user, auth_query", &of), user.place, text);
        database.settings.set("auth_query", query);
        database.settings.set("auth_user", name);
        let settings = database.user(user.value);
        if settings.get("password_file").is_none() && !self.listing.has_password(user.value) {
            let text = format!(
                "{} logs in to the servers and needs a password: add password_file to its section",
                user.value
            );
            plan.say(Group::Look, shown("auth_user", &of), user.place, text);
        }
        Some(())
    }

    /// Gives a user a section of its own, if it can log in: by the list, by being looked up, or without any proof.
    pub(super) fn section(&self, name: &str, database: &mut Database, said: &Settings, plan: &mut Plan) {
        let is_looked_up = database.settings.get("auth_query").is_some();
        let needs_none = matches!(self.method, Some("trust" | "cert"));
        let is_there = database.users.iter().any(|user| user.name == name);
        if is_looked_up || needs_none || is_there || self.listing.has(name) {
            database.user(name).fill(said);
        } else {
            let shown = format!("user {name}");
            // It is the same for all databases.
            if plan.report.iter().any(|line| line.group == Group::Look && line.name == shown) {
                return;
            }
            let text = format!(
                "nothing is known of its password: add sections [database.NAME.user.{name}] with password_file"
            );
            plan.say(Group::Look, shown, None, text);
        }
    }
}

/// The file with a database's password. Its name has nothing that a path could have.
fn secret_name(stem: &str, database: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    format!("{stem}.{}.password", database.chars().map(plain).collect::<String>())
}
