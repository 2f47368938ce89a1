#!/usr/bin/env python3
"""generate.py against mpi.h, and the shim's symbols against both."""

import argparse
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import unittest

SHIM = pathlib.Path(__file__).resolve().parents[3] / "mpi_shim"
arguments = None


def load_generator():
    spec = importlib.util.spec_from_file_location("generate", SHIM / "generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    return module


generate = load_generator()


def include_directories():
    return subprocess.run(["mpicc", "-showme:incdirs"], capture_output=True, text=True,
                          check=True).stdout.split()


class Generator(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.header = generate.preprocess(arguments.compiler, include_directories())
        cls.table = (SHIM / "mpi_functions.tbl").read_text()

    def apply(self, table, header=None):
        functions = generate.parse_header(header or self.header)
        with tempfile.NamedTemporaryFile("w", suffix=".tbl") as file:
            file.write(table)
            file.flush()
            generate.apply_table(functions, file.name)
        return functions

    def test_the_table_lists_what_the_header_declares(self):
        functions = self.apply(self.table)
        self.assertTrue(all(f.behaviour for f in functions.values()))
        self.assertGreaterEqual(len([f for f in functions if f.startswith("MPI_")]), 400)

    def test_a_function_the_table_lacks_is_an_error(self):
        table = "".join(line for line in self.table.splitlines(True)
                        if not line.startswith("MPI_Scan "))
        with self.assertRaisesRegex(generate.TableError, "does not list: MPI_Scan"):
            self.apply(table)

    def test_a_function_the_header_lacks_is_an_error(self):
        with self.assertRaisesRegex(generate.TableError, "does not declare MPI_Beam"):
            self.apply(self.table + "MPI_Beam written\n")

    def test_a_new_function_of_the_header_is_an_error(self):
        header = self.header + "\nint MPI_New_one(int x);\n"
        with self.assertRaisesRegex(generate.TableError, "MPI_New_one"):
            self.apply(self.table, header)

    def test_a_property_must_name_a_parameter(self):
        with self.assertRaisesRegex(generate.TableError, "no parameter nothing"):
            self.apply(self.table.replace("at_root=sendtype", "at_root=nothing"))

    def test_parameters(self):
        functions = generate.parse_header(self.header)
        declared = functions["MPI_Group_range_incl"].plain_signature
        self.assertEqual(declared, "MPI_Group group, int n, int ranges[][3], MPI_Group *newgroup")
        self.assertTrue(functions["MPI_Pcontrol"].variadic)
        self.assertEqual(functions["MPI_Wtime"].result, "double")
        self.assertTrue(functions["MPI_Type_struct"].removed)


class Symbols(unittest.TestCase):
    def test_every_function_has_both_names(self):
        functions = generate.parse_header(
            generate.preprocess(arguments.compiler, include_directories()))
        generate.apply_table(functions, SHIM / "mpi_functions.tbl")
        listing = subprocess.run(["nm", "-D", "--defined-only", arguments.shim],
                                 capture_output=True, text=True, check=True).stdout
        symbols = {line.split()[2]: line.split()[0] for line in listing.splitlines()}
        for name, function in functions.items():
            if function.behaviour == "library":
                self.assertNotIn(name, symbols)
                continue
            self.assertIn(name, symbols)
            self.assertEqual(symbols[name], symbols.get("P" + name), name)
        foreign = [s for s in symbols if not s.startswith(("MPI_", "PMPI_", "MPIX_", "PMPIX_",
                                                           "ompi_"))]
        self.assertEqual(foreign, [])

    def test_no_mpi_library_is_linked(self):
        listing = subprocess.run(["objdump", "-p", arguments.shim], capture_output=True, text=True,
                                 check=True).stdout
        needed = [line.split()[1] for line in listing.splitlines() if "NEEDED" in line]
        self.assertFalse([n for n in needed if "mpi" in n or "stdc++" in n or "gcc" in n], needed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--shim", required=True)
    arguments = parser.parse_args()
    unittest.main(argv=[sys.argv[0], "-v"])
