//! The fenced blocks of the documentation.

use std::fs;
use std::path::{Path, PathBuf};

/// A block of shell commands.
#[derive(Clone, Debug)]
pub struct Block {
    /// The page, from the root of the tree.
    pub page: String,
    /// The line of its fence.
    pub line: usize,
    /// Whether it is to be run.
    pub run: bool,
    /// What it says.
    pub text: String,
}

impl Block {
    /// Where it stands, for people.
    pub fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }
}

/// The root of the tree.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The shell blocks of README.md and docs/.
pub fn in_docs() -> Vec<Block> {
    let mut pages = vec![root().join("README.md")];
    pages.extend(markdown_in(&root().join("docs")));
    pages.iter().flat_map(|page| shell(page)).collect()
}

/// The shell blocks of the examples, which tests/examples.rs runs in its own way.
pub fn in_examples() -> Vec<Block> {
    let entries = fs::read_dir(root().join("examples")).unwrap().map(|entry| entry.unwrap().path());
    let folders = entries.filter(|entry| entry.is_dir());
    folders.flat_map(|folder| markdown_in(&folder)).flat_map(|page| shell(&page)).collect()
}

/// All fences of README.md and docs/: where, and what is said behind the backticks.
pub fn fences() -> Vec<(String, String)> {
    let mut pages = vec![root().join("README.md")];
    pages.extend(markdown_in(&root().join("docs")));
    pages.iter().flat_map(|page| fenced(page)).map(|(block, info)| (block.place(), info)).collect()
}

fn markdown_in(folder: &Path) -> Vec<PathBuf> {
    let mut pages: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    pages.retain(|page| page.extension().is_some_and(|extension| extension == "md"));
    pages.sort();
    pages
}

fn shell(page: &Path) -> Vec<Block> {
    fenced(page)
        .into_iter()
        .filter_map(|(block, info)| {
            let mut attributes = info.split(',');
            (attributes.next() == Some("sh")).then_some(())?;
            Some(Block { run: !attributes.any(|attribute| attribute == "norun"), ..block })
        })
        .collect()
}

/// Every fenced block of a page, with what is said behind its backticks.
fn fenced(page: &Path) -> Vec<(Block, String)> {
    let text = fs::read_to_string(page).unwrap();
    let page = page.strip_prefix(root()).unwrap().display().to_string();
    let mut found = Vec::new();
    let mut open: Option<(Block, String)> = None;
    for (index, line) in text.lines().enumerate() {
        match (&mut open, line.trim_start().strip_prefix("```")) {
            (None, Some(info)) => {
                let block = Block { page: page.clone(), line: index + 1, run: true, text: String::new() };
                open = Some((block, info.trim().to_owned()));
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (Some((block, _)), None) => {
                block.text.push_str(line);
                block.text.push('\n');
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a block has no end");
    found
}
