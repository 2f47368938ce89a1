! A ring with the mpi_f08 module: typed handles, array sections through a
! derived type, probe and nonblocking collectives. Prints one RESULT line.
! Takes the number of rounds (default 40000).
program ring_mpi_f08
  use mpi_f08
  implicit none
  integer, parameter :: wide = selected_int_kind(18)
  type(MPI_Comm) :: ring, pairs
  type(MPI_Request) :: send, reduction
  type(MPI_Status) :: status
  type(MPI_Datatype) :: every_third
  integer :: rank, ranks, rounds, round, length, i, left, right
  integer :: matrix(3, 40), received(40)
  integer(wide) :: digest, combined, last
  character(len=32) :: argument
  character(len=MPI_MAX_OBJECT_NAME) :: name

  call MPI_Init()
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)
  call MPI_Comm_size(MPI_COMM_WORLD, ranks)
  rounds = 40000
  if (command_argument_count() >= 1) then
    call get_command_argument(1, argument)
    read (argument, *) rounds
  end if
  call MPI_Cart_create(MPI_COMM_WORLD, 1, [ranks], [.true.], .false., ring)
  call MPI_Cart_shift(ring, 0, 1, left, right)
  call MPI_Comm_set_name(ring, 'the ring')
  call MPI_Comm_split(MPI_COMM_WORLD, rank/2, rank, pairs)
  call MPI_Type_vector(40, 1, 3, MPI_INTEGER, every_third)
  call MPI_Type_commit(every_third)

  digest = rank + 1
  last = 0
  do round = 1, rounds
    do i = 1, 40
      matrix(:, i) = ieor(int(iand(digest, 65535_wide)), [i, 2*i, 3*i] + round)
    end do
    call MPI_Isend(matrix(2, 1), 1, every_third, right, mod(round, 100), ring, send)
    call MPI_Probe(MPI_ANY_SOURCE, MPI_ANY_TAG, ring, status)
    call MPI_Get_count(status, MPI_INTEGER, length)
    if (length /= 40 .or. status%MPI_TAG /= mod(round, 100)) then
      write (*, '(a,i0)') 'ring_mpi_f08: wrong message in round ', round
      call MPI_Abort(MPI_COMM_WORLD, 3)
    end if
    call MPI_Recv(received, length, MPI_INTEGER, status%MPI_SOURCE, status%MPI_TAG, ring, &
                  MPI_STATUS_IGNORE)
    call MPI_Wait(send, MPI_STATUS_IGNORE)
    do i = 1, 40
      digest = ieor(ishftc(digest, 9), int(received(i), wide))
    end do
    if (mod(round, 10) == 0) then
      call MPI_Iallreduce(digest, combined, 1, MPI_INTEGER8, MPI_BXOR, pairs, reduction)
      call MPI_Wait(reduction, status)
      last = ieor(ishftc(last, 1), combined)
    end if
  end do
  call MPI_Allreduce(ieor(digest, last), combined, 1, MPI_INTEGER8, MPI_BXOR, ring)
  call MPI_Comm_get_name(ring, name, length)
  if (rank == 0) write (*, '(a,i0,a,z16.16,a,a)') 'RESULT f08 rounds=', rounds, ' digest=', &
    combined, ' on ', name(1:length)
  call MPI_Type_free(every_third)
  call MPI_Comm_free(pairs)
  call MPI_Comm_free(ring)
  call MPI_Finalize()
end program ring_mpi_f08
