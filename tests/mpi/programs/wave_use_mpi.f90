! A vibrating string in Fortran 90 (use mpi): one-dimensional decomposition,
! blocking and nonblocking halo exchange in turn, a derived type for the report.
!
!   wave_use_mpi [POINTS_PER_RANK [STEPS]]     defaults 200000 6000
!
! Prints one RESULT line with the bits of the final string's checksum.
program wave_use_mpi
  use mpi
  implicit none
  integer, parameter :: wide = selected_int_kind(18), real64 = kind(1.0d0)
  integer :: ierr, rank, ranks, left, right, points, steps, step, i, report, pair
  integer :: status(MPI_STATUS_SIZE), requests(4)
  character(len=32) :: argument
  real(real64), allocatable :: before(:), now(:), next(:), swap(:)
  real(real64) :: energy, total
  integer(wide) :: digest, all_digests
  real(real64) :: halves(2)

  call MPI_Init(ierr)
  call MPI_Comm_rank(MPI_COMM_WORLD, rank, ierr)
  call MPI_Comm_size(MPI_COMM_WORLD, ranks, ierr)
  points = 200000
  steps = 6000
  if (command_argument_count() >= 1) then
    call get_command_argument(1, argument)
    read (argument, *) points
  end if
  if (command_argument_count() >= 2) then
    call get_command_argument(2, argument)
    read (argument, *) steps
  end if
  left = merge(MPI_PROC_NULL, rank - 1, rank == 0)
  right = merge(MPI_PROC_NULL, rank + 1, rank == ranks - 1)

  allocate (before(0:points + 1), now(0:points + 1), next(0:points + 1))
  before = 0
  now = 0
  next = 0
  do i = 1, points
    now(i) = sin(1d-4*(rank*points + i)) + 1d-3*mod(rank*points + i, 97)
  end do
  before = now
  call MPI_Type_contiguous(2, MPI_DOUBLE_PRECISION, pair, ierr)
  call MPI_Type_commit(pair, ierr)

  total = 0
  do step = 1, steps
    if (mod(step, 2) == 0) then
      call MPI_Sendrecv(now(points), 1, MPI_DOUBLE_PRECISION, right, 7, &
                        now(0), 1, MPI_DOUBLE_PRECISION, left, 7, MPI_COMM_WORLD, status, ierr)
      call MPI_Sendrecv(now(1), 1, MPI_DOUBLE_PRECISION, left, 8, &
                        now(points + 1), 1, MPI_DOUBLE_PRECISION, right, 8, MPI_COMM_WORLD, &
                        status, ierr)
    else
      call MPI_Irecv(now(0), 1, MPI_DOUBLE_PRECISION, left, 7, MPI_COMM_WORLD, requests(1), ierr)
      call MPI_Irecv(now(points + 1), 1, MPI_DOUBLE_PRECISION, right, 8, MPI_COMM_WORLD, &
                     requests(2), ierr)
      call MPI_Isend(now(points), 1, MPI_DOUBLE_PRECISION, right, 7, MPI_COMM_WORLD, &
                     requests(3), ierr)
      call MPI_Isend(now(1), 1, MPI_DOUBLE_PRECISION, left, 8, MPI_COMM_WORLD, requests(4), ierr)
      call MPI_Waitall(4, requests, MPI_STATUSES_IGNORE, ierr)
    end if
    do i = 1, points
      next(i) = 2*now(i) - before(i) + 0.2d0*(now(i - 1) - 2*now(i) + now(i + 1))
    end do
    call move_alloc(before, swap)
    call move_alloc(now, before)
    call move_alloc(next, now)
    call move_alloc(swap, next)
    if (mod(step, 50) == 0) then
      energy = now(1)*now(1) + now(points)*now(points)
      call MPI_Allreduce(MPI_IN_PLACE, energy, 1, MPI_DOUBLE_PRECISION, MPI_MAX, &
                         MPI_COMM_WORLD, ierr)
      total = total + energy
    end if
  end do

  halves = [now(1), now(points)]
  if (ranks > 1) then  ! The last rank reports its ends to the first one.
    if (rank == ranks - 1) call MPI_Send(halves, 1, pair, 0, 9, MPI_COMM_WORLD, ierr)
    if (rank == 0) call MPI_Recv(halves, 1, pair, MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &
                                 status, ierr)
  end if
  digest = 0
  do i = 1, points
    digest = ieor(ishftc(digest, 7), transfer(now(i), digest))
  end do
  call MPI_Reduce(digest, all_digests, 1, MPI_INTEGER8, MPI_BXOR, 0, MPI_COMM_WORLD, ierr)
  call MPI_Type_free(pair, ierr)
  if (rank == 0) then
    report = steps
    write (*, '(a,i0,a,z16.16,a,z16.16,a,z16.16)') 'RESULT wave steps=', report, ' digest=', &
      all_digests, ' energy=', transfer(total, digest), ' end=', transfer(halves(2), digest)
  end if
  call MPI_Finalize(ierr)
end program wave_use_mpi
