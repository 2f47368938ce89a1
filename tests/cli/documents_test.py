"""--help, the man page and the completions tell of the same things."""
import os
import re
import shutil
import subprocess
import unittest

from installation import PROGRAM, SOURCE, exit_codes, main

COMMANDS = ["run", "checkpoint", "restart", "status", "list", "verify", "export", "prune", "serve", "version"]


def read(path):
    with open(os.path.join(SOURCE, "coordinator", path)) as file:
        return file.read()


def help_of(command):
    words = [PROGRAM, command, "--help"] if command else [PROGRAM, "--help"]
    done = subprocess.run(words, text=True, capture_output=True, check=True)
    return done.stdout


def options_of_help(command):
    lines = re.findall(r"^  (-\S.*)$", help_of(command), re.M)
    found = set()
    for line in lines:
        found.update(re.findall(r"--[a-z-]+", line.split("  ")[0]))
    return found


def options_of_man(command):
    section = re.search(rf"^\.Ss {command}\n(.*?)^\.S[sh]", read("man/ckpt-coord.1"), re.M | re.S)
    return {"--" + name for name in re.findall(r"^\.It Fl Fl ([a-z-]+)", section.group(1), re.M)}


class Documents(unittest.TestCase):
    def test_help_lists_every_command(self):
        listed = re.search(r"Subcommands:\n(.*?)\n\n", help_of(None), re.S).group(1)
        self.assertEqual(re.findall(r"^  (\w+)", listed, re.M).sort(), COMMANDS.copy().sort())
        for command in COMMANDS:
            self.assertRegex(listed, rf"(?m)^  {command} ")

    def test_man_page_has_the_options_of_help(self):
        for command in COMMANDS:
            self.assertEqual(options_of_man(command) | {"--help"}, options_of_help(command), command)

    def test_bash_completion_has_the_options_of_help(self):
        text = read("completions/ckpt-coord.bash")
        for command in COMMANDS:
            options = re.search(rf"^    {command}\) options='([^']*)'", text, re.M).group(1)
            self.assertEqual(set(options.split()), options_of_help(command), command)

    def test_zsh_completion_has_the_options_of_help(self):
        text = read("completions/_ckpt-coord")
        for command in COMMANDS:
            part = re.search(rf"^        {command}\)(.*?);;", text, re.M | re.S).group(1)
            self.assertEqual(set(re.findall(r"'(--[a-z-]+)", part)), options_of_help(command), command)

    def test_exit_codes_are_everywhere_the_same(self):
        man = re.search(r"^\.Sh EXIT STATUS(.*?)^\.Sh", read("man/ckpt-coord.1"), re.M | re.S).group(1)
        for name, (number, meaning) in exit_codes().items():
            self.assertIn(f".It {number}\n{meaning}\n", man, name)
            for command in [None, *COMMANDS]:
                self.assertIn(f"  {number}\t{meaning}\n", help_of(command), name)

    @unittest.skipUnless(shutil.which("mandoc"), "mandoc is not installed")
    def test_man_page_is_sound(self):
        page = os.path.join(SOURCE, "coordinator/man/ckpt-coord.1")
        done = subprocess.run(["mandoc", "-Tlint", "-Wstyle", page], text=True, capture_output=True)
        complaints = [line for line in (done.stdout + done.stderr).splitlines()
                      if "outdated mandoc.db" not in line and "referenced manual not found" not in line]
        self.assertEqual(complaints, [])

    @unittest.skipUnless(shutil.which("bash"), "no bash")
    def test_bash_completion_completes(self):
        script = (f". {SOURCE}/coordinator/completions/ckpt-coord.bash; COMP_WORDS=(ckpt-coord checkpoint --q);"
                  " COMP_CWORD=2; _ckpt_coord; echo ${COMPREPLY[@]}")
        done = subprocess.run(["bash", "-c", script], text=True, capture_output=True, check=True)
        self.assertEqual(done.stdout.strip(), "--quiet")


main()
