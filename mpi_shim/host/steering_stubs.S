// Entries of the steered system call sites. Each is reached by a call that
// stands where `mov $nr,%eax; syscall` stood: arguments are in rdi, rsi, rdx,
// r10, r8, r9, and only rax, rcx and r11 may change. The C side is built
// without SSE, so no vector register needs to be kept.

	.text

.macro KEEP_REGISTERS
	push	%rbp
	mov	%rsp, %rbp
	push	%rdi
	push	%rsi
	push	%rdx
	push	%r8
	push	%r9
	push	%r10
	and	$-16, %rsp
.endm

.macro GIVE_BACK_AND_RETURN
	lea	-48(%rbp), %rsp
	pop	%r10
	pop	%r9
	pop	%r8
	pop	%rdx
	pop	%rsi
	pop	%rdi
	pop	%rbp
	ret
.endm

.macro STEER name, target
	.globl	\name
	.hidden	\name
	.type	\name, @function
	.balign	16
\name:
	KEEP_REGISTERS
	mov	%r10, %rcx
	call	\target
	GIVE_BACK_AND_RETURN
	.size	\name, . - \name
.endm

STEER ckpt_steer_mmap_entry, ckpt_steer_mmap
STEER ckpt_steer_brk_entry, ckpt_steer_brk
STEER ckpt_steer_mremap_entry, ckpt_steer_mremap
STEER ckpt_steer_shmat_entry, ckpt_steer_shmat

// libc's syscall(): stands where `mov 8(%rsp),%r9; syscall` stood, number in
// rax. After the call the sixth argument lies at 16(%rsp); the number goes to
// the C side as its seventh argument, on the stack.
	.globl	ckpt_steer_syscall_entry
	.hidden	ckpt_steer_syscall_entry
	.type	ckpt_steer_syscall_entry, @function
	.balign	16
ckpt_steer_syscall_entry:
	mov	16(%rsp), %r9
	KEEP_REGISTERS
	sub	$8, %rsp
	push	%rax
	mov	%r10, %rcx
	call	ckpt_steer_syscall
	GIVE_BACK_AND_RETURN
	.size	ckpt_steer_syscall_entry, . - ckpt_steer_syscall_entry

// clone3: the child has another stack, so the return address waits in r10. A
// child with TLS of its own (CLONE_SETTLS) gets it as FS; its code uses GS.
	.globl	ckpt_steer_clone3_entry
	.hidden	ckpt_steer_clone3_entry
	.type	ckpt_steer_clone3_entry, @function
	.balign	16
ckpt_steer_clone3_entry:
	pop	%r10
	testl	$0x80000, (%rdi)
	mov	$435, %eax
	jz	2f
	syscall
	test	%rax, %rax
	jnz	1f
	rdfsbase %rcx
	wrgsbase %rcx
1:	jmp	*%r10
2:	syscall
	jmp	*%r10
	.size	ckpt_steer_clone3_entry, . - ckpt_steer_clone3_entry

	.section .note.GNU-stack,"",@progbits
