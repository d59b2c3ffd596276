//! The file system of a sandbox: an empty one, with little in it.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::spec::{File, Spec};
use crate::process::system;

/// A step that failed, and why.
pub(crate) type Failure = (String, io::Error);

const NOTHING: Option<&str> = None;
/// Where the host's root is while the new one is built.
const OLD: &str = "/old";
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom"];
/// Sizes of what is writable and nobody's workspace.
const TMP: &str = "mode=1777,size=512m,nr_inodes=100000";
const SHM: &str = "mode=1777,size=128m,nr_inodes=4096";

/// Names the step in an error.
pub(crate) fn step<T, E: Into<io::Error>>(result: Result<T, E>, what: impl Into<String>) -> Result<T, Failure> {
    result.map_err(|error| (what.into(), error.into()))
}

/// Replaces the root of the (new, own) mount namespace, from within the new process namespace. The host's is gone
/// afterwards.
pub(crate) fn build(spec: &Spec) -> Result<(), Failure> {
    step(
        mount(NOTHING, "/", NOTHING, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NOTHING),
        "making mounts private",
    )?;
    let base = "/tmp";
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    let options = Some("mode=0755,size=32m,nr_inodes=4096");
    step(
        mount(Some("tmpfs"), base, Some("tmpfs"), flags, options),
        "mounting a tmpfs",
    )?;
    step(std::env::set_current_dir(base), "entering the new root")?;
    step(fs::create_dir("old"), "creating a folder")?;
    step(nix::unistd::pivot_root(".", "old"), "pivot_root")?;
    step(std::env::set_current_dir("/"), "entering the new root")?;
    for folder in ["etc", "dev", "dev/shm", "proc", "tmp", "home", "root", "var", "run"] {
        step(
            fs::create_dir(Path::new("/").join(folder)),
            format!("creating /{folder}"),
        )?;
    }
    step(
        fs::set_permissions("/tmp", fs::Permissions::from_mode(0o1777)),
        "opening /tmp",
    )?;
    if spec.interactive {
        interactive()?;
    }
    for name in system::FOLDERS {
        show_system(name)?;
    }
    for name in system::ETC {
        let source = Path::new(OLD).join("etc").join(name);
        // A link may lead anywhere on the host; only its text or its target's content is taken.
        if let Ok(real) = inside_old(&source) {
            show(&real, &Path::new("/etc").join(name))?;
        }
    }
    for (name, text) in system::MADE_UP {
        create(&Path::new("/etc").join(name), text.as_bytes())?;
    }
    for name in DEVICES {
        let target = Path::new("/dev").join(name);
        create(&target, b"")?;
        let source = Path::new(OLD).join("dev").join(name);
        let flags = MsFlags::MS_BIND;
        step(
            mount(Some(&source), &target, NOTHING, flags, NOTHING),
            format!("showing /dev/{name}"),
        )?;
    }
    for (name, target) in [
        ("fd", "self/fd"),
        ("stdin", "self/fd/0"),
        ("stdout", "self/fd/1"),
        ("stderr", "self/fd/2"),
    ] {
        step(
            symlink(Path::new("/proc").join(target), Path::new("/dev").join(name)),
            "linking in /dev",
        )?;
    }
    for bind in &spec.binds {
        show(&old(&bind.source), &bind.target)?;
    }
    for bind in &spec.writable {
        open(&old(&bind.source), &bind.target)?;
    }
    for File { path, content } in &spec.files {
        let content = hex::decode(content).map_err(io::Error::other);
        create(path, &step(content, "reading a file's content")?)?;
    }
    // Before the host's goes: the kernel shows a user namespace no more of /proc than it can see already.
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    step(
        mount(Some("proc"), "/proc", Some("proc"), flags, NOTHING),
        "mounting /proc",
    )?;
    step(umount2(OLD, MntFlags::MNT_DETACH), "leaving the host's root")?;
    step(fs::remove_dir(OLD), "leaving the host's root")
}

/// Makes the root itself read-only: the last step.
pub(crate) fn seal() -> Result<(), Failure> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    step(mount(NOTHING, "/", NOTHING, flags, NOTHING), "sealing the root")
}

/// Folders that anyone may write to, and terminals that are no one else's.
fn interactive() -> Result<(), Failure> {
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV;
    for (folder, options) in [("/tmp", TMP), ("/dev/shm", SHM)] {
        step(
            mount(Some("tmpfs"), folder, Some("tmpfs"), flags, Some(options)),
            format!("mounting {folder}"),
        )?;
    }
    step(fs::create_dir("/dev/pts"), "creating /dev/pts")?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    let options = Some("newinstance,ptmxmode=0666,mode=0620");
    step(
        mount(Some("devpts"), "/dev/pts", Some("devpts"), flags, options),
        "mounting /dev/pts",
    )?;
    step(symlink("pts/ptmx", "/dev/ptmx"), "linking in /dev")?;
    create(Path::new("/dev/tty"), b"")?;
    let terminal = Path::new(OLD).join("dev/tty");
    step(
        mount(Some(&terminal), "/dev/tty", NOTHING, MsFlags::MS_BIND, NOTHING),
        "showing /dev/tty",
    )
}

