C     A ring in fixed-form Fortran with mpif.h: persistent requests, a user
C     operation, a split communicator, MPI_BOTTOM with absolute addresses.
C     Prints one RESULT line. Takes the number of rounds (default 60000).
      program ring
      implicit none
      include 'mpif.h'
      integer ierr, rank, ranks, rounds, round, i, op, half, newtyp
      integer requests(2), statuses(MPI_STATUS_SIZE, 2)
      integer out(64), in(64), digest(2), all(2), halfsum
      integer blocks(2), types(2)
      integer(kind=MPI_ADDRESS_KIND) places(2)
      character(len=32) argument
      external mix

      call MPI_INIT(ierr)
      call MPI_COMM_RANK(MPI_COMM_WORLD, rank, ierr)
      call MPI_COMM_SIZE(MPI_COMM_WORLD, ranks, ierr)
      rounds = 60000
      if (command_argument_count() .ge. 1) then
        call get_command_argument(1, argument)
        read (argument, *) rounds
      end if
      call MPI_OP_CREATE(mix, .true., op, ierr)
      call MPI_COMM_SPLIT(MPI_COMM_WORLD, mod(rank, 2), rank, half,
     &                    ierr)
      call MPI_SEND_INIT(out, 64, MPI_INTEGER, mod(rank + 1, ranks), 3,
     &                   MPI_COMM_WORLD, requests(1), ierr)
      call MPI_RECV_INIT(in, 64, MPI_INTEGER,
     &                   mod(rank + ranks - 1, ranks), 3,
     &                   MPI_COMM_WORLD, requests(2), ierr)
      blocks(1) = 1
      blocks(2) = 1
      types(1) = MPI_INTEGER
      types(2) = MPI_INTEGER
      call MPI_GET_ADDRESS(digest(1), places(1), ierr)
      call MPI_GET_ADDRESS(halfsum, places(2), ierr)
      call MPI_TYPE_CREATE_STRUCT(2, blocks, places, types, newtyp,
     &                            ierr)
      call MPI_TYPE_COMMIT(newtyp, ierr)

      digest(1) = rank
      digest(2) = 1
      halfsum = 0
      do round = 1, rounds
        do i = 1, 64
          out(i) = ieor(digest(1), i*round)
        end do
        call MPI_STARTALL(2, requests, ierr)
        call MPI_WAITALL(2, requests, statuses, ierr)
        do i = 1, 64
          digest(1) = ieor(ishftc(digest(1), 5), in(i))
        end do
        if (mod(round, 16) .eq. 0) then
          call MPI_ALLREDUCE(digest, all, 2, MPI_INTEGER, op,
     &                       MPI_COMM_WORLD, ierr)
          digest(2) = mod(all(2)*3 + round + rank, 65536)
          call MPI_ALLREDUCE(digest, all, 1, MPI_INTEGER, MPI_BXOR,
     &                       half, ierr)
          halfsum = mod(halfsum*7 + all(1), 30000001)
          call MPI_BCAST(MPI_BOTTOM, 1, newtyp, 0, half, ierr)
        end if
      end do
      digest(1) = mod(digest(1), 1000003)
      call MPI_ALLREDUCE(digest, all, 2, MPI_INTEGER, MPI_SUM,
     &                   MPI_COMM_WORLD, ierr)
      if (rank .eq. 0) then
        write (*, '(a,i0,3(a,z8.8))') 'RESULT mpif_h rounds=', rounds,
     &    ' digest=', all(1), ' mix=', digest(2), ' half=', halfsum
      end if
      call MPI_REQUEST_FREE(requests(1), ierr)
      call MPI_REQUEST_FREE(requests(2), ierr)
      call MPI_TYPE_FREE(newtyp, ierr)
      call MPI_OP_FREE(op, ierr)
      call MPI_COMM_FREE(half, ierr)
      call MPI_FINALIZE(ierr)
      end program

      subroutine mix(a, b, n, type)
      implicit none
      include 'mpif.h'
      integer n, type, i
      integer a(n), b(n)
      if (type .ne. MPI_INTEGER) stop 'mix: wrong type'
      do i = 1, n
        b(i) = ieor(ieor(a(i), b(i)), iand(a(i), b(i)))
      end do
      end subroutine
