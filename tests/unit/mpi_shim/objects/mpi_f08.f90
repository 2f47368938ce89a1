! Objects through use mpi_f08, printed for comparison with a native run.
module callbacks
  use mpi_f08
  implicit none
  integer :: calls = 0
contains
  subroutine my_sum(invec, inoutvec, len, datatype)
    use, intrinsic :: iso_c_binding, only : c_ptr, c_f_pointer
    type(c_ptr), value :: invec, inoutvec
    integer :: len
    type(MPI_Datatype) :: datatype
    integer, pointer :: a(:), b(:)
    calls = calls + 1
    call c_f_pointer(invec, a, [len])
    call c_f_pointer(inoutvec, b, [len])
    if (datatype == MPI_INTEGER) b = b + 10 * a
  end subroutine
  subroutine on_error(comm, code)
    type(MPI_Comm) :: comm
    integer :: code, class
    call MPI_Error_class(code, class)
    write (10, *) 'handler class', class, comm == MPI_COMM_WORLD
  end subroutine
  subroutine copy_attr(oldcomm, keyval, extra, in, out, flag, ierror)
    type(MPI_Comm) :: oldcomm
    integer :: keyval, ierror
    integer(kind=MPI_ADDRESS_KIND) :: extra, in, out
    logical :: flag
    out = in + extra
    flag = .true.
    ierror = MPI_SUCCESS
  end subroutine
  subroutine delete_attr(comm, keyval, value, extra, ierror)
    type(MPI_Comm) :: comm
    integer :: keyval, ierror
    integer(kind=MPI_ADDRESS_KIND) :: value, extra
    write (10, *) 'delete', value, extra
    ierror = MPI_SUCCESS
  end subroutine
end module

program objects
  use mpi_f08
  use callbacks
  implicit none
  integer :: rank, size, i, n, sum, length, ierr, keyval, key2
  integer :: got(4), mine(4), coords(2)
  type(MPI_Comm) :: dup, grid, half
  type(MPI_Op) :: op
  type(MPI_Datatype) :: t, t2
  type(MPI_Request) :: requests(2)
  type(MPI_Status) :: statuses(2), status
  type(MPI_Errhandler) :: handler
  type(MPI_Group) :: group
  type(MPI_Info) :: info
  integer(kind=MPI_ADDRESS_KIND) :: lb, extent, value, extra
  logical :: flag
  character(len=MPI_MAX_OBJECT_NAME) :: name
  character(len=256) :: path, prefix
  double precision :: x(3)
  call MPI_Init()
  call MPI_Comm_rank(MPI_COMM_WORLD, rank)
  call MPI_Comm_size(MPI_COMM_WORLD, size)
  call get_command_argument(1, prefix)
  write (path, '(a,a,i0)') trim(prefix), '.', rank
  open (10, file=path)
  call MPI_Comm_dup(MPI_COMM_WORLD, dup)
  call MPI_Comm_set_name(dup, 'copy of all')
  call MPI_Comm_get_name(dup, name, length)
  write (10, *) 'name ', trim(name), length
  call MPI_Comm_split(dup, mod(rank, 2), rank, half)
  call MPI_Allreduce(rank, sum, 1, MPI_INTEGER, MPI_SUM, half)
  write (10, *) 'half', sum
  call MPI_Op_create(my_sum, .true., op)
  mine = [1, 2, 3, rank]
  call MPI_Allreduce(mine, got, 4, MPI_INTEGER, op, MPI_COMM_WORLD)
  write (10, *) 'op', got, calls > 0
  call MPI_Op_free(op)
  call MPI_Type_vector(2, 1, 2, MPI_DOUBLE_PRECISION, t)
  call MPI_Type_commit(t)
  call MPI_Type_get_extent(t, lb, extent)
  write (10, *) 'vector', lb, extent
  x = rank
  call MPI_Isend(x, 1, t, mod(rank + 1, size), 5, dup, requests(1))
  call MPI_Irecv(x, 1, t, mod(rank + size - 1, size), 5, dup, requests(2))
  call MPI_Waitall(2, requests, statuses)
  write (10, *) 'ring', statuses(2)%MPI_SOURCE, statuses(2)%MPI_TAG, requests(1) == MPI_REQUEST_NULL
  call MPI_Get_count(statuses(2), t, n)
  write (10, *) 'count', n
  call MPI_Send_init(mine, 4, MPI_INTEGER, mod(rank + 1, size), 6, dup, requests(1))
  call MPI_Recv_init(got, 4, MPI_INTEGER, mod(rank + size - 1, size), 6, dup, requests(2))
  do i = 1, 3
    mine = i * 100 + rank
    call MPI_Startall(2, requests)
    call MPI_Wait(requests(2), status)
    call MPI_Wait(requests(1), MPI_STATUS_IGNORE)
    write (10, *) 'persistent', got(1), status%MPI_SOURCE
  end do
  call MPI_Request_free(requests(1))
  call MPI_Request_free(requests(2))
  write (10, *) 'freed', requests(1) == MPI_REQUEST_NULL
  call MPI_Cart_create(MPI_COMM_WORLD, 2, [2, size / 2], [.true., .false.], .false., grid)
  call MPI_Cart_coords(grid, rank, 2, coords)
  call MPI_Cart_shift(grid, 0, 1, i, n)
  write (10, *) 'grid', coords, i, n
  call MPI_Comm_create_errhandler(on_error, handler)
  call MPI_Comm_set_errhandler(MPI_COMM_WORLD, handler)
  call MPI_Send(x, 1, MPI_REAL, size + 1, 0, MPI_COMM_WORLD, ierr)
  write (10, *) 'error', ierr /= MPI_SUCCESS
  call MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_ARE_FATAL)
  extra = 1000
  call MPI_Comm_create_keyval(copy_attr, delete_attr, keyval, extra)
  value = 5
  call MPI_Comm_set_attr(half, keyval, value)
  call MPI_Comm_free(dup)
  call MPI_Comm_dup(half, dup)
  call MPI_Comm_get_attr(dup, keyval, value, flag)
  write (10, *) 'attribute', value, flag
  call MPI_Comm_free(dup)
  call MPI_Comm_delete_attr(half, keyval)
  call MPI_Comm_get_attr(MPI_COMM_WORLD, MPI_TAG_UB, value, flag)
  write (10, *) 'tag_ub', value, flag
  call MPI_Type_create_keyval(MPI_TYPE_DUP_FN, MPI_TYPE_NULL_DELETE_FN, key2, extra)
  value = 77
  call MPI_Type_set_attr(t, key2, value)
  call MPI_Type_dup(t, t2)
  call MPI_Type_get_attr(t2, key2, value, flag)
  write (10, *) 'type attribute', value, flag
  call MPI_Type_match_size(MPI_TYPECLASS_REAL, 8, t2)
  write (10, *) 'match', t2 == MPI_REAL8, t2 == MPI_DOUBLE_PRECISION
  call MPI_Comm_group(half, group)
  call MPI_Group_size(group, n)
  write (10, *) 'group', n
  call MPI_Info_create(info)
  call MPI_Info_set(info, 'key', 'some value')
  call MPI_Info_get(info, 'key', 10, name, flag)
  write (10, *) 'info ', name(1:10), flag
  mine = rank
  call MPI_Bcast(mine, 4, MPI_INTEGER, 1, MPI_COMM_WORLD)
  call MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, got, 1, MPI_INTEGER, MPI_COMM_WORLD)
  write (10, *) 'bcast', mine(1)
  call MPI_Finalize()
end program
