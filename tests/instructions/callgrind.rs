//! A process under valgrind's callgrind, told by `vgdb` when to count.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How the dump of the main thread ends, on which the monitor runs.
const MAIN_THREAD: &str = "-01";

/// Whether valgrind and its control program are here and run on this machine; if not, why.
pub fn is_usable() -> Result<(), String> {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return Err("the limits are those of Linux on x86_64".to_owned());
    }
    let trial = ["--tool=callgrind", "--callgrind-out-file=/dev/null", "true"];
    for (program, args) in [("valgrind", &trial[..]), ("vgdb", &["--help"])] {
        let output =
            Command::new(program).args(args).output().map_err(|error| format!("{program}: {error}"))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let last = said.lines().last().unwrap_or_default();
            return Err(format!("{program} does not run here ({}): {last}", output.status));
        }
    }
    Ok(())
}

/// What valgrind is started with; all it writes is in `folder`.
pub fn arguments(folder: &Path) -> Vec<String> {
    let folder = folder.display();
    vec![
        "--quiet".to_owned(),
        "--tool=callgrind".to_owned(),
        // The start is fast, and nobody's business.
        "--instr-atstart=no".to_owned(),
        "--separate-threads=yes".to_owned(),
        format!("--callgrind-out-file={folder}/counts"),
        format!("--vgdb-prefix={folder}/vgdb"),
    ]
}

/// The counter of one process.
pub struct Callgrind {
    pid: u32,
    folder: PathBuf,
}

impl Callgrind {
    /// Of the process `pid`, which was started with [`arguments`] for `folder`.
    pub fn of(pid: u32, folder: &Path) -> Self {
        Self { pid, folder: folder.to_owned() }
    }

    /// Counts from now on.
    pub fn begin(&self) {
        self.tell("instrumentation on");
    }

    /// Sets the counts to 0.
    pub fn zero(&self) {
        self.tell("zero");
    }

    /// Instructions since [`Self::zero`] of all threads but the main one.
    pub fn dump(&self, name: &str) -> u64 {
        self.tell(&format!("dump {name}"));
        let files: Vec<_> = fs::read_dir(&self.folder).unwrap().map(|file| file.unwrap().path()).collect();
        let mut counted = 0;
        for file in files.iter().filter(|file| is_dump(file)) {
            if !file.to_string_lossy().ends_with(MAIN_THREAD) {
                counted += total(&fs::read_to_string(file).unwrap());
            }
            // The next dump is told from this one by being there.
            fs::remove_file(file).unwrap();
        }
        assert!(counted > 0, "callgrind counted nothing for {name}");
        counted
    }

    fn tell(&self, command: &str) {
        let mut vgdb = Command::new("vgdb");
        vgdb.arg(format!("--vgdb-prefix={}/vgdb", self.folder.display())).arg(format!("--pid={}", self.pid));
        let output = vgdb.args(command.split(' ')).output().unwrap();
        assert!(output.status.success(), "{vgdb:?}: {output:?}");
    }
}

/// Whether a file is the dump of a thread: `counts.1-02`.
fn is_dump(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with("counts.") && name.contains('-')
}

/// What the line `totals:` of a dump says.
fn total(dump: &str) -> u64 {
    let line = dump.lines().find_map(|line| line.strip_prefix("totals:"));
    line.unwrap_or_else(|| panic!("a dump without totals")).trim().parse().unwrap()
}
