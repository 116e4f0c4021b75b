//! The TOML file.
//!
//! The document is walked with its positions instead of being handed to a deserializer, because that would stop at the
//! first wrong key or type. Parser errors are told by their line only: the text around them may be a password.

mod users;

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::access;
use super::document::{Walker, entries};
use super::keys;
use super::layer::{DatabaseLayer, NodesLayer};
use super::mistake::{Findings, Origin, Problem};
use super::node::{self, NodeSettings, parse_address};
use super::notes::Notes;
use super::redact::redact_url;
use super::reference::{Form, Section, form};
use super::secret::Secret;
use super::secret_file::{self, SecretFile};
use super::server_tls;
use super::tls::{self, SniLayer};
use super::top::{self, SECRETS, TopLayer};
use super::topology::Place;
use super::url;
use super::value::word;

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct FileLayer {
    pub(super) top: TopLayer,
    /// In which words, and where.
    pub(super) said: Notes,
    /// Databases by the name clients ask for, in the order of the file.
    pub(super) databases: Vec<(String, DatabaseLayer)>,
    /// Whether it could not be read, so that what is absent is no second mistake.
    pub(super) broken: bool,
}

impl FileLayer {
    fn broken() -> Self {
        Self { broken: true, ..Self::default() }
    }
}

/// Reads the file at `path` and notes every mistake in it.
pub(super) fn read(path: &Path, findings: &mut Findings) -> FileLayer {
    let origin = Origin::new(path.display().to_string());
    let file = match SecretFile::read(path) {
        Ok(file) => file,
        Err(error) => {
            let problem = format!("the file cannot be read: {error}");
            findings.mistake(&origin, Problem::new(problem, "Check the path and who may read it"));
            return FileLayer::broken();
        }
    };
    let (layer, holds_secret) = walk(path, &file.text, findings);
    if holds_secret && file.is_open_to_all() {
        let warning = "it holds a password, and every user of this machine can read it: chmod o-r, or put the password \
                       into a file of its own (password_file)";
        findings.warn(&origin, warning);
    }
    layer
}

/// Reads the text of the file at `path`, as [`read`] does.
#[cfg(any(test, fuzzing))]
pub(super) fn parse(path: &Path, text: &str, findings: &mut Findings) -> FileLayer {
    walk(path, text, findings).0
}

/// Reads the text of the file at `path`; relative paths in it start at its folder. Returns, too, whether a password or the
/// like stands in it.
///
/// Where the text is not TOML, what looks like a key may be a piece of a password, so nothing but the lines is told.
fn walk(path: &Path, text: &str, findings: &mut Findings) -> (FileLayer, bool) {
    let mut walker = Walker { path, text, findings, holds_secret: false };
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        let layer = walker.document(document.get_ref());
        return (layer, walker.holds_secret);
    }
    let mut origins: Vec<Origin> =
        errors.iter().map(|error| walker.at(&error.span().unwrap_or_default())).collect();
    origins.dedup();
    for origin in origins {
        let advice = "Look for a missing quotation mark, bracket or =, or for a key given twice";
        walker.findings.mistake(&origin, Problem::new("this is not TOML", advice));
    }
    (FileLayer::broken(), false)
}

