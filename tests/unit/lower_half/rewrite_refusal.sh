#!/usr/bin/env bash
# rewrite_refusal.sh CKPT_REWRITE: what cannot be decoded with certainty is
# refused by name, and no copy is left.
set -euo pipefail
rewrite=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

# Bytes that are no instruction, with what could be an %fs access behind them.
cat >"$dir/data_in_code.s" <<'S'
	.text
	.globl f
	.type f, @function
f:
	.cfi_startproc
	ret
	.byte 0x06, 0x07
	mov %fs:0x28, %rax
	ret
	.cfi_endproc
S
cc -shared -nostdlib -o "$dir/libdata.so" "$dir/data_in_code.s"
if "$rewrite" --library "$dir/libdata.so" --copy "$dir/copy" 2>"$dir/error"; then
  echo "FAILED: data in code was accepted"; exit 1
fi
grep -q 'libdata.so: decode code at .*: not an instruction' "$dir/error"
grep -q 'not an instruction' "$dir/copy.refused"
[ ! -e "$dir/copy" ]

# A libc in which the system calls to steer do not stand where they should.
cp "$dir/libdata.so" "$dir/libc.so.6"
printf '\t.text\nf:\n\tret\n' >"$dir/empty.s"
cc -shared -nostdlib -o "$dir/libc.so.6" "$dir/empty.s"
if "$rewrite" --library "$dir/libc.so.6" --copy "$dir/libc" 2>"$dir/error"; then
  echo "FAILED: a libc without mmap was accepted"; exit 1
fi
grep -q 'steer mmap: its system call stands 0 times' "$dir/error"

# Not a library at all, and one that is cut off.
echo hello >"$dir/text"
! "$rewrite" --library "$dir/text" --copy "$dir/t" 2>"$dir/error" || exit 1
grep -q 'not an ELF file\|not an x86-64 ELF file' "$dir/error"
head -c 5000 "$(ldconfig -p | awk '/libz.so.1 /{print $NF; exit}')" >"$dir/cut.so"
! "$rewrite" --library "$dir/cut.so" --copy "$dir/c" 2>"$dir/error" || exit 1
grep -q 'outside the file' "$dir/error"
echo "refusals: OK"
