"""checkpoint, with an agent that plays its part, or does not."""
import json
import os

from installation import CODE, FAKE_NODE, CliTest, main


class Checkpoints(CliTest):
    def files(self, job="job"):
        return sorted(n for n in os.listdir(os.path.join(self.jobs, job)) if n.startswith("gen-"))

    def test_a_generation_is_committed(self):
        child = self.start_ready("job")
        done = self.coord("checkpoint", "job")
        self.expect(done, "ok", "generation 1 committed", "downtime", "generation 1: quiesce",
                    "generation 1: flush")
        answer = json.loads(self.coord("checkpoint", "job", "--json").stdout)
        self.assertTrue(answer["committed"])
        self.assertEqual(answer["generation"], 2)
        self.assertEqual(answer["frozen_s"], 0.005)
        self.assertTrue(answer["path"].endswith("gen-000002.h5"))
        self.assertEqual(self.files(), ["gen-000001.h5", "gen-000002.h5"])
        self.assertEqual(self.status("job")["commits"], 2)
        self.end(child)

    def test_periodic_ones(self):
        child = self.start_ready("job", "--every", "1s")
        self.until("two generations", lambda: self.status("job").get("commits", 0) >= 2)
        self.assertLessEqual(self.status("job")["next_in_s"], 1)
        self.end(child)

    def test_two_requests_are_one_generation(self):
        child = self.start_ready("job", "--timeout", "3s", FAKE_AGENT="stuck")
        first = self.start("checkpoint", "job")
        self.until("under way", lambda: self.status("job").get("state") == "level")
        second = self.coord("checkpoint", "job")
        self.expect(second, "timed_out", "rank 1 (in MPI_Recv, 3 collectives behind)")
        self.assertEqual(first.wait(30), CODE["timed_out"])
        self.assertEqual(self.status("job")["failures"], 1)
        self.assertEqual(self.status("job")["state"], "idle")
        self.assertEqual(self.files(), [])
        self.end(child)

    def test_an_agent_that_hangs_is_lost_and_its_node_is_not(self):
        child = self.start_ready("job", "--silence", "2s", FAKE_AGENT="silent")
        self.until("the agent is given up", lambda: "event=agent_hangs" in self.log("job"))
        self.assertNotIn("event=node_lost", self.log("job"))
        self.assertIn("event=agent_suspected", self.log("job"))
        self.assertIsNone(child.poll())
        self.end(child)

    def log(self, job):
        with open(os.path.join(self.jobs, job, "log")) as file:
            return file.read()

    def test_refused(self):
        child = self.start_ready("job", FAKE_AGENT="refuse")
        self.expect(self.coord("checkpoint", "job"), "refused",
                    "rank 1: fd 7 is a TCP socket to 10.0.0.1:22")
        self.assertEqual(self.files(), [])
        self.end(child)

    def test_not_ready(self):
        child = self.start("run", "--job", "job", "--", FAKE_NODE, "sleep", "100",
                           FAKE_AGENT="rank-missing")
        self.until("an agent", lambda: self.status("job").get("ranks"))
        self.expect(self.coord("checkpoint", "job", "--wait", "200ms"), "not_ready",
                    "of 2 ranks these are not there: 0")
        self.end(child)

    def test_an_agent_that_dies_leaves_nothing(self):
        for state in (16, 18, 22, 24, 26, "after-writing"):
            with self.subTest(state=state):
                job = f"job-{state}"
                child = self.start_ready(job, FAKE_AGENT=f"die-{state}")
                self.expect(self.coord("checkpoint", job), "aborted", "agent on fakenode is gone")
                self.assertEqual(self.files(job), [])
                self.until("a new agent", lambda: self.status(job).get("ready"))
                self.end(child)

    def test_a_full_disk_or_any_failed_commit_is_reported(self):
        child = self.start_ready("job")
        # What is in the way of the rename: a directory that is not empty.
        os.makedirs(os.path.join(self.jobs, "job/gen-000001.h5/in-the-way"))
        done = self.coord("checkpoint", "job")
        if done.returncode != 0:  # it may as well take the next number
            self.expect(done, "aborted", "gen-000001.h5")
        self.assertTrue(self.status("job")["ready"])
        self.end(child)

    def test_a_coordinator_that_is_killed_is_replaced(self):
        child = self.start_ready("job")
        before = self.status("job")["coordinator_pid"]
        os.kill(before, 9)
        self.until("a new coordinator",
                   lambda: self.status("job").get("coordinator_pid", before) != before)
        self.assertIsNone(child.poll())
        self.end(child)
        self.assertIn("the coordinator killed by signal 9", child.stderr.read())

    def test_the_log_tells_what_happened(self):
        child = self.start_ready("job")
        self.coord("checkpoint", "job")
        self.end(child)
        with open(os.path.join(self.jobs, "job/log")) as log:
            text = log.read()
        for event in ("coordinator_started", "agent_joined", "all_ranks_present", "checkpoint_begun",
                      "committed generation=1", "coordinator_ended"):
            self.assertIn("event=" + event, text)


main()
