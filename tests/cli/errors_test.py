"""What goes wrong before a job runs: exit code and message."""
import json
import os
import signal
import subprocess
import unittest

from installation import PROGRAM, CliTest, main


class Errors(CliTest):
    def make_job(self, name="job"):
        """A job directory as a finished run leaves it."""
        done = self.coord("run", "--job", name, "--", "true")
        self.assertEqual(done.returncode, 0, done.stderr)
        return os.path.join(self.jobs, name)

    def test_usage(self):
        self.expect(self.coord(), "usage")
        self.expect(self.coord("dance"), "usage")
        self.expect(self.coord("checkpoint"), "usage", "required")
        self.expect(self.coord("run", "--job", "x"), "usage", "behind --")
        self.expect(self.coord("run", "--", "true"), "usage", "--job")
        self.expect(self.coord("run", "--job", "x", "--every", "often", "--", "true"), "usage", "often")
        self.expect(self.coord("run", "--job", "x", "--keep", "0", "--", "true"), "usage")

    def test_bad_job_names(self):
        for name in ("", ".hidden", "a b", "a;b"):
            self.expect(self.coord("run", "--job", name, "--", "true"), "usage", "job name")

    def test_no_such_job(self):
        for command in ("checkpoint", "restart", "status", "list", "verify", "prune"):
            done = self.coord(command, "no-such-job")
            self.expect(done, "no_such_job", "no-such-job", "No such file or directory")

    def test_a_directory_that_is_no_job(self):
        os.makedirs(os.path.join(self.jobs, "other"))
        self.expect(self.coord("status", "other"), "no_such_job", "not a job directory")

    def test_a_directory_that_cannot_be_made(self):
        blocker = os.path.join(self.base, "file")
        open(blocker, "w").close()
        self.expect(self.coord("run", "--job", "x", "--dir", blocker, "--", "true"), "cannot_write",
                    "file", "Not a directory")

    @unittest.skipIf(os.geteuid() == 0, "root may write anywhere")
    def test_a_directory_that_cannot_be_written(self):
        os.mkdir(self.jobs, 0o500)
        self.expect(self.coord("run", "--job", "x", "--", "true"), "cannot_write", "Permission denied")

    def test_no_generation(self):
        self.make_job()
        self.expect(self.coord("restart", "job"), "no_generation")
        self.expect(self.coord("restart", "job", "--generation", "3"), "no_generation")
        self.expect(self.coord("verify", "job"), "no_generation")
        self.assertEqual(self.coord("list", "job").stdout, "")
        self.assertEqual(json.loads(self.coord("list", "job", "--json").stdout), [])

    def test_not_running(self):
        self.make_job()
        self.expect(self.coord("checkpoint", "job"), "not_running", "does not run")
        self.expect(self.coord("status", "job"), "not_running", "newest good  none")

    def test_a_coordinator_that_died(self):
        path = self.make_job()
        with open(os.open(path + "/coordinator.json", os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
            json.dump({"host": "127.0.0.1", "port": 1, "pid": 1, "key": "0" * 64}, file)
        self.expect(self.coord("checkpoint", "job"), "not_running", "Connection refused")

    def test_a_key_that_others_may_read(self):
        path = self.make_job()
        with open(path + "/coordinator.json", "w") as file:
            json.dump({"host": "127.0.0.1", "port": 1, "pid": 1, "key": "0" * 64}, file)
        os.chmod(path + "/coordinator.json", 0o644)
        self.expect(self.coord("checkpoint", "job"), "not_running", "others may read")

    def test_damaged_generations(self):
        path = self.make_job()
        for number, content in ((1, b""), (2, b"\x89HDF\r\n\x1a\n and no more"), (3, b"text")):
            with open(f"{path}/gen-{number:06d}.h5", "wb") as file:
                file.write(content)
        self.expect(self.coord("verify", "job"), "bad_image", "gen-000001.h5", "gen-000003.h5")
        self.expect(self.coord("verify", f"{path}/gen-000002.h5"), "bad_image", "gen-000002.h5")
        self.expect(self.coord("verify", f"{path}/gen-000009.h5"), "no_generation", "gen-000009.h5")
        self.expect(self.coord("restart", "job", "--generation", "2"), "bad_image", "gen-000002.h5")
        done = self.coord("restart", "job")
        self.expect(done, "bad_image", "generation 3 is passed over", "generation 1 is passed over")
        entries = json.loads(self.coord("list", "job", "--json").stdout)
        self.assertEqual([e["state"] for e in entries], ["damaged"] * 3)

    def test_partial_files_are_swept_and_never_offered(self):
        path = self.make_job()
        open(f"{path}/gen-000001.h5.partial", "w").close()
        self.expect(self.coord("restart", "job"), "no_generation")
        self.make_job()
        self.assertNotIn("gen-000001.h5.partial", os.listdir(path))

    def test_a_part_that_is_missing(self):
        os.unlink(os.path.join(self.parts, "libckpt_shim.so"))
        self.expect(self.coord("run", "--job", "x", "--", "true"), "cannot_start", "libckpt_shim.so")

    def test_a_command_that_does_not_exist(self):
        self.expect(self.coord("run", "--job", "x", "--", "no-such-program"), "cannot_start",
                    "no-such-program", "No such file or directory")

    def test_two_runs_of_one_job(self):
        child = self.start_ready("job")
        self.expect(self.coord("run", "--job", "job", "--", "true"), "running", "another ckpt-coord")
        self.expect(self.coord("restart", "job"), "running")
        self.expect(self.coord("prune", "job"), "running")
        path = os.path.join(self.jobs, "job")
        self.expect(self.coord("serve", path), "running", "another coordinator")
        self.assertTrue(self.status("job")["ready"], "it was left alone")
        self.assertEqual(self.end(child), 128 + signal.SIGTERM)

    def test_everything_is_for_the_user_alone(self):
        child = self.start_ready("job")
        path = os.path.join(self.jobs, "job")
        self.assertEqual(os.stat(path).st_mode & 0o777, 0o700)
        for name in os.listdir(path):
            self.assertEqual(os.stat(os.path.join(path, name)).st_mode & 0o077, 0, name)
        self.end(child)
        self.assertNotIn("coordinator.json", os.listdir(path))

    def test_version(self):
        self.assertRegex(self.coord("version").stdout, r"^ckpt-coord \d+\.\d+\.\d+\n$")
        self.assertIn("version", json.loads(self.coord("version", "--json").stdout))
        self.assertEqual(subprocess.run([PROGRAM, "--version"], capture_output=True).returncode, 0)


main()
