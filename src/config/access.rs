//! Who may come in from where: the files of rules, read with all files that they name.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::layer::DatabaseLayer;
use super::listen::ListenAddress;
use super::mistake::{Findings, Origin, Problem};
use super::settings::ClientAuth;
use super::top::TopLayer;
use crate::auth::hba::Rules;
use crate::auth::{Fault, IdentMaps, Text, Wanted};

/// Nobody writes so many rules: in bytes, per file.
const LARGEST: u64 = 16 * 1024 * 1024;

/// Who may come in from where, and how they prove who they are.
#[derive(Clone, Debug)]
pub struct AccessRules {
    /// `hba_file`.
    pub rules: Arc<Rules>,
    /// `ident_file`; empty where there is none.
    pub maps: Arc<IdentMaps>,
    /// What both are read from.
    texts: Vec<Text>,
}

/// What is read from the same texts is the same.
impl PartialEq for AccessRules {
    fn eq(&self, other: &Self) -> bool {
        self.texts == other.texts
    }
}

impl Eq for AccessRules {}

/// Paths in a file of settings start where that file is.
pub(super) fn start_at(layer: &mut TopLayer, folder: &Path) {
    for path in [&mut layer.hba_file, &mut layer.ident_file].into_iter().flatten() {
        *path = folder.join(&*path);
    }
}

/// Reads the rules, if there are some. `None` also if they cannot be used, which is noted.
pub(super) fn read(layer: &TopLayer, findings: &mut Findings) -> Option<AccessRules> {
    let mut texts = Vec::new();
    let Some(file) = &layer.hba_file else {
        if layer.ident_file.is_some() {
            let problem =
                Problem::new("there is no hba_file", "Name the rules that use its maps, or leave it out");
            findings.mistake(&Origin::new("ident_file"), problem);
        }
        return None;
    };
    let rules = open("hba_file", file, findings).and_then(|text| {
        let read = Rules::read(&text, &mut |asking, wanted| more(asking, wanted, &mut texts));
        texts.push(text);
        noted(read, findings)
    });
    let maps = match &layer.ident_file {
        None => Some(IdentMaps::default()),
        Some(file) => open("ident_file", file, findings).and_then(|text| {
            let read = IdentMaps::read(&text, &mut |asking, wanted| more(asking, wanted, &mut texts));
            texts.push(text);
            noted(read, findings)
        }),
    };
    let (rules, maps) = (Arc::new(rules?), Arc::new(maps?));
    Some(AccessRules { rules, maps, texts })
}

/// Where there are rules, they decide about every database, and nothing else does.
pub(super) fn check_database(is_ruled: bool, layer: &mut DatabaseLayer, findings: &mut Findings) {
    let origin = layer.origin.inside("client_auth");
    match (is_ruled, layer.tuning.client_auth) {
        (true, None | Some(ClientAuth::Hba)) => layer.tuning.client_auth = Some(ClientAuth::Hba),
        (true, Some(_)) => {
            let problem = "the rules of hba_file say how clients prove who they are";
            findings.mistake(&origin, Problem::new(problem, "Say it there, and leave this out"));
        }
        (false, Some(ClientAuth::Hba)) => {
            findings.mistake(&origin, Problem::new("there is no hba_file", "Name the file with the rules"));
        }
        (false, _) => {}
    }
}

/// What is risky, or never holds.
pub(super) fn warn(access: &AccessRules, listen: &[ListenAddress], findings: &mut Findings) {
    let open = listen.iter().find(|address| address.is_open_to_others());
    for rule in access.rules.iter() {
        let origin = Origin::new(format!("{}:{}", rule.file, rule.line));
        if let Some(map) = rule.map.as_ref().filter(|map| !access.maps.has(map)) {
            findings.warn(
                &origin,
                format_args!("no line of ident_file is about the map {map}, so nobody gets in by it"),
            );
        }
        if let Some(open) = open.filter(|_| rule.trusts_other_machines()) {
            let warning =
                format_args!("{open} can be reached from other machines, and this asks for no password");
            findings.warn(&origin, warning);
        }
    }
}

fn noted<T>(read: Result<T, Vec<Fault>>, findings: &mut Findings) -> Option<T> {
    read.map_err(|faults| {
        for Fault { file, line, problem, advice } in faults {
            findings.mistake(&Origin::new(format!("{file}:{line}")), Problem::new(problem, advice));
        }
    })
    .ok()
}

fn open(setting: &str, path: &Path, findings: &mut Findings) -> Option<Text> {
    let text = text(path)
        .map_err(|error| Problem::new(cannot_read(path, &error), "Check the path and who may read it"));
    findings.keep(&Origin::new(setting), text)
}

/// What a file asks for.
fn more(asking: &str, wanted: Wanted<'_>, all: &mut Vec<Text>) -> Result<Vec<Text>, String> {
    let folder = Path::new(asking).parent().unwrap_or(Path::new(""));
    let read = |path: &Path| text(path).map_err(|error| cannot_read(path, &error));
    let texts = match wanted {
        Wanted::File(name) => vec![read(&folder.join(name))?],
        Wanted::IfExists(name) => {
            let path = folder.join(name);
            match text(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
                read => vec![read.map_err(|error| cannot_read(&path, &error))?],
            }
        }
        Wanted::Folder(name) => {
            let folder = folder.join(name);
            let files = files(&folder).map_err(|error| cannot_read(&folder, &error))?;
            files.iter().map(|path| read(path)).collect::<Result<_, _>>()?
        }
    };
    all.extend(texts.iter().cloned());
    Ok(texts)
}

/// The files of a folder that are read: as in PostgreSQL, in the order of the bytes of their names.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_encoded_bytes();
        if name.ends_with(b".conf") && !name.starts_with(b".") && !path.is_dir() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn text(path: &Path) -> io::Result<Text> {
    if fs::metadata(path)?.len() > LARGEST {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(Text { name: path.display().to_string(), text: fs::read_to_string(path)? })
}

fn cannot_read(path: &Path, error: &io::Error) -> String {
    format!("the file {:?} cannot be read: {error}", path.display().to_string())
}
