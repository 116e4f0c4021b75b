//! `tidegate import`: turns a configuration of PgBouncer into ours, and says what becomes of each setting.
//!
//! This file reads and writes; the rest is pure. Passwords go into files for their owner alone, never to the screen.

mod databases;
mod ini;
mod known;
mod listing;
mod login;
mod plan;
mod session;
mod top;
mod translate;
mod values;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use zeroize::Zeroizing;

use self::ini::{Entry, Text, read};
use self::listing::Listing;
use self::plan::{Group, Line, Plan};
use self::translate::{Wishes, translate};
use super::args::ImportArgs;
use super::refuse;
use crate::config::{Sources, load};

/// What files with passwords are called at the beginning where nothing is written.
const STEM: &str = "tidegate";

/// Imports. The exit code is 0 when what was made can be used as it is, 1 when something must be added, 2 when nothing was
/// made.
pub fn import(args: &ImportArgs) -> ExitCode {
    match made(args) {
        Ok(code) => code,
        Err(text) => refuse(&text),
    }
}

fn made(args: &ImportArgs) -> Result<ExitCode, String> {
    let entries = entries(&args.file)?;
    let (listing, note) = listing(args, &entries)?;
    let stem = args.output.as_ref().and_then(|path| path.file_stem()).and_then(|name| name.to_str());
    let wishes = Wishes { databases: args.database.clone(), stem: stem.unwrap_or(STEM).to_owned() };
    let plan = translate(&entries, &listing, &wishes);
    let Some(output) = &args.output else {
        print!("{}", plan.toml());
        eprint!("{}", report(&plan, note.as_deref()));
        for secret in &plan.secrets {
            eprintln!(
                "\nPasswords are not shown: say --output FILE, or write {} yourself (chmod 0600)",
                secret.name
            );
        }
        return Ok(ExitCode::from(u8::from(plan.databases.is_empty())));
    };
    write(&plan, output, args.force)?;
    print!("{}", report(&plan, note.as_deref()));
    println!("\nRead: {} ({} settings, {} listed users)", args.file.display(), entries.len(), listing.len());
    println!("Written: {}", output.display());
    for secret in &plan.secrets {
        println!("Written: {} (a password, for its owner alone)", beside(output, &secret.name).display());
    }
    match load(&Sources { file: Some(output.clone()), ..Sources::default() }) {
        Ok(settings) => {
            settings.warnings.iter().for_each(|warning| println!("warning: {warning}"));
            println!("Next: tidegate check --config {}", output.display());
            Ok(ExitCode::SUCCESS)
        }
        Err(mistakes) => {
            eprintln!("\nBefore it can be used, something must be added. {mistakes}");
            Ok(ExitCode::FAILURE)
        }
    }
}

/// What the file says, with all that it includes.
fn entries(path: &Path) -> Result<Vec<Entry>, String> {
    let folder = path.parent().unwrap_or(Path::new("")).to_owned();
    let mut include = |name: &str| {
        // PgBouncer means them from the folder in which it was started, which nobody knows here.
        let beside = folder.join(name);
        let found = if beside.exists() { beside } else { PathBuf::from(name) };
        text(&found)
    };
    let (entries, faults) = read(&text(path)?, &mut include);
    if faults.is_empty() {
        return Ok(entries);
    }
    let lines: Vec<String> =
        faults.iter().map(|fault| format!("  {}: {}", fault.place, fault.problem)).collect();
    Err(format!("PgBouncer could not read this either. Correct it first:\n{}", lines.join("\n")))
}

fn text(path: &Path) -> Result<Text, String> {
    let text = fs::read_to_string(path).map_err(|error| {
        format!("{} cannot be read: {error}. Check the path and who may read it", path.display())
    })?;
    Ok(Text { name: path.display().to_string(), text })
}

/// The list of users that is named on the command line, or by the configuration. One that only the latter names may be out of
/// reach: that is a note.
fn listing(args: &ImportArgs, entries: &[Entry]) -> Result<(Listing, Option<String>), String> {
    let said = entries.iter().rev().find(|entry| entry.section == "pgbouncer" && entry.key == "auth_file");
    let named = said.filter(|entry| !entry.value.is_empty());
    let folder = args.file.parent().unwrap_or(Path::new(""));
    let path = match (&args.userlist, named) {
        (Some(path), _) => path.clone(),
        (None, Some(entry)) => folder.join(&entry.value),
        (None, None) => return Ok((Listing::default(), None)),
    };
    let text = match fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => text,
        Err(error) => {
            let problem = format!("{} cannot be read: {error}", path.display());
            return match args.userlist {
                Some(_) => Err(format!("{problem}. Check the path and who may read it")),
                None => Ok((Listing::default(), Some(format!("{problem}. Name it with --userlist")))),
            };
        }
    };
    let path = std::path::absolute(&path).unwrap_or(path);
    let (listing, unreadable) = Listing::read(path.display().to_string(), &text);
    let lines: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
    let note = format!(
        "lines {} of {} cannot be read: write them as \"name\" \"password\"",
        lines.join(", "),
        path.display()
    );
    Ok((listing, (!lines.is_empty()).then_some(note)))
}

/// Writes the settings, and the passwords beside them.
fn write(plan: &Plan, output: &Path, may_replace: bool) -> Result<(), String> {
    let secrets = plan.secrets.iter().map(|secret| beside(output, &secret.name));
    let taken = secrets.chain([output.to_owned()]).find(|path| path.exists());
    if let Some(path) = taken.filter(|_| !may_replace) {
        return Err(format!(
            "{} is there already. Choose another name with --output, or say --force",
            path.display()
        ));
    }
    for secret in &plan.secrets {
        put(&beside(output, &secret.name), &secret.content, 0o600)?;
    }
    put(output, &plan.toml(), 0o644)
}

/// What is there is removed, so that the file has the rights that it is to have.
fn put(path: &Path, content: &str, mode: u32) -> Result<(), String> {
    let written = || -> io::Result<()> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
        file.write_all(content.as_bytes())
    };
    written().map_err(|error| {
        format!("{} cannot be written: {error}. Check the folder and who may write into it", path.display())
    })
}

fn beside(output: &Path, name: &str) -> PathBuf {
    output.parent().unwrap_or(Path::new("")).join(name)
}

/// What has become of each setting, by what has.
fn report(plan: &Plan, note: Option<&str>) -> String {
    let titles = [
        (Group::Taken, "Taken over"),
        (Group::Same, "The same by default"),
        (Group::Unneeded, "Not needed here"),
        (Group::Missing, "No counterpart, and what to do"),
        (Group::Look, "To be looked at"),
    ];
    let mut out = String::new();
    for (group, title) in titles {
        let lines: Vec<&Line> = plan.report.iter().filter(|line| line.group == group).collect();
        let note = note.filter(|_| group == Group::Look);
        if lines.is_empty() && note.is_none() {
            continue;
        }
        let gap = if out.is_empty() { "" } else { "\n" };
        let _ = writeln!(out, "{gap}{title}:");
        for Line { name, place, text, .. } in lines {
            let place = place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
            let _ = writeln!(out, "  {name}{place}: {text}");
        }
        out.extend(note.map(|note| format!("  auth_file: {note}\n")));
    }
    out
}
