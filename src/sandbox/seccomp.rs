//! The system-call filter of contained processes: what could open a way out, or spend memory that no limit counts.

use std::collections::BTreeMap;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// Whom the filter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum For {
    /// Code under test.
    Solution,
    /// An agent and what it starts.
    Agent,
}

/// Calls that answer EPERM.
const DENIED: &[i64] = &[
    // Other namespaces, mounts, roots.
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    // Other processes.
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    // Wide kernel surface that no solution needs.
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_bpf,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_perf_event_open,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_reboot,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_vhangup,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// Memory that neither the address-space limit nor a tmpfs size counts: refused to code under test as well.
const UNCOUNTED: &[i64] = &[
    libc::SYS_memfd_create,
    libc::SYS_memfd_secret,
    libc::SYS_shmget,
    libc::SYS_msgget,
    libc::SYS_semget,
];

/// Calls that an agent may make for itself only, by the argument that names the process: the one that holds it has the same
/// user, and must not lose its descriptors, its time or its turn.
const SELF_ONLY: &[(i64, u8)] = &[
    (libc::SYS_prlimit64, 0),
    (libc::SYS_sched_setaffinity, 0),
    (libc::SYS_sched_setscheduler, 0),
    (libc::SYS_sched_setparam, 0),
    (libc::SYS_sched_setattr, 0),
    (libc::SYS_migrate_pages, 0),
    (libc::SYS_move_pages, 0),
    (libc::SYS_setpriority, 1),
    (libc::SYS_ioprio_set, 1),
];

/// `CLONE_NEW*`: refused as arguments of clone.
const NEW_NAMESPACES: &[libc::c_int] = &[
    libc::CLONE_NEWNS,
    libc::CLONE_NEWCGROUP,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWNET,
];

/// The filter does not compile for this machine.
#[derive(Debug, thiserror::Error)]
#[error("no system-call filter for this machine ({arch}): {reason}")]
pub struct NoFilter {
    arch: &'static str,
    reason: String,
}

/// The filter: instructions of 8 bytes each, in the byte order of the machine.
pub fn program(whom: For) -> Result<Vec<u8>, NoFilter> {
    let refuse = |reason: String| NoFilter {
        arch: std::env::consts::ARCH,
        reason,
    };
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(|error| refuse(error.to_string()))?;
    let uncounted = if whom == For::Solution { UNCOUNTED } else { &[] };
    let denied = DENIED.iter().chain(uncounted);
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = denied.map(|call| (*call, Vec::new())).collect();
    let mut clone = Vec::new();
    for flag in NEW_NAMESPACES {
        let bit = *flag as u32 as u64;
        let condition = SeccompCondition::new(0, SeccompCmpArgLen::Qword, SeccompCmpOp::MaskedEq(bit), bit)
            .and_then(|condition| SeccompRule::new(vec![condition]))
            .map_err(|error| refuse(error.to_string()))?;
        clone.push(condition);
    }
    rules.insert(libc::SYS_clone, clone);
    if whom == For::Agent {
        for (call, argument) in SELF_ONLY {
            let another = SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, 0)
                .and_then(|condition| SeccompRule::new(vec![condition]))
                .map_err(|error| refuse(error.to_string()))?;
            rules.insert(*call, vec![another]);
        }
    }
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(libc::EPERM as u32),
        arch,
    );
    let denied: Result<BpfProgram, _> = filter.and_then(TryInto::try_into);
    let mut program = head();
    program.extend(denied.map_err(|error| refuse(error.to_string()))?);
    let mut bytes = Vec::new();
    for instruction in program {
        bytes.extend(instruction.code.to_ne_bytes());
        bytes.extend([instruction.jt, instruction.jf]);
        bytes.extend(instruction.k.to_ne_bytes());
    }
    Ok(bytes)
}

/// The head of the filter: calls that seem not to exist, families of sockets likewise, and then on to what follows.
///
/// The flags of clone3 lie in memory, where no filter can look: the C library falls back to clone. The x32 calls of
/// x86_64 share its architecture, but not its numbers; elsewhere no call has such a number. Of sockets, only those that
/// the namespaces contain: a VSOCK leads to the host of a virtual machine.
fn head() -> BpfProgram {
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
    const JUMP_GE: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const JUMP_EQ: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    // Offsets in `seccomp_data`: the call's number, and the lower half of its first argument (little-endian).
    const NUMBER: u32 = 0;
    const FIRST: u32 = 16;
    let step = |code, jt, jf, k| seccompiler::sock_filter { code, jt, jf, k };
    let errno = |number: libc::c_int| step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | number as u32);
    vec![
        step(LOAD, 0, 0, NUMBER),
        step(JUMP_GE, 1, 0, 0x4000_0000),
        step(JUMP_EQ, 0, 1, libc::SYS_clone3 as u32),
        errno(libc::ENOSYS),
        step(JUMP_EQ, 0, 5, libc::SYS_socket as u32),
        step(LOAD, 0, 0, FIRST),
        step(JUMP_EQ, 3, 0, libc::AF_UNIX as u32),
        step(JUMP_EQ, 2, 0, libc::AF_INET as u32),
        step(JUMP_EQ, 1, 0, libc::AF_INET6 as u32),
        errno(libc::EAFNOSUPPORT),
    ]
}
