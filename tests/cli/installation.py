"""ckpt-coord beside fake parts, in a scratch directory."""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = os.path.abspath(sys.argv[1])
SOURCE = os.path.abspath(sys.argv[2])
HERE = os.path.dirname(os.path.abspath(__file__))
FAKE_NODE = os.path.join(HERE, "fake_node.py")
FAKES = os.path.join(HERE, "..", "fakes")
TLS_PIPE = os.path.join(os.path.dirname(PROGRAM), "../tests/fakes/tls_pipe")


def exit_codes():
    """Names and numbers of exit_codes.def."""
    codes = {}
    with open(os.path.join(SOURCE, "coordinator/commands/exit_codes.def")) as table:
        for line in table:
            if line.startswith("CKPT_EXIT("):
                name, number, meaning = line[len("CKPT_EXIT("):].rstrip()[:-1].split(", ", 2)
                codes[name] = (int(number), meaning.strip('"'))
    return codes


CODE = {name: number for name, (number, _) in exit_codes().items()}


class CliTest(unittest.TestCase):
    def setUp(self):
        self.base = tempfile.mkdtemp(prefix="ckpt-cli-")
        self.parts = os.path.join(self.base, "parts")
        os.mkdir(self.parts)
        shutil.copy(os.path.join(HERE, "fake_agent.py"), os.path.join(self.parts, "ckpt-agent"))
        os.chmod(os.path.join(self.parts, "ckpt-agent"), 0o755)
        shutil.copy(os.path.join(FAKES, "tls_pipe.py"), self.parts)
        for part in ("libckpt_shim.so", "ckpt-restore-rank"):
            open(os.path.join(self.parts, part), "w").close()
        self.jobs = os.path.join(self.base, "jobs")
        self.running = []

    def tearDown(self):
        for child in self.running:
            if child.poll() is None:
                child.kill()
            child.wait()
            child.stderr.close()
            child.stdout.close()
        shutil.rmtree(self.base, ignore_errors=True)

    def environment(self, **more):
        environment = dict(os.environ, CKPT_DIR=self.jobs, CKPT_PARTS_DIR=self.parts,
                           CKPT_CACHE_DIR=os.path.join(self.base, "cache"),
                           CKPT_TLS_PIPE=TLS_PIPE)
        environment.update(more)
        return environment

    def coord(self, *words, **more):
        return subprocess.run([PROGRAM, *words], env=self.environment(**more), text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def start(self, *words, **more):
        child = subprocess.Popen([PROGRAM, *words], env=self.environment(**more), text=True,
                                 stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        self.running.append(child)
        return child

    def status(self, job):
        out = self.coord("status", job, "--json").stdout
        return json.loads(out) if out.strip() else {}

    def until(self, what, condition, seconds=30):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.05)
        self.fail(f"not in {seconds} s: {what}")

    def start_ready(self, job, *options, command=("sleep", "100"), **more):
        child = self.start("run", "--job", job, *options, "--", FAKE_NODE, *command, **more)
        self.until(f"{job} ready", lambda: self.status(job).get("ready"))
        return child

    def expect(self, done, code, *texts):
        self.assertEqual(done.returncode, CODE[code], done.stdout + done.stderr)
        for text in texts:
            self.assertIn(text, done.stdout + done.stderr)

    def end(self, child, number=signal.SIGTERM):
        child.send_signal(number)
        return child.wait(30)


def main():
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
