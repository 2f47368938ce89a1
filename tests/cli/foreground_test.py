"""run in the foreground: status, streams, signals, terminal, leftovers."""
import os
import pty
import select
import signal
import subprocess
import time

from installation import PROGRAM, CliTest, main


class Foreground(CliTest):
    def test_the_status_is_the_commands(self):
        for code in (0, 1, 7, 255):
            self.assertEqual(self.coord("run", "--job", "j", "--", "sh", "-c", f"exit {code}").returncode, code)
        done = self.coord("run", "--job", "j", "--", "sh", "-c", "kill -KILL $$")
        self.assertEqual(done.returncode, 128 + signal.SIGKILL)

    def test_the_streams_are_the_users(self):
        done = subprocess.run([PROGRAM, "run", "--job", "j", "--", "sh", "-c", "cat; echo e >&2"],
                              env=self.environment(), input="in\n", text=True, capture_output=True)
        self.assertEqual((done.stdout, done.stderr), ("in\n", "e\n"))

    def test_the_command_has_the_variables(self):
        done = self.coord("run", "--job", "j", "--on-unsupported", "native", "--", "sh", "-c",
                          "echo $OMPI_MCA_mca_base_env_list; pwd")
        listed, cwd = done.stdout.splitlines()
        self.assertIn(f"LD_PRELOAD={self.parts}/libckpt_shim.so", listed)
        self.assertIn(f"CKPT_JOB_DIR={self.jobs}/j;", listed)
        self.assertIn("CKPT_ON_UNSUPPORTED=native", listed)
        self.assertEqual(cwd, os.getcwd())

    def test_a_script_may_call_mpirun_with_x(self):
        folder = os.path.join(self.base, "bin")
        os.mkdir(folder)
        with open(os.path.join(folder, "mpirun"), "w") as fake:
            fake.write('#!/bin/sh\nfor word; do echo "$word"; done; '
                       'echo "list ${OMPI_MCA_mca_base_env_list-none}"; echo "$PATH"\n')
        os.chmod(fake.name, 0o755)
        path = f"{folder}:/usr/bin:/bin"
        done = self.coord("run", "--job", "j", "--", "sh", "-c", "mpirun -x A=1 ./app", PATH=path)
        words = done.stdout.splitlines()
        self.assertEqual(words[:2], ["-x", f"LD_PRELOAD={self.parts}/libckpt_shim.so"], done.stderr)
        self.assertEqual(words[-5:], ["-x", "A=1", "./app", "list none", path])
        done = self.coord("run", "--job", "j", "--", "sh", "-c", "mpirun ./app", PATH=path)
        self.assertEqual(done.stdout.splitlines()[0], "./app")
        self.assertIn("LD_PRELOAD=", done.stdout.splitlines()[1])

    def test_signals_reach_the_command_once(self):
        out = os.path.join(self.base, "signals")
        script = (f"import signal,os,sys\nf=open({out!r},'w',1)\n"
                  "def on(n,_):\n f.write(signal.Signals(n).name+'\\n')\n if n==signal.SIGTERM: sys.exit(3)\n"
                  "for n in (signal.SIGUSR1,signal.SIGUSR2,signal.SIGHUP,signal.SIGINT,signal.SIGTERM):"
                  " signal.signal(n,on)\n"
                  "f.write('up\\n')\nwhile True: signal.pause()\n")
        child = self.start("run", "--job", "j", "--", "/usr/bin/python3", "-c", script)

        def lines():
            try:
                with open(out) as file:
                    return file.read().split()
            except FileNotFoundError:
                return []
        expected = ["up"]
        self.until("up", lambda: lines() == expected)
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT):
            child.send_signal(number)
            expected.append(number.name)
            self.until(number.name, lambda: lines() == expected)
        child.send_signal(signal.SIGTERM)
        self.assertEqual(child.wait(20), 3)
        self.assertEqual(lines(), expected + ["SIGTERM"])

    def test_nothing_is_left(self):
        child = self.start_ready("j")
        status = self.status("j")
        pids = [status["coordinator_pid"], *(a["pid"] for a in status["agents"])]
        self.assertEqual(len(pids), 2)
        self.end(child)
        for pid in pids:
            self.until(f"{pid} gone", lambda: not alive(pid))

    def test_the_agents_place_is_good_on_every_node(self):
        sockets = set()
        for _ in range(2):
            done = self.coord("run", "--job", "j", "--", "sh", "-c", "echo $OMPI_MCA_mca_base_env_list",
                              XDG_RUNTIME_DIR=self.base)
            sockets.add(done.stdout.split("CKPT_AGENT_SOCKET=")[1].split(";")[0])
        self.assertEqual(len(sockets), 2)
        for path in sockets:
            self.assertRegex(path, rf"^/tmp/ckpt-coord-{os.geteuid()}-[0-9a-f]{{16}}/agent\.sock$")
            self.assertFalse(os.path.exists(os.path.dirname(path)), "made where ranks are, not here")

    def test_a_killed_run_takes_the_command_along(self):
        pid_file = os.path.join(self.base, "pid")
        child = self.start_ready("j", command=("sh", "-c", f"echo $$ > {pid_file}; exec sleep 100"))
        coordinator = self.status("j")["coordinator_pid"]
        with open(pid_file) as file:
            pid = int(file.read())
        child.kill()
        child.wait()
        for each in (pid, coordinator):
            self.until(f"{each} gone", lambda: not alive(each))

    def test_control_z_stops_both_and_fg_continues(self):
        child, terminal = pty.fork()
        if child == 0:
            # A shell with job control that stops, continues and reports.
            os.execve("/bin/bash", ["bash", "--norc", "-i"], self.environment(PS1="$ "))
        type_line(terminal, f"{PROGRAM} run --job j -- sh -c 'echo begun; read line; echo got $line'")
        wait_for(terminal, b"begun\r\n")
        os.write(terminal, b"\x1a")
        wait_for(terminal, b"Stopped")
        type_line(terminal, "fg")
        wait_for(terminal, b"run --job")
        self.until("the terminal handed over", lambda: os.tcgetpgrp(terminal) != child)
        type_line(terminal, "hello")
        wait_for(terminal, b"got hello")
        type_line(terminal, "exit")
        os.close(terminal)
        os.waitpid(child, 0)


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def type_line(terminal, text):
    os.write(terminal, text.encode() + b"\n")


def wait_for(terminal, text, seconds=20):
    seen = b""
    end = time.monotonic() + seconds
    while text not in seen:
        left = end - time.monotonic()
        if left <= 0 or not select.select([terminal], [], [], left)[0]:
            raise AssertionError(f"no {text!r} in {seen!r}")
        seen += os.read(terminal, 4096)


main()
