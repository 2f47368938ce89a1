"""One job under ckpt-coord: run, checkpoint, kill, restart, and its traces."""
import glob
import json
import os
import re
import uuid

from processes import (Child, DeadlinePassed, TOKEN_NAME, command_line_of, is_alive, kill_all,
                       program_of, wait_until, with_token)
from settings import COMMON, ORDINARY_USER, TRANSPORTS


class Wrong(Exception):
    """What was observed is not what must be."""


def mpirun_line(ranks, transport, program, common=COMMON):
    return ["mpirun", *common, *TRANSPORTS[transport], "-n", str(ranks), *program]


class Job:
    counter = 0

    def __init__(self, case, program, ranks, transport="vader", env=None, name=None, user=None,
                 options=(), base=None, common=COMMON):
        Job.counter += 1
        self.case, self.build = case, case.build
        self.program, self.ranks, self.transport = list(program), ranks, transport
        self.name = name or f"job{Job.counter}"
        self.user, self.options, self.common = user, list(options), list(common)
        self.token = uuid.uuid4().hex
        self.dir = os.path.join(case.dir, self.name)
        self.cwd = os.path.join(self.dir, "cwd")
        self.base = base or os.path.join(self.dir, "ckpt")
        os.makedirs(self.cwd, exist_ok=True)
        os.makedirs(self.base, exist_ok=True)
        self.env = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1",
                        OMP_NUM_THREADS="2", LC_ALL="C.UTF-8", CKPT_DIR="/nonexistent")
        self.env.update(env or {})
        self.env[TOKEN_NAME] = self.token
        if user:
            self.env.update(HOME=self.dir, USER="nobody", LOGNAME="nobody")
            self.give(self.dir)
        self.children, self.starts = [], 0
        # Longer than a busy machine may let everything stand still.
        self.timeout = "120s"
        self.current = None
        case.jobs.append(self)

    def give(self, path):
        for top, dirs, files in os.walk(path):
            for name in [top, *(os.path.join(top, f) for f in dirs + files)]:
                os.chown(name, ORDINARY_USER, ORDINARY_USER)

    # -- commands ---------------------------------------------------------

    def line(self):
        """The mpirun line of a first start."""
        return mpirun_line(self.ranks, self.transport, self.program, self.common)

    def _spawn(self, command, label):
        if self.user:
            command = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups",
                       *command]
        child = Child(command, self.env, self.cwd, os.path.join(self.dir, label))
        self.children.append(child)
        return child

    def coord(self, *arguments, deadline_s=180, check=True):
        """One ckpt-coord command, to its end."""
        Job.counter += 1
        child = self._spawn([self.build.ckpt_coord, *arguments], f"cmd{Job.counter}.{arguments[0]}")
        code = child.wait(deadline_s, f"ckpt-coord {arguments[0]}")
        if check and code != 0:
            raise Wrong(f"ckpt-coord {' '.join(arguments)}: exit {code}\n{child.out}{child.err}")
        child.code = code
        return child

    def native_begin(self):
        self.current = self._spawn(self.line(), "native")
        return self.current

    def native(self, deadline_s=300):
        """The same program without ckpt-coord, to its end."""
        child = self.native_begin()
        code = child.wait(deadline_s, "native run")
        if code != 0:
            raise Wrong(f"native run: exit {code}\n{child.out[-2000:]}{child.err[-2000:]}")
        return child

    def start(self):
        self.starts += 1
        self.current = self._spawn([self.build.ckpt_coord, "run", "--job", self.name, "--dir",
                                    self.base, "--timeout", self.timeout, *self.options,
                                    "--", *self.line()], f"start{self.starts}")
        return self

    def restart(self, transport=None, generation=None, more=()):
        self.starts += 1
        command = [self.build.ckpt_coord, "restart", self.name, "--dir", self.base]
        if generation:
            command += ["--generation", str(generation)]
        if transport:
            command += ["--", *self.common, *TRANSPORTS[transport], *more]
        self.current = self._spawn(command, f"start{self.starts}")
        return self

    def status(self, check=True):
        child = self.coord("status", self.name, "--dir", self.base, "--json", check=False)
        try:
            return json.loads(child.out)
        except ValueError:
            if check:
                raise Wrong(f"status --json: exit {child.code}\n{child.out}{child.err}") from None
            return {}

    def wait_ready(self, deadline_s=180):
        """All ranks are with the coordinator."""
        def ready():
            self.still_running("before it was ready")
            return self.status(check=False).get("ready") is True
        wait_until(ready, deadline_s, "all ranks present", 0.1)

    def checkpoint(self, deadline_s=240):
        """A committed generation; its number."""
        before = self.generations()
        self.still_running("before the checkpoint")
        self.coord("checkpoint", self.name, "--dir", self.base, deadline_s=deadline_s)
        new = [g for g in self.generations() if g not in before]
        if not new:
            raise Wrong(f"checkpoint: exit 0, but no new generation beside {before}")
        return max(new)

    def checkpoint_begin(self):
        Job.counter += 1
        return self._spawn([self.build.ckpt_coord, "checkpoint", self.name, "--dir", self.base],
                           f"cmd{Job.counter}.checkpoint")

    def wait(self, deadline_s=300, code=0):
        got = self.current.wait(deadline_s, f"job {self.name}")
        if code is not None and got != code:
            raise Wrong(f"job ended with {got}, expected {code}\n{self.tail()}")
        return got

    # -- observation ------------------------------------------------------

    @property
    def path(self):
        return os.path.join(self.base, self.name)

    def generations(self):
        found = [re.search(r"gen-(\d+)\.h5$", p) for p in glob.glob(self.path + "/gen-*.h5")]
        return sorted(int(m.group(1)) for m in found if m)

    def generation_path(self, number):
        return os.path.join(self.path, f"gen-{number:06d}.h5")

    def leftovers(self):
        return sorted(glob.glob(self.path + "/*.partial*"))

    def still_running(self, when):
        code = self.current.poll()
        if code is not None:
            raise Wrong(f"the job ended {when} with {code}\n{self.tail()}")

    def output(self):
        return self.current.out

    def result_lines(self):
        return sorted(l for l in self.output().splitlines() if l.startswith(("RESULT", "adversary:",
                                                                              "scenario")))

    def tail(self, count=2500):
        parts = []
        if self.current:
            parts += [self.current.out[-count:], self.current.err[-count:]]
        log = os.path.join(self.path, "log")
        if os.path.exists(log):
            with open(log, errors="replace") as f:
                parts.append(f"--- {log}\n" + f.read()[-count:])
        return "\n".join(p for p in parts if p)

    def log_text(self):
        try:
            with open(os.path.join(self.path, "log"), errors="replace") as f:
                return f.read()
        except OSError:
            return ""

    def pids(self):
        return with_token(self.token)

    def pids_of(self, kind):
        """kind: coordinator, agent, rank, mpirun, run."""
        found = []
        for pid in self.pids():
            words = command_line_of(pid)
            name = program_of(pid)
            if kind == "mpirun" and name in ("mpirun", "orterun", "mpiexec"):
                found.append(pid)
            if kind == "agent" and name == "ckpt-agent":
                found.append(pid)
            if kind == "coordinator" and name == "ckpt-coord" and "serve" in words:
                found.append(pid)
            if kind == "run" and name == "ckpt-coord" and ("run" in words[:2] or
                                                           "restart" in words[:2]):
                found.append(pid)
            if kind == "rank" and name == os.path.basename(self.program[0]):
                found.append(pid)
        return sorted(found)

    def memory_kib(self, fields=("Pss",)):
        """Of all ranks: the proportional set size, or other fields of smaps_rollup."""
        total = 0
        for pid in self.pids_of("rank"):
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    text = f.read()
                total += sum(int(re.search(rf"^{field}:\s+(\d+)", text, re.M).group(1))
                             for field in fields)
            except (OSError, AttributeError):
                pass
        return total

    # -- ends -------------------------------------------------------------

    def kill(self):
        """kill -9: mpirun, ranks, coordinator, agent, everything."""
        kill_all(self.token, self.children)
        self.current.wait(10, "the killed run")

    def clean(self):
        kill_all(self.token, self.children)
        for child in self.children:
            if is_alive(child.pid):
                raise DeadlinePassed(f"pid {child.pid} survived")
            child.poll()
