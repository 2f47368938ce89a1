# bash completion of ckpt-coord
_ckpt_coord() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command='' directory=${CKPT_DIR:-$HOME/.ckpt-coord} options='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --) return 0 ;; # the user's own command line
      --dir) directory=${COMP_WORDS[i + 1]} ;;
      run | checkpoint | restart | status | list | verify | prune | serve | version)
        [[ -z $command ]] && command=${COMP_WORDS[i]}
        ;;
    esac
  done
  case $command in
    '') options='run checkpoint restart status list verify prune serve version --help --version' ;;
    run) options='--job --dir --every --keep --timeout --on-unsupported --help' ;;
    checkpoint) options='--dir --wait --quiet --json --help' ;;
    restart) options='--dir --generation --accept-changed-files --every --keep --timeout --on-unsupported --help' ;;
    status) options='--dir --json --help' ;;
    list) options='--dir --json --help' ;;
    verify) options='--dir --generation --quick --json --help' ;;
    prune) options='--dir --keep --json --help' ;;
    serve) options='--dir --parent-pid --ready-fd --verbose --help' ;;
    version) options='--json --help' ;;
  esac
  case $previous in
    --dir) mapfile -t COMPREPLY < <(compgen -d -- "$word") && return 0 ;;
    --on-unsupported) mapfile -t COMPREPLY < <(compgen -W 'stop native' -- "$word") && return 0 ;;
    --every | --keep | --timeout | --wait | --generation | --job) return 0 ;;
  esac
  case $command in
    checkpoint | restart | status | list | verify | prune | serve)
      if [[ $word != -* && -d $directory ]]; then
        options+=" $(cd "$directory" && printf '%s ' */job.json 2>/dev/null | sed 's|/job.json||g; s|\*||g')"
      fi
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}
complete -F _ckpt_coord ckpt-coord
