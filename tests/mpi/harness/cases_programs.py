"""Real programs: checkpointed at random moments, killed, restarted; the final
result is that of an undisturbed run."""
import random
import time

from cases import Skip, case
from job import Job, Wrong
from processes import wait_until
from programs import PROGRAMS_BY_NAME
from settings import ORDINARY_USER

_undisturbed = {}  # program -> (result, seconds)


def undisturbed(running, program):
    """The result of a native run and how long it took; once in a session."""
    if program.name not in _undisturbed:
        job = program.job(running, name="undisturbed")
        begin = time.monotonic()
        job.native()
        _undisturbed[program.name] = (program.result(job), time.monotonic() - begin)
    return _undisturbed[program.name]


def go_on(job, seconds):
    """Lets the job run. False when it has ended."""
    end = time.monotonic() + seconds
    wait_until(lambda: job.current.poll() is not None or time.monotonic() >= end, seconds + 5,
               "the job's run")
    return job.current.poll() is None


def checkpoint(job):
    """Takes a checkpoint. False when the job had come to its end instead."""
    try:
        job.checkpoint()
    except Wrong:
        if go_on(job, 20):
            raise
        return False
    return True


def compare(program, job, expected):
    got = program.result(job)
    if got == expected:
        return
    for a, b in zip(expected, got):
        if a != b:
            raise Wrong(f"result differs\nundisturbed: {a}\nhere:        {b}")
    raise Wrong(f"{len(got)} result lines, undisturbed {len(expected)}")


def needed(name):
    program = PROGRAMS_BY_NAME[name]
    if program.missing():
        raise Skip(f"{', '.join(program.missing())} not installed")
    return program


def chain(name, moments, restart, transport="vader", user=None):
    """One run with several checkpoints; with `restart`, it is killed after each
    and goes on from it."""
    def run(running):
        program = needed(name)
        expected, seconds = undisturbed(running, program)
        rng = random.Random(f"{running.seed}/{running.name}")
        cuts = sorted(rng.uniform(0.02, 0.75) * seconds for _ in range(moments))
        done = 0
        # A run may be quicker than the undisturbed one was on a shared machine:
        # when it ends before its first checkpoint, they come earlier in another.
        for attempt in range(4):
            job = program.job(running, name=f"try{attempt}", transport=transport, user=user,
                              options=["--keep", "3"]).start()
            job.wait_ready()
            for gap in [b - a for a, b in zip([0] + cuts, cuts)]:
                if not go_on(job, gap) or not checkpoint(job):
                    break
                done += 1
                if restart:
                    go_on(job, rng.uniform(0, 0.05) * seconds)
                    job.kill()
                    job.restart()
            job.wait(120 + 6 * seconds)
            compare(program, job, expected)
            if done:
                break
            cuts = [cut / 3 for cut in cuts]
        running.note(f"{done} checkpoints at " + " ".join(f"{c:.1f}" for c in cuts[:done]) +
                     f" of {seconds:.1f} s")
        if not done:
            raise Wrong("the job ended before its first checkpoint")
    return run


def singly(name, moments):
    """A run of its own for each moment: checkpoint, kill -9, restart, to the end."""
    def run(running):
        program = needed(name)
        expected, seconds = undisturbed(running, program)
        rng = random.Random(f"{running.seed}/{running.name}")
        done = 0
        for number in range(3 * moments):
            job = program.job(running, name=f"run{number}").start()
            job.wait_ready()
            if not go_on(job, rng.uniform(0.02, 0.8) * seconds) or not checkpoint(job):
                continue
            job.kill()
            job.restart().wait(120 + 4 * seconds)
            compare(program, job, expected)
            job.clean()
            done += 1
            if done == moments:
                return
        raise Wrong(f"only {done} of {3 * moments} runs lasted until their moment")
    return run


def ten_restarts(running):
    """A restarted job is checkpointed and restarted, 10 times in a row: neither
    its memory nor its image grows."""
    import os
    stop = os.path.join(running.dir, "stop")
    job = Job(running, [running.build.program("adversary"), "0", "100"], 2,
              env={"ADVERSARY_STOP": stop}, options=["--keep", "2"]).start()
    job.wait_ready()
    sizes, memory = [], []
    for _ in range(10):
        go_on(job, 0.3)
        generation = job.checkpoint()
        sizes.append(os.path.getsize(job.generation_path(generation)) >> 10)
        memory.append(job.memory_kib())
        job.kill()
        job.restart()
        job.wait_ready()
        wait_until(lambda: "restart: complete after" in job.current.err, 20,
                   "restart's word that it is complete")
    with open(stop, "w"):
        pass
    job.wait(120)
    running.note(f"image KiB {sizes[0]} -> {sizes[-1]}, ranks' memory KiB {memory[1]} -> "
                 f"{memory[-1]}")
    if "adversary: OK" not in job.output():
        raise Wrong(f"no OK\n{job.tail()}")
    # What is in flight differs from moment to moment; growth would be in each.
    if min(sizes[5:]) > 1.25 * max(sizes[:3]) + 4096:
        raise Wrong(f"the image grows: {sizes} KiB")
    if min(memory[6:]) > 1.25 * max(memory[1:4]) + 8192:
        raise Wrong(f"the ranks grow: {memory} KiB")


def register(build, tier):
    rounds = 5 if tier == "all" else 3
    for name, program in PROGRAMS_BY_NAME.items():
        case(f"program/{name}/continue", program.tier)(chain(name, rounds, False))
        case(f"program/{name}/restart", program.tier)(chain(name, rounds, True))
        case(f"program/{name}/singly", "all")(singly(name, 5))
        for transport in ("tcp", "ucx"):
            case(f"program/{name}/restart-{transport}", "all")(chain(name, 3, True, transport))
    case("restart/ten", "fair")(ten_restarts)

    def as_ordinary_user(running):
        import os
        if os.geteuid() != 0:
            raise Skip("only root can become another user (the other cases run as one already)")
        chain("stencil", 2, True, user=ORDINARY_USER)(running)
    case("user/ordinary", "fair")(as_ordinary_user)
