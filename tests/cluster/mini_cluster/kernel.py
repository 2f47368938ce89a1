"""System calls that Python's library of Debian 12 does not have: namespaces,
mounts, prctl. Each raises OSError with what was tried."""
import ctypes
import os

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWPID, CLONE_NEWNET = 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_BIND, MS_REC, MS_PRIVATE = 0x2, 0x4, 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def _checked(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def unshare(flags):
    _checked(_libc.unshare(flags), f"unshare {flags:#x}")


def die_with_parent(signal):
    _checked(_libc.prctl(PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl PR_SET_PDEATHSIG")


def _mount(source, target, kind, flags, data=None):
    encode = lambda text: None if text is None else os.fsencode(text)
    _checked(_libc.mount(encode(source), encode(target), encode(kind),
                         ctypes.c_ulong(flags), encode(data)), f"mount {kind or source} {target}")


def make_mounts_private():
    _mount("none", "/", None, MS_REC | MS_PRIVATE)


def mount_tmpfs(target, mode, with_devices=False):
    _mount("tmpfs", target, "tmpfs", MS_NOSUID | (0 if with_devices else MS_NODEV),
           f"mode={mode:o}")


def mount_proc():
    _mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV)


def bind(source, target):
    _mount(source, target, None, MS_BIND | MS_REC)


def why_no_namespaces():
    """None when this process may make nodes, else the reason."""
    if os.geteuid() != 0:
        return "needs root to make namespaces"
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            unshare(CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWPID)
            make_mounts_private()
            code = os.spawnvp(os.P_WAIT, "ip", ["ip", "link", "add", "br0", "type", "bridge"])
        except OSError:
            pass
        finally:
            os._exit(0 if code == 0 else 1)
    _, status = os.waitpid(pid, 0)
    return None if status == 0 else "namespaces, mounts or bridges are not permitted here"
