//! A program of somebody else's that listens on a port of its own while it is needed.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use super::wait_until;

/// It is ended when this is dropped.
pub struct Daemon {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Daemon {
    /// Starts a program that `scripts/setup.sh test` installs, with what `prepare` gives it for the address it shall listen
    /// on, and waits until it does.
    pub fn start(program: &str, prepare: impl FnOnce(&mut Command, SocketAddr)) -> Self {
        // Somebody else may take the port before the program does: then what it says is not what its test looks for.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = Command::new(program);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        prepare(&mut command, address);
        let child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}; scripts/setup.sh test installs it"));
        let mut daemon = Self { child, address };
        wait_until("a program listens", || {
            assert!(daemon.child.try_wait().unwrap().is_none(), "{program} has ended");
            TcpStream::connect(address).is_ok()
        });
        daemon
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
