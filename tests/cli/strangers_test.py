"""Who does not know the job's key is not let in, and cannot keep others out."""
import json
import os
import resource
import shutil
import socket
import ssl
import struct
import subprocess
import time
import unittest

from installation import TLS_PIPE, CliTest, main

HELLO = struct.pack("<IHI", 6, 64, 1)  # ControlHello


class Strangers(CliTest):
    def setUp(self):
        super().setUp()
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
        self.child = self.start_ready("job")
        self.path = os.path.join(self.jobs, "job")
        with open(os.path.join(self.path, "coordinator.json")) as file:
            self.address = json.load(file)

    def tearDown(self):
        if self.child.poll() is None:
            self.assertTrue(self.status("job")["ready"], "the job was left alone")
            self.end(self.child)
        super().tearDown()

    def stranger(self):
        connection = socket.create_connection(("127.0.0.1", self.address["port"]))
        connection.settimeout(15)
        return connection

    def log(self, event="stranger_refused"):
        with open(os.path.join(self.path, "log")) as file:
            return [line for line in file if f"event={event} " in line]

    def until_logged(self, cause):
        return self.until(cause, lambda: [line for line in self.log() if cause in line])

    def answer_to(self, frame):
        with self.stranger() as stranger:
            # Closed with bytes of ours unread, a connection is reset.
            try:
                stranger.sendall(frame)
                stranger.shutdown(socket.SHUT_WR)
                return stranger.recv(100)
            except (ConnectionResetError, BrokenPipeError):
                return b""

    def test_plain_text(self):
        for frame in (HELLO, struct.pack("<IH", 10, 66) + b"\0" * 8, struct.pack("<I", 1 << 30),
                      b"GET / HTTP/1.1\r\n\r\n" + b"x" * 100):
            answer = self.answer_to(frame)
            self.assertIn(answer[:1], (b"", b"\x15"), "nothing, or a TLS alert")
        self.until_logged("no TLS")

    def test_a_cause_is_logged_once(self):
        for _ in range(20):
            self.answer_to(b"GET / HTTP/1.1\r\n\r\n" + b"x" * 100)
        self.until_logged("no TLS")
        self.coord("status", "job")  # the coordinator has come past all of them
        self.assertEqual(len(self.log()), 1, self.log())

    def test_tls_without_the_key(self):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with self.stranger() as stranger, self.assertRaises(ssl.SSLError):
            context.wrap_socket(stranger)
        self.until_logged("no key")

    def test_a_wrong_key(self):
        done = subprocess.run([TLS_PIPE, self.path + "/coordinator.json", "0" * 64],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertIn("wrong key", done.stderr)
        self.until_logged("wrong key")

    def test_the_command_says_so_when_the_key_is_wrong(self):
        other = os.path.join(self.jobs, "other")
        shutil.copytree(self.path, other)
        with open(other + "/coordinator.json", "w") as file:
            json.dump(dict(self.address, key="0" * 64), file)
        self.expect(self.coord("checkpoint", "other"), "not_running", "TLS handshake", "wrong key")

    def test_the_command_says_so_when_no_coordinator_is_behind_the_port(self):
        other = os.path.join(self.jobs, "other")
        shutil.copytree(self.path, other)
        with socket.create_server(("127.0.0.1", 0)) as server:
            with open(other + "/coordinator.json", "w") as file:
                json.dump(dict(self.address, port=server.getsockname()[1]), file)
            begun = time.monotonic()
            self.expect(self.coord("checkpoint", "other"), "not_running", "TLS handshake", "timeout")
            self.assertLess(time.monotonic() - begun, 20)
            child = self.start("checkpoint", "other")
            server.settimeout(0.2)
            while child.poll() is None:  # the first is that of the command above
                try:
                    connection, _ = server.accept()
                except TimeoutError:
                    continue
                with connection:
                    try:
                        connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" + b"x" * 100)
                        connection.settimeout(20)
                        while connection.recv(1000):
                            pass
                    except OSError:
                        pass
            self.assertIn("no TLS", child.communicate(timeout=30)[1])

    def test_more_than_there_is_room_for(self):
        crowd = [self.stranger() for _ in range(80)]
        begun = time.monotonic()
        self.assertTrue(self.status("job").get("ready"), "the user gets through")
        self.assertLess(time.monotonic() - begun, 5)
        for each in crowd:
            each.close()

    def cpu_seconds(self):
        with open(f"/proc/{self.address['pid']}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def test_no_descriptors_left(self):
        pid = self.address["pid"]
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        self.assertEqual(soft, hard, "it takes what it may have")
        used = len(os.listdir(f"/proc/{pid}/fd"))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (used + 2, hard))
        crowd = [self.stranger() for _ in range(8)]
        line, = self.until("it says so", lambda: self.log("cannot_accept"))
        self.assertIn("Too many open files", line)
        self.assertIn(f"descriptor_limit={used + 2} ", line)
        begun = self.cpu_seconds()
        time.sleep(1)  # what is looked at is how this second is spent
        self.assertLess(self.cpu_seconds() - begun, 0.5)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        self.assertTrue(self.status("job").get("ready"), "it goes on by itself")
        for each in crowd:
            each.close()

    def test_a_silent_one_is_sent_away(self):
        with self.stranger() as stranger:
            self.assertEqual(stranger.recv(1), b"")
        self.until_logged("timeout")

    @unittest.skipIf(shutil.which("openssl") is None, "SKIPPED: no openssl program")
    def test_stock_tools_speak_it(self):
        command = ["openssl", "s_client", "-tls1_3", "-connect", f"127.0.0.1:{self.address['port']}"]
        right = subprocess.run([*command, "-psk", self.address["key"], "-psk_identity", "ckpt-coord"],
                               input="", capture_output=True, text=True, timeout=30)
        self.assertIn("Reused, TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256", right.stdout + right.stderr)
        other = subprocess.run([*command, "-psk", self.address["key"], "-psk_identity", "root"],
                               input="", capture_output=True, text=True, timeout=30)
        self.assertNotIn("Cipher is TLS_AES", other.stdout)
        self.assertNotEqual(other.returncode, 0)


main()
