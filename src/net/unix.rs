//! A Unix socket's name in the file system: who may take it, and that it goes when its socket does.
//!
//! A process that is killed leaves its socket behind, so a name that is there says nothing. As PostgreSQL does, a file
//! `<name>.lock` beside it holds the number of the process; here the file is also locked, and the system undoes that
//! when the process ends, however it ends. PostgreSQL, which does not lock the file, is recognised by its answer.
//! Each of the two thus refuses a name that the other has.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Seek, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};

/// Whoever reaches the directory may connect, as with PostgreSQL (`unix_socket_permissions`): the log-in protects.
const SOCKET_MODE: u32 = 0o777;
const LOCK_MODE: u32 = 0o600;

/// The name of a listening socket. It is given up when this is dropped.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Of the socket; `None` once it is another process's.
    identity: Option<Identity>,
    // Dropped after the name is removed: nobody may take it before.
    lock: Lock,
}

impl SocketFile {
    /// Listens at `path`, in place of a socket that a process left behind. [`io::ErrorKind::AddrInUse`] if a process
    /// that is alive listens there.
    pub fn listen(path: &Path, backlog: i32) -> io::Result<(UnixListener, Self)> {
        let lock = Lock::take(path)?;
        remove_left_behind(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let identity = Some(Identity::of(&fs::symlink_metadata(path)?));
        let mut file = Self { path: path.to_owned(), identity, lock };
        // Nobody can connect before the mode is right.
        fs::set_permissions(path, fs::Permissions::from_mode(SOCKET_MODE))?;
        socket.listen(backlog)?;
        file.lock.sign()?;
        Ok((OwnedFd::from(socket).into(), file))
    }

    /// Takes over the name of a socket from another process, with the file that it has locked.
    pub fn take_over(path: &Path, lock: OwnedFd) -> io::Result<Self> {
        let identity = Some(Identity::of(&fs::symlink_metadata(path)?));
        let mut lock = Lock { file: File::from(lock), path: Lock::beside(path), is_ours: true };
        lock.sign()?;
        Ok(Self { path: path.to_owned(), identity, lock })
    }

    /// The file that is locked, for whoever takes the name over. The lock lasts as long as any copy of it is open.
    pub fn lock(&self) -> io::Result<OwnedFd> {
        Ok(self.lock.file.try_clone()?.into())
    }

    /// Another process has taken the name over: it stays.
    pub fn hand_over(mut self) {
        self.identity = None;
        self.lock.is_ours = false;
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have cleared the directory, and somebody else have taken the name.
        let found = fs::symlink_metadata(&self.path);
        if found.is_ok_and(|found| Some(Identity::of(&found)) == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Removes a socket that nobody listens on.
fn remove_left_behind(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(found) if !found.file_type().is_socket() => {
            let text = format!("{} is there, and is not a socket", path.display());
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Ok(_) => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // A process that is alive but takes no clients would keep us waiting.
    socket.set_nonblocking(true)?;
    match socket.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        Ok(()) | Err(_) => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// The lock on a socket's name.
#[derive(Debug)]
struct Lock {
    file: File,
    path: PathBuf,
    /// Whether the file goes when this is dropped: not one of PostgreSQL's.
    is_ours: bool,
}

impl Lock {
    /// The file's name.
    fn beside(socket: &Path) -> PathBuf {
        let mut path = socket.as_os_str().to_owned();
        path.push(".lock");
        PathBuf::from(path)
    }

    /// Takes the lock, or says that a living process has it.
    fn take(socket: &Path) -> io::Result<Self> {
        let path = Self::beside(socket);
        let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
        loop {
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).truncate(false).mode(LOCK_MODE);
            let file = options.open(&path).map_err(named)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::AddrInUse.into()),
                Err(TryLockError::Error(error)) => return Err(named(error)),
            }
            let opened = file.metadata().map_err(named)?;
            match fs::symlink_metadata(&path) {
                // In a directory that all may write into, a link could make us write into any file.
                Ok(found) if !found.is_file() => {
                    let text = format!("{} is not a file", path.display());
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
                }
                Ok(found) if Identity::of(&found) == Identity::of(&opened) => {
                    return Ok(Self { file, path, is_ours: opened.len() == 0 });
                }
                // Whoever had it has removed it after we opened it: another file is there now, or none.
                _ => {}
            }
        }
    }

    /// Writes the process's number into it, which PostgreSQL goes by.
    fn sign(&mut self) -> io::Result<()> {
        self.file.rewind()?;
        self.file.set_len(0)?;
        self.is_ours = true;
        writeln!(self.file, "{}", std::process::id())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.is_ours {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// What tells a file from another that has its name.
#[derive(Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(file: &Metadata) -> Self {
        Self { device: file.dev(), inode: file.ino() }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::os::unix::net::UnixStream;

    use super::*;

    fn lock_of(path: &Path) -> PathBuf {
        path.with_file_name(format!("{}.lock", path.file_name().unwrap().to_str().unwrap()))
    }

    #[test]
    fn a_name_is_taken_and_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (listener, file) = SocketFile::listen(&path, 1).unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, SOCKET_MODE);
        assert_eq!(fs::read_to_string(lock_of(&path)).unwrap(), format!("{}\n", std::process::id()));
        let refused = SocketFile::listen(&path, 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        UnixStream::connect(&path).unwrap();
        drop((listener, file));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn a_name_is_handed_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let (listener, old) = SocketFile::listen(&path, 1).unwrap();
        let new = SocketFile::take_over(&path, old.lock().unwrap()).unwrap();
        old.hand_over();
        UnixStream::connect(&path).unwrap();
        assert_eq!(fs::read_to_string(lock_of(&path)).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(SocketFile::listen(&path, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop((listener, new));
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn what_was_left_behind_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        drop(UnixListener::bind(&path).unwrap());
        fs::write(lock_of(&path), "4711\nlonger than what comes\n").unwrap();
        let (_listener, file) = SocketFile::listen(&path, 1).unwrap();
        UnixStream::connect(&path).unwrap();
        assert_eq!(fs::read_to_string(lock_of(&path)).unwrap(), format!("{}\n", std::process::id()));
        drop(file);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn what_belongs_to_others_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        // One that locks nothing, as PostgreSQL.
        let foreign = UnixListener::bind(&path).unwrap();
        fs::write(lock_of(&path), "1\n").unwrap();
        let refused = SocketFile::listen(&path, 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
        assert_eq!(fs::read_to_string(lock_of(&path)).unwrap(), "1\n");
        drop(foreign);
        fs::remove_file(&path).unwrap();
        fs::remove_file(lock_of(&path)).unwrap();
        // No socket at all.
        fs::write(&path, "text").unwrap();
        let refused = SocketFile::listen(&path, 1).unwrap_err();
        assert!(refused.to_string().contains("is not a socket"), "{refused}");
        assert!(!lock_of(&path).exists(), "what it had made itself is removed");
        fs::remove_file(&path).unwrap();
        // A link to something of value.
        let precious = folder.path().join("precious");
        fs::write(&precious, "text").unwrap();
        std::os::unix::fs::symlink(&precious, lock_of(&path)).unwrap();
        assert!(SocketFile::listen(&path, 1).unwrap_err().to_string().contains("is not a file"));
        assert_eq!(fs::read_to_string(&precious).unwrap(), "text");
        fs::remove_file(lock_of(&path)).unwrap();
        // The name, after ours was cleared away.
        let (_listener, file) = SocketFile::listen(&path, 1).unwrap();
        fs::rename(&path, folder.path().join("elsewhere")).unwrap();
        let _foreign = UnixListener::bind(&path).unwrap();
        drop(file);
        assert!(path.exists());
    }

    #[test]
    fn a_directory_that_is_missing_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let refused = SocketFile::listen(&folder.path().join("missing/socket"), 1).unwrap_err();
        assert!(refused.to_string().contains("missing/socket.lock"), "{refused}");
    }
}
