#!/usr/bin/env python3
"""Writes the shim's generated sources from mpi.h and the two tables.

The installed mpi.h (preprocessed) gives the signatures, mpi_functions.tbl what
each function means, predefined_handles.tbl the predefined handles. A function
that only one of header and table knows is an error: nothing is ever passed
through unseen.
"""

import argparse
import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass, field

HANDLE_TYPES = (
    "MPI_Comm", "MPI_Datatype", "MPI_Op", "MPI_Group", "MPI_Request", "MPI_Message",
    "MPI_Info", "MPI_Errhandler", "MPI_Win", "MPI_File",
)
HANDLE_KINDS = {
    "Comm": "communicator", "Group": "group", "Request": "request", "Message": "message",
    "Op": "op", "Errhandler": "errhandler", "Info": "info", "Win": "win", "File": "file",
    "Datatype": "datatype",
}
# Types that C++ does not see in mpi.h, by what they are the same as.
REMOVED_TYPES = {"MPI_Handler_function *": "MPI_Comm_errhandler_function *"}
BEHAVIOURS = ("written", "collective", "icollective", "local", "tool", "unsupported", "library")


class TableError(Exception):
    pass


@dataclass
class Parameter:
    type: str   # "const int", "MPI_Comm", "void *"
    name: str
    array: str  # "[]", "[][3]" or ""

    @property
    def declaration(self):
        space = "" if self.type.endswith("*") else " "
        return f"{self.type}{space}{self.name}{self.array}"

    @property
    def is_handle(self):
        return self.type in HANDLE_TYPES and not self.array


@dataclass
class Function:
    name: str
    result: str
    parameters: list
    variadic: bool = False
    removed: bool = False
    behaviour: str = ""
    properties: dict = field(default_factory=dict)

    @property
    def short(self):  # MPI_Send -> Send, MPIX_Bcast_init -> X_Bcast_init
        return re.sub(r"^MPI(X?)_", lambda m: "X_" if m.group(1) else "", self.name)

    @property
    def signature(self):
        parts = [p.declaration for p in self.parameters] + (["..."] if self.variadic else [])
        return ", ".join(parts) or "void"

    @property
    def plain_signature(self):  # for C++ definitions: no "void"
        parts = [p.declaration for p in self.parameters] + (["..."] if self.variadic else [])
        return ", ".join(parts)

    @property
    def names(self):
        return ", ".join(p.name for p in self.parameters)

    def parameter_of(self, type_):
        return next((p for p in self.parameters if p.type == type_ and not p.array), None)

    def parameter(self, name):
        return next((p for p in self.parameters if p.name == name), None)


PROTOTYPE = re.compile(
    r"\b(?P<result>int|double|char|MPI_\w+)\s*(?P<name>(?:MPIX?|OMPI)_[A-Za-z]\w*)\s*"
    r"\((?P<parameters>[^()]*)\)\s*(?P<attributes>__attribute__.*)?$", re.S)


def parse_parameter(text, position):
    text = re.sub(r"\s+", " ", text.strip())
    match = re.fullmatch(r"(.*?)(\w+)?\s*((?:\[[^\]]*\])*)", text)
    type_, name, array = match.group(1).strip(), match.group(2), match.group(3)
    if not type_ or name in ("int", "void", "char"):  # no name given
        type_, name = text[: len(text) - len(array)].strip(), f"argument{position}"
    type_ = re.sub(r"\s*\*\s*", "*", type_).replace("*", " *", 1)
    return Parameter(REMOVED_TYPES.get(type_, type_), name, array.replace(" ", ""))


def parse_header(text):
    """All C functions the preprocessed header declares, PMPI_ twins left out."""
    text = re.sub(r"^#.*$", "", text, flags=re.M)
    text = re.sub(r'extern "C" \{', "", text)
    text = text.replace('__attribute__((visibility("default")))', "")
    functions = {}
    for statement in text.split(";"):
        match = PROTOTYPE.search(statement.strip())
        if not match or "typedef" in statement:
            continue
        parameters, variadic = [], False
        for position, item in enumerate(match.group("parameters").split(",")):
            item = item.strip()
            if item == "...":
                variadic = True
            elif item and item != "void":
                parameters.append(parse_parameter(item, position))
        functions[match.group("name")] = Function(
            match.group("name"), match.group("result"), parameters, variadic,
            removed="__error__" in (match.group("attributes") or ""))
    return functions


def table_rows(path):
    for number, line in enumerate(pathlib.Path(path).read_text().splitlines(), 1):
        line = line.split("#")[0].split()
        if line:
            yield number, line


