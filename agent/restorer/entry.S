/* Entry of ckpt-restorer, and the two moments a compiler cannot express. */
  .text

/* ckpt-restore-rank jumps here with the plan in rdi and the stack set. */
  .globl ckpt_restorer_entry
  .type ckpt_restorer_entry, @function
ckpt_restorer_entry:
  xor %ebp, %ebp
  cld
  and $-16, %rsp
  call ckpt_restorer_main
  ud2

/* long ckpt_restorer_clone(unsigned long flags, void* stack_top,
 *                          void (*run)(void*), void* argument)
 * The child runs `run(argument)` on its stack and never comes back here. */
  .globl ckpt_restorer_clone
  .type ckpt_restorer_clone, @function
ckpt_restorer_clone:
  and $-16, %rsi
  sub $16, %rsi
  mov %rdx, (%rsi)
  mov %rcx, 8(%rsi)
  xor %edx, %edx
  xor %r10d, %r10d
  xor %r8d, %r8d
  mov $56, %eax           /* clone */
  syscall
  test %rax, %rax
  jz 1f
  ret
1:
  xor %ebp, %ebp
  pop %rax
  pop %rdi
  call *%rax
  ud2

/* void ckpt_restorer_sigreturn(void* frame): the kernel takes the frame to
 * begin one word below the stack pointer. */
  .globl ckpt_restorer_sigreturn
  .type ckpt_restorer_sigreturn, @function
ckpt_restorer_sigreturn:
  lea 8(%rdi), %rsp
  mov $15, %eax           /* rt_sigreturn */
  syscall
  ud2

  .section .note.GNU-stack, "", @progbits
