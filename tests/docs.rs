//! No dead links: every relative link in the Markdown files at the root and under `docs/` and `examples/` names a file of this
//! repository, and every anchor a heading of that file. Links to other sites are not followed. And the site's table of
//! contents is complete.
#![forbid(unsafe_code)]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

#[test]
fn no_dead_links() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<PathBuf> = markdown_in(root, false);
    pages.extend(markdown_in(&root.join("docs"), true));
    pages.extend(markdown_in(&root.join("examples"), true));
    pages.sort();
    let dead: Vec<String> = pages.iter().flat_map(|page| dead_links(root, page)).collect();
    assert!(dead.is_empty(), "{} dead links:\n{}", dead.len(), dead.join("\n"));
}

fn markdown_in(folder: &Path, deep: bool) -> Vec<PathBuf> {
    // What was installed there has links of its own.
    let is_installed = ["node_modules", "venv"].iter().any(|name| folder.ends_with(name));
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    if is_installed {
        return Vec::new();
    }
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        } else if deep && path.is_dir() {
            found.extend(markdown_in(&path, deep));
        }
    }
    found
}

/// The links of `page` that lead nowhere, each as `page:line: link: why`.
fn dead_links(root: &Path, page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).expect("a page is readable");
    let shown = page.strip_prefix(root).unwrap_or(page).display();
    let complaint = |(line, link): (usize, String)| {
        let why = check(root, page, &text, &link).err()?;
        Some(format!("{shown}:{line}: {link}: {why}"))
    };
    links(&without_comments(&text)).into_iter().filter_map(complaint).collect()
}

fn check(root: &Path, page: &Path, text: &str, link: &str) -> Result<(), String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return Ok(());
    }
    let (file, anchor) = link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    if file.is_empty() {
        return has_anchor(text, anchor.unwrap_or_default());
    }
    if file.starts_with('/') {
        return Err("an absolute path".to_owned());
    }
    let folder = page.parent().unwrap_or(root);
    let target = tidy(&folder.join(file.replace("%20", " ")));
    if !target.starts_with(root) {
        return Err("leaves the repository".to_owned());
    }
    if !target.exists() {
        return Err("no such file".to_owned());
    }
    match anchor {
        Some(anchor) if target.extension().is_some_and(|extension| extension == "md") => {
            let text = fs::read_to_string(&target).map_err(|error| error.to_string())?;
            has_anchor(&text, anchor)
        }
        _ => Ok(()),
    }
}

fn has_anchor(text: &str, anchor: &str) -> Result<(), String> {
    if anchors(text).contains(anchor) { Ok(()) } else { Err(format!("no heading #{anchor}")) }
}

/// `path` without `.` and `..`; the file need not exist.
fn tidy(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(tidied.pop()),
            Component::CurDir => {}
            other => tidied.push(other),
        }
    }
    tidied
}

/// The lines of prose with their numbers from 1: fenced blocks left out, inline code blanked when `blank_code`.
fn prose(text: &str, blank_code: bool) -> Vec<(usize, String)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (fence, mark) {
            (None, Some(mark)) => fence = Some(mark),
            (Some(open), Some(mark)) if open == mark => fence = None,
            (Some(_), _) => {}
            (None, None) if blank_code => lines.push((number + 1, without_code(line))),
            (None, None) => lines.push((number + 1, line.to_owned())),
        }
    }
    lines
}

fn without_code(line: &str) -> String {
    line.split('`').enumerate().map(|(index, part)| if index % 2 == 0 { part } else { "code" }).collect()
}

/// Every link target with its line: `[text](target)`, `[name]: target`, `href="target"` and `src="target"`.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text, true) {
        for (opening, closing) in [("](", ')'), ("href=\"", '"'), ("src=\"", '"')] {
            for rest in line.split(opening).skip(1) {
                let target = rest.split(closing).next().unwrap_or_default();
                found.push((number, bare(target)));
            }
        }
        if let Some((name, target)) = line.trim_start().split_once("]: ")
            && name.starts_with('[')
        {
            found.push((number, bare(target)));
        }
    }
    found
}

/// A target without its title or angle brackets.
fn bare(target: &str) -> String {
    let target = target.trim();
    let target = target.split([' ', '\t']).next().unwrap_or_default();
    target.trim_start_matches('<').trim_end_matches('>').to_owned()
}

