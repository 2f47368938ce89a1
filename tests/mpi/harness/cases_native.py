"""Without ckpt-coord: are the test programs themselves right?"""
from cases import Skip, case
from cases_scenarios import Held
from job import Wrong
from processes import DeadlinePassed
from programs import PROGRAMS_BY_NAME
from scenario_list import scenarios
from settings import TRANSPORTS


def native_scenarios(transport):
    def run(running):
        for name, ranks, kind, _ in scenarios(running.build):
            held = Held(running, name, ranks, kind, transport, 2, native=True)
            try:
                for number in (1, 2):
                    held.wait_state(number)
                    held.release(number)
                held.end()
            except DeadlinePassed as late:
                raise Wrong(f"{name}: {late}") from None
            held.job.clean()
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
