//! What `tests/drivers/setup.sh` and the like install: the drivers of other languages.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

/// What a driver is run with: a program, and its arguments.
pub type Driver = Vec<PathBuf>;

/// Where `setup.sh` has put things.
pub struct Tools {
    python: PathBuf,
    node: PathBuf,
    modules: PathBuf,
}

impl Tools {
    /// A script by its path in the tree.
    pub fn python_script(&self, path: &str) -> Driver {
        // -B: no compiled files in the tree.
        vec![self.python.clone(), "-B".into(), root().join(path)]
    }

    /// A script that lies beside the modules.
    pub fn node_script(&self, name: &str) -> Driver {
        vec![self.node.clone(), self.modules.join(name)]
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a script of the tree that installs something, and returns what finds the paths it has printed as `name=path`.
pub fn installed_by(script: &str) -> impl Fn(&str) -> PathBuf {
    let printed = run(Command::new("sh").arg(root().join(script)));
    let script = script.to_owned();
    move |name| {
        let found = printed.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        PathBuf::from(found.unwrap_or_else(|| panic!("{script} named no {name}: {printed}")))
    }
}

/// Installs them, the first time.
pub fn tools() -> &'static Tools {
    static TOOLS: OnceLock<Tools> = OnceLock::new();
    TOOLS.get_or_init(|| {
        let path = installed_by("tests/drivers/setup.sh");
        Tools { python: path("python"), node: path("node"), modules: path("modules") }
    })
}

/// Runs a program and returns what it printed. Fails, showing everything, if it does.
pub fn run(command: &mut Command) -> String {
    let Output { status, stdout, stderr } =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}
