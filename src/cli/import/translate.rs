//! From what PgBouncer was told to what Tidegate is told. Pure.

use super::databases;
use super::ini::{Entry, Place};
use super::known::{self, Fate, Known, fate};
use super::listing::Listing;
use super::plan::{Group, Plan, Settings, Value};
use super::top;
use super::values::{Became, Pair};
use crate::config::nearest;

/// What the command line says about an import.
#[derive(Debug, Default)]
pub struct Wishes {
    /// Databases that `*` stands for.
    pub databases: Vec<String>,
    /// What files with passwords are called at the beginning of their names.
    pub stem: String,
}

/// A setting that was said, and where; or that was not, and what it is there then.
#[derive(Clone, Copy)]
pub(super) struct Said<'a> {
    pub(super) value: &'a str,
    pub(super) place: Option<&'a Place>,
}

/// What the sections say.
pub(super) struct Sections<'a> {
    proxy: Vec<&'a Entry>,
    pub(super) databases: Vec<&'a Entry>,
    pub(super) users: Vec<&'a Entry>,
    pub(super) peers: Vec<&'a Entry>,
}

impl<'a> Sections<'a> {
    /// What `[pgbouncer]` says of a setting; what was said last counts.
    pub(super) fn proxy(&self, name: &str) -> Option<Said<'a>> {
        let entry = self.proxy.iter().rev().find(|entry| entry.key == name)?;
        Some(Said { value: &entry.value, place: Some(&entry.place) })
    }

    /// Its value, or what it is without being said.
    pub(super) fn or(&self, name: &str, default: &'a str) -> Said<'a> {
        self.proxy(name).unwrap_or(Said { value: default, place: None })
    }
}

/// Translates a configuration.
pub fn translate(entries: &[Entry], listing: &Listing, wishes: &Wishes) -> Plan {
    let mut plan = Plan::default();
    let sections = sort(entries, &mut plan);
    let names: Vec<(&str, &str, &Place)> =
        sections.proxy.iter().map(|e| (e.key.as_str(), e.value.as_str(), &e.place)).collect();
    for (index, (name, value, place)) in names.iter().enumerate() {
        if names[index + 1..].iter().any(|(other, ..)| other == name) {
            plan.say(Group::Look, *name, Some(place), "it is said again further down, which counts");
        } else {
            judge(known::PROXY, name, value, place, "", &mut plan);
        }
    }
    top::top(&sections, listing, &mut plan);
    databases::databases(&sections, listing, wishes, &mut plan);
    top::console(&sections, listing, &mut plan);
    plan
}

fn sort<'a>(entries: &'a [Entry], plan: &mut Plan) -> Sections<'a> {
    const KNOWN: [&str; 4] = ["pgbouncer", "databases", "users", "peers"];
    let of = |section: &str| entries.iter().filter(|e| e.section == section).collect();
    for entry in entries.iter().filter(|entry| !KNOWN.contains(&entry.section.as_str())) {
        let text = match nearest(&entry.section, KNOWN) {
            Some(near) => format!("there is no section [{}]: did you mean [{near}]?", entry.section),
            None => format!("there is no section [{}]", entry.section),
        };
        plan.say(Group::Look, &entry.key, Some(&entry.place), text);
    }
    Sections { proxy: of("pgbouncer"), databases: of("databases"), users: of("users"), peers: of("peers") }
}

/// Says what becomes of a setting that is not translated. True if it is.
pub(super) fn judge(
    table: &'static [Known],
    name: &str,
    value: &str,
    place: &Place,
    of: &str,
    plan: &mut Plan,
) -> bool {
    let shown = shown(name, of);
    match fate(table, name) {
        Some(Fate::Taken) => return true,
        Some(Fate::Unneeded(why)) => plan.say(Group::Unneeded, shown, Some(place), why),
        Some(Fate::Missing(harmless, _)) if harmless.contains(&value) => {
            plan.say(Group::Same, shown, Some(place), "it is off, and there is nothing like it here");
        }
        Some(Fate::Missing(_, advice)) => plan.say(Group::Missing, shown, Some(place), advice),
        None => {
            let text = match nearest(name, table.iter().map(|(known, _)| *known)) {
                Some(near) => format!("PgBouncer has no setting of this name: did you mean {near}?"),
                None => "PgBouncer's manual has no setting of this name".to_owned(),
            };
            plan.say(Group::Look, shown, Some(place), text);
        }
    }
    false
}

/// A setting's name, and of what it is one.
pub(super) fn shown(name: &str, of: &str) -> String {
    if of.is_empty() { name.to_owned() } else { format!("{name} of {of}") }
}

/// Translates a setting that has a counterpart.
pub(super) fn convert(pair: &Pair, said: Said<'_>, of: &str, settings: &mut Settings, plan: &mut Plan) {
    let name = shown(pair.theirs, of);
    match pair.read(said.value) {
        Became::Value(value, note) => {
            let mut text = format!("{} = {value}", pair.ours);
            if said.place.is_none() {
                text.push_str(" (PgBouncer's default, which is not the one here)");
            }
            if !note.is_empty() {
                text.push_str(": ");
                text.push_str(note);
            }
            plan.say(Group::Taken, name, said.place, text);
            settings.set(pair.ours, value);
        }
        Became::Default => {
            settings.remove(pair.ours);
            if said.place.is_some() {
                plan.say(Group::Same, name, said.place, format!("{} is so by default", pair.ours));
            }
        }
        Became::Nothing(why) => {
            plan.say(
                Group::Look,
                name,
                said.place,
                format!("{why}: {} is left as it is by default", pair.ours),
            );
        }
    }
}

/// Takes over a text under another name, if there is one.
pub(super) fn take(
    name: &str,
    ours: &'static str,
    said: Option<Said<'_>>,
    settings: &mut Settings,
    plan: &mut Plan,
) {
    let Some(said) = said.filter(|said| !said.value.is_empty()) else { return };
    let value = Value::Text(said.value.to_owned());
    plan.say(Group::Taken, name, said.place, format!("{ours} = {value}"));
    settings.set(ours, value);
}
