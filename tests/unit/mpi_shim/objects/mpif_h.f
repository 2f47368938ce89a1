      program fh
      implicit none
      include 'mpif.h'
      integer ierr, rank, nproc, comm, keyval, val, req, st(6), n, b
      integer newt, op, i, g, keep
      integer v(8)
      logical flag
      character*64 name, prefix, path
      external myop
      common /c/ v
      call mpi_init(ierr)
      call mpi_comm_rank(MPI_COMM_WORLD, rank, ierr)
      call mpi_comm_size(MPI_COMM_WORLD, nproc, ierr)
      call get_command_argument(1, prefix)
      write (path, '(a,a,i0)') trim(prefix), '.', rank
      open (10, file=path)
      call mpi_comm_dup(MPI_COMM_WORLD, comm, ierr)
      call mpi_keyval_create(MPI_DUP_FN, MPI_NULL_DELETE_FN, keyval,
     $     0, ierr)
      call mpi_attr_put(comm, keyval, 123, ierr)
      call mpi_attr_get(comm, keyval, val, flag, ierr)
      write (10,*) 'attr', val, flag
      call mpi_comm_dup(comm, g, ierr)
      call mpi_attr_get(g, keyval, val, flag, ierr)
      write (10,*) 'attr dup', val, flag
      call mpi_attr_get(MPI_COMM_WORLD, MPI_TAG_UB, val, flag, ierr)
      write (10,*) 'ub', val, flag
      call mpi_type_contiguous(2, MPI_INTEGER, newt, ierr)
      call mpi_type_commit(newt, ierr)
      v(1) = rank
      v(2) = 7
      call mpi_isend(v, 1, newt, mod(rank+1,nproc), 9, comm, req, ierr)
      call mpi_recv(v(3), 1, newt, MPI_ANY_SOURCE, MPI_ANY_TAG, comm,
     $     st, ierr)
      call mpi_wait(req, MPI_STATUS_IGNORE, ierr)
      call mpi_get_count(st, MPI_INTEGER, n, ierr)
      write (10,*) 'recv', v(3), v(4), st(MPI_SOURCE), st(MPI_TAG), n
      write (10,*) 'null', req .eq. MPI_REQUEST_NULL
      call mpi_op_create(myop, .true., op, ierr)
      call mpi_reduce(v, v(5), 2, MPI_INTEGER, op, 0, comm, ierr)
      if (rank .eq. 0) write (10,*) 'op', v(5), v(6)
      call mpi_allreduce(MPI_IN_PLACE, v, 1, MPI_INTEGER, MPI_SUM,
     $     comm, ierr)
      write (10,*) 'in place', v(1)
      call mpi_comm_free(comm, ierr)
      write (10,*) 'freed', comm .eq. MPI_COMM_NULL
      call mpi_finalize(ierr)
      end
      subroutine myop(a, b, n, t)
      implicit none
      include 'mpif.h'
      integer n, t, i
      integer a(n), b(n)
      do i = 1, n
        if (t .eq. MPI_INTEGER) b(i) = b(i) + 2*a(i)
      end do
      end