def apply_table(functions, path):
    """Gives each function its behaviour; header and table must name the same ones."""
    listed = set()
    for number, (name, behaviour, *properties) in table_rows(path):
        where = f"{path}:{number}"
        if name not in functions:
            raise TableError(f"{where}: mpi.h does not declare {name}")
        if name in listed:
            raise TableError(f"{where}: {name} is listed twice")
        if behaviour not in BEHAVIOURS:
            raise TableError(f"{where}: unknown behaviour {behaviour}")
        listed.add(name)
        function = functions[name]
        function.behaviour = behaviour
        for item in properties:
            key, _, value = item.partition("=")
            if key not in ("in_place", "at_root", "returns"):
                raise TableError(f"{where}: unknown property {item}")
            for used in value.split("/") if key != "returns" else ():
                if not function.parameter(used):
                    raise TableError(f"{where}: {name} has no parameter {used}")
            function.properties[key] = value
    missing = sorted(set(functions) - listed)
    if missing:
        raise TableError(f"{path}: mpi.h declares what the table does not list: {', '.join(missing)}")


@dataclass
class Predefined:
    kind: str
    name: str
    symbol: str
    fortran: int


def read_predefined(path):
    rows = []
    for number, row in table_rows(path):
        if len(row) != 4 or row[0] not in HANDLE_KINDS:
            raise TableError(f"{path}:{number}: want kind, name, symbol and Fortran number")
        kind, name, symbol, fortran = row
        rows.append(Predefined(HANDLE_KINDS[kind], name, symbol,
                               -1 if fortran == "-" else int(fortran)))
    return rows


def fill(template, **values):
    text = template
    for key, value in values.items():
        text = text.replace("@" + key + "@", value)
    return text


def enclosing_error(function):
    """The handle whose error handler answers for the function."""
    comm = function.parameter_of("MPI_Comm")
    if function.name.startswith("MPI_File_"):
        return "g_predefined[CKPT_HANDLE_MPI_FILE_NULL]"
    return f"handle_of({comm.name})" if comm else "kNoHandle"


def ids_header(functions, predefined):
    ids = "".join(f"  CKPT_{f.name},\n" for f in functions)
    handles = "".join(f"  CKPT_HANDLE_{p.name},\n" for p in predefined)
    return {"IDS": ids, "HANDLES": handles}


def host_tables(functions, predefined):
    called = [f for f in functions if f.name.startswith("MPI_")]
    declarations = "".join(f"void P{f.name}(void);\n" for f in called)
    declarations += "".join(f"extern char {p.symbol}[];\n" for p in predefined)
    entries = "".join(
        f"    (void*)P{f.name},\n" if f.name.startswith("MPI_") else f"    0, /* {f.name} */\n"
        for f in functions)
    handles = "".join(f"    {p.symbol},\n" for p in predefined)
    return {"DECLARATIONS": declarations, "ENTRIES": entries, "HANDLES": handles}


def lower_calls(functions):
    text = []
    for f in functions:
        if f.variadic or f.removed or not f.name.startswith("MPI_"):
            continue
        text.append(
            f"inline {f.result} {f.short}({f.plain_signature}) {{\n"
            f"  using Function = {f.result} (*)({f.signature});\n"
            f"  return reinterpret_cast<Function>(g_lower_mpi[CKPT_{f.name}])({f.names});\n"
            "}\n")
    return {"CALLS": "\n".join(text)}


def calls_header(functions):
    written = [f for f in functions if f.behaviour not in ("library", "tool")]
    return {"CALLS": "".join(f"{f.result} {f.short}({f.plain_signature});\n" for f in written)}


def entries(functions):
    text = []
    for f in functions:
        if f.behaviour == "library":
            continue
        twin = f.name.startswith("MPI")
        body = f"  return calls::{f.short}({f.names});\n"
        if f.behaviour == "tool":
            zeroed = "".join(f"  *{p.name} = 0;\n" for p in f.parameters
                             if f.properties.get("returns") == "MPI_SUCCESS"
                             and p.type in ("int *", "MPI_T_pvar_session *") and not p.array)
            body = f"{zeroed}  return {f.properties['returns']};\n"
            if not zeroed:
                for p in f.parameters:
                    body = f"  (void){p.name};\n" + body
        native = "" if f.variadic else (
            f"  if (g_native) [[unlikely]]\n"
            f"    return program_function<{f.result} (*)({f.signature})>(CKPT_{f.name})({f.names});\n")
        linkage = f'CKPT_EXPORT {f.result} {f.name}({f.plain_signature}) {{\n{native}{body}}}\n'
        if twin:
            linkage += (f'CKPT_EXPORT {f.result} P{f.name}({f.plain_signature}) '
                        f'__attribute__((alias("{f.name}")));\n')
        text.append(linkage)
    removed = "".join(f"#undef {f.name}\n#undef P{f.name}\n" for f in functions if f.removed)
    return {"UNDEFINED": removed, "ENTRIES": "\n".join(text)}


def function_names(functions):
    return {"NAMES": "".join(f'    "{f.name}",\n' for f in functions)}


def predefined_rows(predefined):
    return {"ROWS": "".join(
        f'    {{"{p.name}", "{p.symbol}", HandleKind::{p.kind}, {p.fortran}}},\n'
        for p in predefined)}