/// Where something of the host is while the new root is built.
fn old(path: &Path) -> PathBuf {
    Path::new(OLD).join(path.strip_prefix("/").unwrap_or(path))
}

fn show_system(name: &str) -> Result<(), Failure> {
    let source = Path::new(OLD).join(name);
    let target = Path::new("/").join(name);
    match fs::symlink_metadata(&source) {
        Ok(found) if found.is_symlink() => {
            let to = step(fs::read_link(&source), format!("reading the link /{name}"))?;
            step(symlink(to, target), format!("linking /{name}"))
        }
        Ok(_) => show(&source, &target),
        Err(_) => Ok(()),
    }
}

/// Follows links as the host would: absolute ones start at its root, which is now at `/old`.
fn inside_old(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..8 {
        if !fs::symlink_metadata(&path)?.is_symlink() {
            return Ok(path);
        }
        let to = fs::read_link(&path)?;
        path = match to.strip_prefix("/") {
            Ok(relative) => Path::new(OLD).join(relative),
            Err(_) => path.parent().unwrap_or(Path::new(OLD)).join(to),
        };
    }
    Err(io::Error::from_raw_os_error(libc::ELOOP))
}

fn create(path: &Path, content: &[u8]) -> Result<(), Failure> {
    let what = || format!("creating {}", path.display());
    if let Some(parent) = path.parent() {
        step(fs::create_dir_all(parent), what())?;
    }
    step(fs::write(path, content), what())
}

/// Binds a file or folder read-only.
fn show(source: &Path, target: &Path) -> Result<(), Failure> {
    bind(source, target)?;
    step(
        restrict(target, MOUNT_READ_ONLY | MOUNT_NO_SUID),
        format!("showing {}", target.display()),
    )
}

/// Binds a file or folder so that it can be written, but brings neither devices nor set-uid programs.
fn open(source: &Path, target: &Path) -> Result<(), Failure> {
    bind(source, target)?;
    step(
        restrict(target, MOUNT_NO_SUID | MOUNT_NO_DEVICES),
        format!("opening {}", target.display()),
    )
}

fn bind(source: &Path, target: &Path) -> Result<(), Failure> {
    let what = || format!("showing {}", target.display());
    if step(fs::metadata(source), what())?.is_dir() {
        step(fs::create_dir_all(target), what())?;
    } else if !target.exists() {
        create(target, b"")?;
    }
    let flags = MsFlags::MS_BIND | MsFlags::MS_REC;
    step(mount(Some(source), target, NOTHING, flags, NOTHING), what())
}

/// The kernel's `struct mount_attr`.
#[repr(C)]
#[derive(Default)]
struct MountAttributes {
    set: u64,
    clear: u64,
    propagation: u64,
    userns: u64,
}

const MOUNT_READ_ONLY: u64 = 1;
const MOUNT_NO_SUID: u64 = 2;
const MOUNT_NO_DEVICES: u64 = 4;

/// Sets restrictions on the mount and all below it.
fn restrict(target: &Path, set: u64) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let path = CString::new(target.as_os_str().as_bytes())?;
    let attributes = MountAttributes {
        set,
        ..MountAttributes::default()
    };
    // SAFETY: both pointers are valid for the call, and the size is that of the structure.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            path.as_ptr(),
            libc::AT_RECURSIVE,
            &attributes as *const MountAttributes,
            size_of::<MountAttributes>(),
        )
    };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    if error.raw_os_error() != Some(libc::ENOSYS) {
        return Err(error);
    }
    // Before Linux 5.12: this mount only, and a user namespace may not drop the flags that it has.
    let has = nix::sys::statvfs::statvfs(target)?.flags().bits();
    let keep = MsFlags::from_bits_truncate(has as _)
        & (MsFlags::MS_NODEV | MsFlags::MS_NOEXEC | MsFlags::MS_NOATIME | MsFlags::MS_NODIRATIME);
    // The numbers of these restrictions are those of mount(2).
    let wanted = MsFlags::from_bits_truncate(set as libc::c_ulong);
    let flags = keep | wanted | MsFlags::MS_REMOUNT | MsFlags::MS_BIND;
    Ok(mount(NOTHING, target, NOTHING, flags, NOTHING)?)
}