impl Walker<'_> {
    fn document(&mut self, table: &DeTable<'_>) -> FileLayer {
        let mut layer = FileLayer::default();
        for (key, value, span) in entries(table) {
            let (at, origin) = (self.at(&span), self.at(&span).inside(key));
            self.note_top(&mut layer.said, key, value, &at);
            match key {
                "database" => {
                    for (name, value, span) in self.tables(&origin, value, "[database.NAME]") {
                        let origin = self.at(&span).inside(&format!("database.{name}"));
                        if let Some(table) = self.table(&origin, value) {
                            layer.databases.push((name.to_owned(), self.database(&origin, name, table)));
                        }
                    }
                }
                key if top::LISTS.contains(&key) => {
                    for text in self.texts(&origin, value) {
                        let result = layer.top.set(key, &text);
                        self.findings.keep(&origin, result);
                    }
                }
                "peers" => {
                    for (number, value, span) in self.tables(&origin, value, "[peers]") {
                        let origin = self.at(&span).inside(&format!("peers.{number}"));
                        if let Some(address) = self.scalar(&origin, value) {
                            let result = layer.top.add_peer(number, &address);
                            self.findings.keep(&origin, result);
                        }
                    }
                }
                "sni" => layer.top.sni = Some(self.server_names(&origin, value)),
                key if SECRETS.contains(&key.trim_end_matches("_file")) => {
                    let secret = if key.ends_with("_file") {
                        self.secret_file(&origin, value)
                    } else {
                        self.secret(&origin, value)
                    };
                    if let Some(secret) = secret {
                        let result = layer.top.set_secret(key.trim_end_matches("_file"), secret);
                        self.findings.keep(&origin, result);
                    }
                }
                "trace_sample" => {
                    if let Some(text) = self.fraction(&origin, value) {
                        let result = layer.top.set(key, &text);
                        self.findings.keep(&origin, result);
                    }
                }
                key if top::KEYS.contains(&key) => {
                    if let Some(text) = self.scalar(&origin, value) {
                        let result = layer.top.set(key, &text);
                        self.findings.keep(&origin, result);
                    }
                }
                _ => {
                    let known = top::KEYS.into_iter().chain(SECRETS);
                    let known = known.chain([
                        "console_password_file",
                        "admin_token_file",
                        "database",
                        "peers",
                        "sni",
                    ]);
                    self.findings.mistake(&origin, keys::unknown("setting", key, known));
                }
            }
        }
        let folder = self.path.parent().unwrap_or(Path::new(""));
        tls::start_at(&mut layer.top, folder);
        access::start_at(&mut layer.top, folder);
        layer
    }

    /// Notes what is said of the whole proxy.
    fn note_top(&self, said: &mut Notes, key: &str, value: &Spanned<DeValue<'_>>, at: &Origin) {
        match form(Section::Proxy, key) {
            Some(Form::Secret) => said.hide(key, at),
            // Where the secret itself is, is where it was said.
            Some(Form::Path) if SECRETS.contains(&key.trim_end_matches("_file")) => {
                said.hide(key.trim_end_matches("_file"), at);
            }
            Some(Form::Path) => {
                let path = value.get_ref().as_str().unwrap_or_default();
                said.say(key, &self.beside(Path::new(path)).display().to_string(), at);
            }
            _ => note(said, key, value, at),
        }
    }

    /// Notes what is said of a database. Its URL is noted by what it says.
    fn note_database(&self, said: &mut Notes, key: &str, value: &Spanned<DeValue<'_>>, at: &Origin) {
        let path = value.get_ref().as_str().filter(|_| form(Section::Database, key) == Some(Form::Path));
        match path {
            Some("" | "system") => note(said, key, value, at),
            Some(path) => said.say(key, &self.beside(Path::new(path)).display().to_string(), at),
            None if key == "url" => {}
            None => note(said, key, value, at),
        }
    }

    /// `[sni."db1.example.com"]`
    fn server_names(&mut self, origin: &Origin, value: &Spanned<DeValue<'_>>) -> Vec<SniLayer> {
        let mut names = Vec::new();
        for (name, value, span) in self.tables(origin, value, "[sni.\"db1.example.com\"]") {
            let origin = self.at(&span).inside(&format!("sni.{name}"));
            let Some(table) = self.table(&origin, value) else { continue };
            let mut layer = SniLayer { name: name.to_owned(), certificate: None, key: None, origin };
            for (key, value, span) in entries(table) {
                let origin = self.at(&span).inside(key);
                let Some(text) = self.scalar(&origin, value) else { continue };
                let file = self.findings.keep(&origin, tls::path(&text));
                match key {
                    "cert_file" => layer.certificate = file,
                    "key_file" => layer.key = file,
                    _ => {
                        let known = ["cert_file", "key_file"];
                        self.findings.mistake(&origin, keys::unknown("setting", key, known));
                    }
                }
            }
            names.push(layer);
        }
        names
    }

    fn database(&mut self, origin: &Origin, name: &str, table: &DeTable<'_>) -> DatabaseLayer {
        let mut layer = DatabaseLayer::new(origin.clone());
        let mut from_url = None;
        for (key, value, span) in entries(table) {
            let (at, origin) = (self.at(&span), self.at(&span).inside(&format!("database.{name}.{key}")));
            self.note_database(&mut layer.said, key, value, &at);
            match key {
                "url" => from_url = self.url(&origin, value, &mut layer.broken),
                "nodes" => layer.nodes = self.nodes(&origin, value, &mut layer.broken),
                "dbname" => layer.server_name = self.scalar(&origin, value),
                "user" => layer.users = self.users(&origin, name, value),
                "rule" => layer.rules = self.rules(&origin, name, value),
                "auth_file" => {
                    let path = self.scalar(&origin, value).filter(|path| !path.is_empty());
                    layer.tuning.auth_file =
                        path.map(|path| self.beside(Path::new(&path)).display().to_string());
                }
                keys::LOCKED_SETTINGS => layer.tuning.locked_settings = self.locked(&origin, value),
                key if keys::file_keys().any(|known| known == key) => {
                    if let Some(text) = self.scalar(&origin, value) {
                        let text = self.located(key, text);
                        let result = keys::set_from_file(&mut layer.tuning, key, &text);
                        self.findings.keep(&origin, result);
                    }
                }
                _ => {
                    let known = keys::file_keys().chain(["url", "nodes", "dbname", "user", "rule"]);
                    self.findings.mistake(&origin, keys::unknown("setting", key, known));
                }
            }
        }
        let mut layer = match from_url {
            Some(from_url) => self.join(origin, layer, from_url),
            None => layer,
        };
        layer.tuning.passfile = layer.tuning.passfile.map(|path| self.beside(&path));
        layer
    }

    /// A table and the URL in it may share a setting only if they agree on it.
    fn join(&mut self, origin: &Origin, table: DatabaseLayer, from_url: DatabaseLayer) -> DatabaseLayer {
        let mut conflicts = table.tuning.conflicts(&from_url.tuning);
        if table.nodes.is_some() && from_url.nodes.is_some() {
            conflicts.push("nodes");
        }
        if matches!((&table.server_name, &from_url.server_name), (Some(ours), Some(theirs)) if ours != theirs)
        {
            conflicts.push("dbname");
        }
        for name in conflicts {
            let problem =
                Problem::new(format!("the url and {name} say different things"), "Say it in one of the two");
            self.findings.mistake(&origin.inside(name), problem);
        }
        let origin = table.origin.clone();
        // The URL's user comes first, a password from the table wins.
        let joined = table.over(DatabaseLayer { users: Vec::new(), ..from_url.clone() });
        let users = DatabaseLayer { users: from_url.users, ..DatabaseLayer::new(origin.clone()) };
        DatabaseLayer { origin, ..users.over(joined) }
    }

    fn url(
        &mut self,
        origin: &Origin,
        value: &Spanned<DeValue<'_>>,
        broken: &mut bool,
    ) -> Option<DatabaseLayer> {
        let holds_secret = self.holds_secret;
        let layer = self.secret(origin, value).and_then(|text| {
            let origin = Origin::new(format!("{origin} {}", redact_url(text.expose())));
            let url = url::read(text.expose(), &origin, self.findings)?;
            // Whether there is one is only known now.
            self.holds_secret = holds_secret || url.password.is_some();
            Some(url.into_layer(&origin))
        });
        *broken |= layer.is_none();
        layer
    }

    fn nodes(
        &mut self,
        origin: &Origin,
        value: &Spanned<DeValue<'_>>,
        broken: &mut bool,
    ) -> Option<NodesLayer> {
        let DeValue::Array(array) = value.get_ref() else {
            self.wrong_type(origin, value.get_ref(), "a list such as [\"pg1:5432\", \"pg2:5432\"]");
            *broken = true;
            return None;
        };
        let mut nodes = Vec::with_capacity(array.len());
        for item in array {
            match self.node(origin, item) {
                Some(node) => nodes.push(node),
                None => *broken = true,
            }
        }
        Some(NodesLayer { nodes, place: Place::Servers, origin: origin.clone() })
    }

    /// `"pg1:5432"` or `{ address = "pg1:5432", role = "primary" }`.
    fn node(&mut self, origin: &Origin, value: &Spanned<DeValue<'_>>) -> Option<NodeSettings> {
        let DeValue::Table(table) = value.get_ref() else {
            let text = self.scalar(origin, value)?;
            return self.findings.keep(origin, parse_address(&text));
        };
        let (mut address, mut declared) = (None, None);
        let (mut weight, mut zone) = (None, None);
        for (key, value, span) in entries(table) {
            let origin = self.at(&span).inside(key);
            let Some(text) = self.scalar(&origin, value) else {
                continue;
            };
            match key {
                "address" => address = self.findings.keep(&origin, parse_address(&text)),
                "role" => declared = self.findings.keep(&origin, word(&text)),
                "weight" => weight = self.findings.keep(&origin, node::weight(&text)),
                "zone" => zone = self.findings.keep(&origin, node::zone(&text)),
                _ => {
                    let known = ["address", "role", "weight", "zone"];
                    self.findings.mistake(&origin, keys::unknown("setting", key, known));
                }
            }
        }
        if !table.keys().any(|key| key.get_ref() == "address") {
            let advice = "Write it as { address = \"pg1:5432\", role = \"primary\" }";
            self.findings.mistake(origin, Problem::new("a node has no address", advice));
        }
        address.map(|node| {
            let weight = weight.unwrap_or(node.weight);
            NodeSettings { declared, weight, zone, ..node }
        })
    }

    /// A value, which if it is the name of a file is meant from where the configuration is.
    fn located(&self, key: &str, text: String) -> String {
        if !server_tls::names_file(key, &text) {
            return text;
        }
        self.beside(Path::new(&text)).display().to_string()
    }

    /// What stands in the file that a value names.
    fn secret_file(&mut self, origin: &Origin, value: &Spanned<DeValue<'_>>) -> Option<Secret> {
        let path = self.scalar(origin, value)?;
        secret_file::secret(&self.beside(Path::new(&path)), origin, self.findings)
    }

    /// A path that starts at the folder of the file.
    fn beside(&self, path: &Path) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(path)
    }
}

/// Notes a value, or each of several, but for passwords.
fn note(said: &mut Notes, key: &str, value: &Spanned<DeValue<'_>>, at: &Origin) {
    match value.get_ref() {
        _ if key.starts_with("password") => said.hide("password", at),
        DeValue::String(text) => said.say(key, text, at),
        DeValue::Integer(number) => said.say(key, &number.to_string(), at),
        DeValue::Boolean(switch) => said.say(key, &switch.to_string(), at),
        DeValue::Array(items) => items.iter().for_each(|item| note(said, key, item, at)),
        _ => {}
    }
}
