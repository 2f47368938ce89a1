"""Without ckpt-coord: are the test programs themselves right?"""
import os

from cases import Skip, case
from job import Job, Wrong
from programs import PROGRAMS_BY_NAME
from scenario_list import scenarios, touch
from settings import TRANSPORTS


def native_scenarios(transport):
    def run(running):
        for name, ranks, _, _ in scenarios(running.build):
            job = Job(running, [running.build.program("scenario"), name], ranks, transport,
                      {"SCENARIO_ROUNDS": "2"}, name=name)
            job.env["SCENARIO_DIR"] = job.cwd
            for kind in ("go", "after"):
                for number in (1, 2):
                    touch(os.path.join(job.cwd, f"{kind}.{number}"))
            child = job.native(60)
            if f"scenario {name}: OK" not in child.out:
                raise Wrong(f"{name}: {child.out}{child.err}")
            job.clean()
    return run


def native_program(name):
    def run(running):
        program = PROGRAMS_BY_NAME[name]
        if program.missing():
            raise Skip(f"{program.missing()} not installed")
        first, second = (program.job(running, name=n) for n in ("first", "second"))
        first.native()
        second.native()
        if program.result(first) != program.result(second):
            raise Wrong("two native runs differ")
    return run


def register(build, tier):
    for transport in TRANSPORTS:
        case(f"native/scenarios/{transport}", "all")(native_scenarios(transport))
    for name in PROGRAMS_BY_NAME:
        case(f"native/program/{name}", "all")(native_program(name))