/// The anchors a page offers: its headings as GitHub spells them, and `id="…"` or `name="…"` in HTML.
fn anchors(text: &str) -> HashSet<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut found = HashSet::new();
    for (_, line) in prose(text, false) {
        for attribute in ["id=\"", "name=\""] {
            found.extend(
                line.split(attribute).skip(1).filter_map(|rest| rest.split('"').next()).map(String::from),
            );
        }
        let level = line.bytes().take_while(|&byte| byte == b'#').count();
        if !(1..=6).contains(&level) || line.as_bytes().get(level) != Some(&b' ') {
            continue;
        }
        let slug = slug(&line[level..]);
        let times = seen.entry(slug.clone()).or_default();
        found.insert(if *times == 0 { slug } else { format!("{slug}-{times}") });
        *times += 1;
    }
    found
}

fn slug(heading: &str) -> String {
    let mut text = String::new();
    let mut rest = heading.trim();
    // [text](target) shows only its text
    while let Some((before, after)) = rest.split_once("](") {
        text.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    text.to_lowercase().chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The site's table of contents names every page of docs/ once, and nothing else. Comments in it do not count.
#[test]
fn the_table_of_contents_names_every_page_once() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let text = fs::read_to_string(docs.join("SUMMARY.md")).expect("a table of contents");
    let pages = markdown_in(&docs, true);
    let pages = pages.iter().map(|page| page.strip_prefix(&docs).expect("below docs/").display().to_string());
    let wrong = wrong_contents(&text, pages.filter(|page| page != "SUMMARY.md"));
    assert!(wrong.is_empty(), "docs/SUMMARY.md: {}", wrong.join(", "));
}

fn wrong_contents(contents: &str, pages: impl Iterator<Item = String>) -> Vec<String> {
    let mut named: HashMap<String, usize> = HashMap::new();
    for (_, page) in links(&without_comments(contents)) {
        *named.entry(page).or_default() += 1;
    }
    let mut wrong: Vec<String> = Vec::new();
    for page in pages {
        match named.remove(&page) {
            Some(1) => {}
            Some(times) => wrong.push(format!("{page} is named {times} times")),
            None => wrong.push(format!("{page} is missing")),
        }
    }
    wrong.extend(named.into_keys().map(|page| format!("{page} is no page")));
    wrong.sort();
    wrong
}

/// The text without HTML's comments, on the same lines.
fn without_comments(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<!--") {
        let (comment, after) = after.split_once("-->").unwrap_or((after, ""));
        kept.push_str(before);
        kept.extend(comment.chars().filter(|&c| c == '\n'));
        rest = after;
    }
    kept + rest
}

// ---------------------------------------------------------------------------------------------- the checker can fail

#[test]
fn wrong_tables_of_contents_are_found() {
    let contents = "- [A](a.md)\n- [B](b.md)\n- [B](b.md)\n<!-- - [C](c.md)\n -->- [D](d.md)\n";
    let wrong = wrong_contents(contents, ["a.md", "b.md", "c.md"].map(String::from).into_iter());
    assert_eq!(wrong, ["b.md is named 2 times", "c.md is missing", "d.md is no page"]);
}

#[test]
fn links_of_every_kind_are_seen() {
    let page = "[a](b.md) ![i](c.png \"title\") <a href=\"d.md\">\n```\n[no](no.md)\n```\n`[no](no.md)`\n[r]: <e.md>\n";
    let seen: Vec<(usize, String)> = links(page);
    let wanted = [(1, "b.md"), (1, "c.png"), (1, "d.md"), (6, "e.md")];
    assert_eq!(seen, wanted.map(|(line, link)| (line, link.to_owned())));
}

#[test]
fn headings_become_anchors_as_github_spells_them() {
    let page = "# Read & write: `SHOW tidegate.token`\n## Why?\n## Why?\n## [Link](x.md) 2\n<a id=\"here\"></a>\n```\n# no\n```\n";
    let wanted = ["read--write-show-tidegatetoken", "why", "why-1", "link-2", "here"];
    assert_eq!(anchors(page), wanted.into_iter().map(String::from).collect());
}

#[test]
fn dead_links_are_found() {
    let root = tempfile::tempdir().expect("a temporary folder");
    let docs = root.path().join("docs");
    fs::create_dir(&docs).expect("a folder");
    fs::write(docs.join("other.md"), "# Title\n").expect("a page");
    let page = docs.join("page.md");
    let text = "# Own\n[](other.md) [](other.md#title) [](#own) [](../docs/) [](https://x.y/z)\n\
                [](gone.md) [](other.md#gone) [](#gone) [](../../x) [](/etc) <!-- [](later.md) -->\n";
    fs::write(&page, text).expect("a page");
    let dead = dead_links(root.path(), &page);
    let wanted = [
        "docs/page.md:3: gone.md: no such file",
        "docs/page.md:3: other.md#gone: no heading #gone",
        "docs/page.md:3: #gone: no heading #gone",
        "docs/page.md:3: ../../x: leaves the repository",
        "docs/page.md:3: /etc: an absolute path",
    ];
    assert_eq!(dead, wanted);
}
