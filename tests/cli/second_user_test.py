"""What another user on the machine has planted, or tries: needs root, to be both."""
import json
import os
import shutil
import socket
import subprocess
import unittest

from installation import FAKE_NODE, PROGRAM, CliTest, main

USER, OTHER = 65534, 65533


def as_uid(uid, *command):
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", *command]


@unittest.skipIf(os.geteuid() != 0, "SKIPPED: only root can be two users")
class SecondUser(CliTest):
    def setUp(self):
        super().setUp()
        for path in (self.base, self.parts):
            os.chmod(path, 0o755)
        self.shared = os.path.join(self.base, "shared")  # as /tmp
        os.mkdir(self.shared)
        os.chmod(self.shared, 0o1777)
        self.jobs, self.cache = os.path.join(self.base, "jobs"), os.path.join(self.base, "cache")
        for path in (self.jobs, self.cache):
            os.mkdir(path, 0o700)
            os.chown(path, USER, USER)

    def environment(self, **more):
        return super().environment(HOME=self.jobs, **more)

    def run_as(self, uid, *words):
        return subprocess.run(as_uid(uid, *words), env=self.environment(), text=True, cwd="/",
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=60)

    def start_as_user(self, *words):
        child = subprocess.Popen(as_uid(USER, PROGRAM, *words), env=self.environment(), text=True,
                                 cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.PIPE)
        self.running.append(child)
        return child

    def refused(self, path, text):
        done = self.run_as(USER, PROGRAM, "run", "--job", path, "--", "true")
        self.expect(done, "cannot_write", text)

    def plant(self, name, uid=OTHER, mode=0o700):
        path = os.path.join(self.shared, name)
        os.mkdir(path)
        os.chmod(path, mode)
        os.chown(path, uid, uid)
        return path

    def test_a_job_directory_of_the_others(self):
        path = self.plant("job", mode=0o777)
        self.refused(path, "belongs to another user")
        self.assertEqual(os.listdir(path), [])

    def test_a_link_in_the_place_of_the_job_directory(self):
        target = os.path.join(self.jobs, "precious")
        os.mkdir(target, 0o700)
        os.chown(target, USER, USER)
        os.symlink(target, os.path.join(self.shared, "job"))
        os.lchown(os.path.join(self.shared, "job"), OTHER, OTHER)
        self.refused(os.path.join(self.shared, "job"), "symbolic link")
        self.assertEqual(os.listdir(target), [])

    def test_a_job_directory_that_the_other_may_write_to(self):
        path = self.plant("job", uid=USER, mode=0o777)
        os.symlink(os.path.join(self.jobs, "precious"), os.path.join(path, "log"))
        self.refused(path, "others may write to it")
        self.assertEqual(os.listdir(self.jobs), [])

    def test_a_readable_job_directory_is_closed(self):
        path = self.plant("job", uid=USER, mode=0o755)
        done = self.run_as(USER, PROGRAM, "run", "--job", path, "--", "true")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o700)

    def test_a_link_in_the_place_of_a_file(self):
        path = self.plant("job", uid=USER)
        victim = os.path.join(self.jobs, "precious")
        for name in ("log", "run.lock", "coordinator.lock"):
            with self.subTest(name=name):
                if os.path.exists(os.path.join(path, name)):
                    os.unlink(os.path.join(path, name))
                os.symlink(victim, os.path.join(path, name))
                done = self.run_as(USER, PROGRAM, "run", "--job", path, "--", "true")
                self.assertNotEqual(done.returncode, 0)
                self.assertFalse(os.path.exists(victim))
                os.unlink(os.path.join(path, name))

    def test_a_running_job(self):
        child = self.start_as_user("run", "--job", "job", "--", FAKE_NODE, "sleep", "100")
        path = os.path.join(self.jobs, "job")

        def ready():
            out = self.run_as(USER, PROGRAM, "status", "job", "--json").stdout
            return out.strip() and json.loads(out).get("ready")
        self.until("ready", ready)
        self.expect(self.run_as(USER, PROGRAM, "checkpoint", "job"), "ok")
        # Nothing can be read, not even the names.
        os.chmod(self.jobs, 0o755)
        for name in [".", *os.listdir(path)]:
            done = self.run_as(OTHER, "cat" if name != "." else "ls", os.path.join(path, name))
            self.assertNotEqual(done.returncode, 0, name)
        for command in ("status", "checkpoint", "list", "verify", "restart", "prune"):
            done = self.run_as(OTHER, PROGRAM, command, path)
            self.assertNotEqual(done.returncode, 0, command)
            self.assertIn("Permission denied", done.stderr, command)
        # With all modes open it is still not theirs: the owner counts.
        with open(os.path.join(path, "coordinator.json")) as file:
            address = json.load(file)
        copy = os.path.join(self.shared, "copy")
        shutil.copytree(path, copy)
        for top, _, files in os.walk(copy):
            for each in [top, *(os.path.join(top, file) for file in files)]:
                os.chown(each, OTHER, OTHER)
        with open(os.path.join(copy, "coordinator.json"), "w") as file:
            json.dump(dict(address, key="f" * 64), file)
        done = self.run_as(OTHER, PROGRAM, "checkpoint", copy)
        self.expect(done, "not_running", "wrong key")
        with socket.create_connection((address["host"], address["port"])) as stranger:
            stranger.sendall(b"\x06\0\0\0\x40\0\x01\0\0\0" + b"\0" * 20)
            stranger.settimeout(20)
            try:
                self.assertIn(stranger.recv(100)[:1], (b"", b"\x15"))
            except ConnectionResetError:
                pass
        self.assertTrue(ready(), "the job was left alone")
        child.terminate()
        child.wait(30)

    def test_a_coordinator_of_the_others_is_not_believed(self):
        path = self.plant("job", uid=USER)
        self.assertEqual(self.run_as(USER, PROGRAM, "run", "--job", path, "--", "true").returncode, 0)
        planted = os.path.join(path, "coordinator.json")
        with open(planted, "w") as file:
            json.dump({"host": "127.0.0.1", "port": 1, "pid": 1, "key": "0" * 64}, file)
        os.chmod(planted, 0o600)
        os.chown(planted, OTHER, OTHER)
        done = self.run_as(USER, PROGRAM, "checkpoint", path)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Permission denied", done.stderr)  # 0600 of another: not even to be read


main()