def lowered(function, parameter):
    """The argument for the lower half."""
    if parameter.type == "MPI_Datatype" and not parameter.array:
        conditions = []
        if parameter.name == function.properties.get("at_root"):
            conditions.append("at_root")
        buffer, _, type_ = function.properties.get("in_place", "").partition("/")
        if type_ == parameter.name:
            conditions.append(f"{buffer} != MPI_IN_PLACE")
        if conditions:
            return f"lower_type_if({' && '.join(conditions)}, {parameter.name})"
        return f"lower_of({parameter.name})"
    if parameter.type == "const MPI_Datatype" and parameter.array:
        return f"lower_{parameter.name}.data()"
    if parameter.type in ("MPI_Comm", "MPI_Op"):
        return f"lower_of({parameter.name})"
    if parameter.type == "MPI_Request *":
        return "&lower_request"
    return parameter.name


def type_arrays(function):
    buffer, _, in_place = function.properties.get("in_place", "").partition("/")
    lines = ""
    for p in function.parameters:
        if p.type == "const MPI_Datatype" and p.array:
            count = "neighbours(*state)" if "neighbor" in function.name else "state->size"
            if p.name == in_place:
                count = f"{buffer} == MPI_IN_PLACE ? 0 : {count}"
            lines += f"    const LowerTypes lower_{p.name}({p.name}, {count});\n"
    return lines


def collective(function):
    arguments = ", ".join(lowered(function, p) for p in function.parameters)
    root = ("    const bool at_root = state->rank == root;\n"
            if "at_root" in function.properties else "")
    nonblocking = function.behaviour == "icollective"
    request = "    MPI_Request lower_request;\n" if nonblocking else ""
    adopt = ("    if (code == MPI_SUCCESS) *request = adopt_collective(lower_request, *state);\n"
             if nonblocking else "")
    return (
        f"int {function.short}({function.plain_signature}) {{\n"
        f"  Communicator* state = checked(comm);\n"
        f'  if (!state) return raise_error(kNoHandle, MPI_ERR_COMM, "{function.name}");\n'
        f"  int code;\n"
        f"  {{\n"
        f'    CollectiveDoor door(*state, "{function.name}");\n'
        f"{root}{type_arrays(function)}{request}"
        f"    code = lower::{function.short}({arguments});\n"
        f"{adopt}"
        f"  }}\n"
        f'  return code == MPI_SUCCESS ? code : raise_error(comm, code, "{function.name}");\n'
        "}\n")


def local_call(function):
    arguments = ", ".join(lowered(function, p) for p in function.parameters)
    handle = enclosing_error(function)
    return (
        f"int {function.short}({function.plain_signature}) {{\n"
        f"  int code;\n"
        f"  {{\n"
        f'    Door door("{function.name}");\n'
        f"    code = lower::{function.short}({arguments});\n"
        f"  }}\n"
        f'  return code == MPI_SUCCESS ? code : raise_error({handle}, code, "{function.name}");\n'
        "}\n")


def unsupported_call(function):
    handle = enclosing_error(function)
    unused = "".join(f"  (void){p.name};\n" for p in function.parameters
                     if handle != f"handle_of({p.name})")
    return (f"int {function.short}({function.plain_signature}) {{\n{unused}"
            f'  return unsupported({handle}, "{function.name}");\n}}\n')


def bodies(functions, behaviour, write):
    return {"CALLS": "\n".join(write(f) for f in functions if f.behaviour == behaviour)}


def outputs(functions, predefined):
    """File name -> values of its template."""
    return {
        "mpi_function_ids.h": ids_header(functions, predefined),
        "host_tables.c": host_tables(functions, predefined),
        "lower_calls.hpp": lower_calls(functions),
        "calls.hpp": calls_header(functions),
        "entries.cpp": entries(functions),
        "function_names.cpp": function_names(functions),
        "predefined_rows.cpp": predefined_rows(predefined),
        "collectives.cpp": bodies(functions, "collective", collective),
        "nonblocking_collectives.cpp": bodies(functions, "icollective", collective),
        "local_calls.cpp": bodies(functions, "local", local_call),
        "unsupported_calls.cpp": bodies(functions, "unsupported", unsupported_call),
    }


def preprocess(compiler, includes):
    # C99, so that the header declares the functions MPI 3.0 removed as well.
    command = [compiler, "-std=c99", "-E", *[f"-I{i}" for i in includes], "-x", "c", "-"]
    source = "#include <mpi.h>\n#include <mpi-ext.h>\n"
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--include", action="append", default=[])
    parser.add_argument("--output", required=True, type=pathlib.Path)
    here = pathlib.Path(__file__).parent
    parser.add_argument("--functions", default=here / "mpi_functions.tbl")
    parser.add_argument("--handles", default=here / "predefined_handles.tbl")
    parser.add_argument("--check", action="store_true", help="compare header and tables only")
    arguments = parser.parse_args()
    try:
        functions = parse_header(preprocess(arguments.compiler, arguments.include))
        apply_table(functions, arguments.functions)
        predefined = read_predefined(arguments.handles)
    except TableError as error:
        sys.exit(f"generate.py: {error}")
    if arguments.check:
        return
    ordered = [functions[name] for name in sorted(functions)]
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, values in outputs(ordered, predefined).items():
        template = (here / "templates" / (name + ".in")).read_text()
        (arguments.output / name).write_text(fill(template, **values))


if __name__ == "__main__":
    main()
