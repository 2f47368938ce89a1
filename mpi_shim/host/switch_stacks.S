// Going to the lower half's first code on a stack of its own, and back; and
// running ckpt-rewrite from where there is no libc.

	.text

// int64_t ckpt_enter_lower(uint64_t entry, uint64_t stack, uint64_t* saved_stack)
// Returns what return_to_upper was given.
	.globl	ckpt_enter_lower
	.hidden	ckpt_enter_lower
	.type	ckpt_enter_lower, @function
ckpt_enter_lower:
	push	%rbp
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	sub	$8, %rsp
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	mov	%rsp, (%rdx)
	mov	%rsi, %rsp
	xor	%edx, %edx
	xor	%ebp, %ebp
	jmp	*%rdi
	.size	ckpt_enter_lower, . - ckpt_enter_lower

// void ckpt_leave_lower(int64_t result, uint64_t saved_stack): does not return.
	.globl	ckpt_leave_lower
	.hidden	ckpt_leave_lower
	.type	ckpt_leave_lower, @function
ckpt_leave_lower:
	mov	%rdi, %rax
	mov	%rsi, %rsp
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	add	$8, %rsp
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	pop	%rbp
	ret
	.size	ckpt_leave_lower, . - ckpt_leave_lower

// int ckpt_spawn_wait(path, argv, envp, int* status): vfork, execve, wait. The
// child has no exit signal, so the program's handlers and wait() miss it; it
// runs on this stack until it execs, below what the parent holds in registers.
	.globl	ckpt_spawn_wait
	.hidden	ckpt_spawn_wait
	.type	ckpt_spawn_wait, @function
ckpt_spawn_wait:
	push	%rbx
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rdi, %r12
	mov	%rsi, %r13
	mov	%rdx, %r14
	mov	%rcx, %r15
	mov	$0x4100, %edi		// CLONE_VM | CLONE_VFORK
	xor	%esi, %esi
	xor	%edx, %edx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	mov	$56, %eax		// clone
	syscall
	test	%rax, %rax
	jnz	1f
	mov	%r12, %rdi
	mov	%r13, %rsi
	mov	%r14, %rdx
	mov	$59, %eax		// execve
	syscall
	mov	$127, %edi
	mov	$231, %eax		// exit_group
	syscall
	hlt
1:	js	3f
	mov	%rax, %rbx
2:	mov	%rbx, %rdi
	mov	%r15, %rsi
	mov	$0x40000000, %edx	// __WALL
	xor	%r10d, %r10d
	mov	$61, %eax		// wait4
	syscall
	cmp	$-4, %rax		// EINTR
	je	2b
	test	%rax, %rax
	js	3f
	xor	%eax, %eax
3:	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbx
	ret
	.size	ckpt_spawn_wait, . - ckpt_spawn_wait

	.section .note.GNU-stack,"",@progbits
