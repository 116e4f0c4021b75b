//! What the documentation shows and this test does not run, each with the reason.

use super::blocks::Block;

/// More blocks than this are not to be skipped: find a way to run them.
pub const MOST_SKIPPED: usize = 25;

/// A block that is not run.
#[derive(Debug)]
pub struct Skip {
    pub page: &'static str,
    /// How one of its lines begins.
    pub begins: &'static str,
    pub why: &'static str,
}

impl Skip {
    pub fn is_about(&self, block: &Block) -> bool {
        block.page == self.page && block.text.lines().any(|line| line.starts_with(self.begins))
    }
}

const fn skip(page: &'static str, begins: &'static str, why: &'static str) -> Skip {
    Skip { page, begins, why }
}

pub const SKIPPED: &[Skip] = &[
    skip("README.md", "make demo", "installs packages; tests/demo.rs runs the demonstration"),
    skip("README.md", "docker compose", "needs a Docker engine; scripts/compose-test.sh runs it"),
    skip("docs/conformance.md", "make conformance", "builds PostgreSQL and runs its regression suite"),
    skip("docs/fuzzing.md", "make fuzz", "runs for minutes"),
    skip(
        "docs/install.md",
        "scripts/install.sh --dry-run",
        "builds a release; tests/packaging.rs runs the script",
    ),
    skip(
        "docs/install.md",
        "scripts/install.sh --from",
        "needs a release's archive; tests/packaging.rs makes one",
    ),
    skip("docs/install.md", "make deb", "installs a package"),
    skip("docs/install.md", "sudo systemctl", "needs systemd"),
    skip("docs/install.md", "docker build", "needs a Docker engine"),
    skip("docs/install.md", "docker compose", "needs a Docker engine; tests/packaging.rs looks at the stack"),
    skip(
        "docs/install.md",
        "kubectl",
        "needs a Kubernetes cluster; tests/kubernetes.rs looks at the manifests",
    ),
    skip("docs/operations.md", "install -m 755", "replaces the program; tests/promises/upgrade.rs does that"),
    skip("docs/oracle.md", "make oracle", "builds PostgreSQL and runs its regression suite"),
    skip("docs/performance.md", "make bench  ", "measures for an hour"),
    skip("docs/performance.md", "make instructions", "counts by valgrind; tests/instructions.rs does that"),
    skip("docs/performance.md", "make bench-freshness", "measures for minutes"),
    skip("docs/performance.md", "make bench-classify", "measures for minutes"),
    skip("docs/scaling.md", "systemctl", "needs systemd"),
    skip("docs/security.md", "docker build", "needs a Docker engine"),
    skip("docs/start.md", "make demo", "installs packages; tests/demo.rs runs the demonstration"),
    skip("docs/start.md", "docker compose", "needs a Docker engine; scripts/compose-test.sh runs it"),
    skip(
        "docs/tls.md",
        "tidegate run --ssl-cert-file",
        "needs a certificate of this name; tests/promises/tls_clients.rs has some",
    ),
    skip(
        "docs/tls.md",
        "tidegate run --url",
        "needs servers with certificates; tests/promises/tls_servers.rs has some",
    ),
];
