# bash completion of ckpt-coord
_ckpt_coord() {
  local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local command='' directory=${CKPT_DIR:-$HOME/.ckpt-coord} options='' i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --) return 0 ;; # the user's own command line
      --dir) directory=${COMP_WORDS[i + 1]} ;;
      run | checkpoint | restart | status | list | verify | export | prune | serve | version)
        [[ -z $command ]] && command=${COMP_WORDS[i]}
        ;;
    esac
  done
  case $command in
    '') options='run checkpoint restart status list verify export prune serve version --help --version' ;;
    run) options='--job --dir --every --mtbf --keep --timeout --silence --max-restarts --spare-hosts --on-unsupported --listen --fresh --or-native --help' ;;
    checkpoint) options='--dir --wait --quiet --json --help' ;;
    restart) options='--dir --generation --image --accept-changed-files --here --sbatch --every --mtbf --keep --timeout --silence --max-restarts --spare-hosts --on-unsupported --listen --help' ;;
    status) options='--dir --json --help' ;;
    list) options='--dir --json --help' ;;
    verify) options='--dir --generation --quick --json --help' ;;
    export) options='--dir --generation --quiet --json --help' ;;
    prune) options='--dir --keep --json --help' ;;
    serve) options='--dir --parent-pid --ready-fd --incarnation --listen --verbose --help' ;;
    version) options='--json --help' ;;
  esac
  case $previous in
    --image) mapfile -t COMPREPLY < <(compgen -f -- "$word") && return 0 ;;
    --dir) mapfile -t COMPREPLY < <(compgen -d -- "$word") && return 0 ;;
    --listen) mapfile -t COMPREPLY < <(compgen -W 'auto local all' -- "$word") && return 0 ;;
    --on-unsupported) mapfile -t COMPREPLY < <(compgen -W 'stop native' -- "$word") && return 0 ;;
    --every) mapfile -t COMPREPLY < <(compgen -W 'auto' -- "$word") && return 0 ;;
    --mtbf | --silence | --max-restarts | --spare-hosts | --keep | --timeout | --wait | --generation | --job | --sbatch) return 0 ;;
  esac
  case $command in
    checkpoint | restart | status | list | verify | export | prune | serve)
      if [[ $word != -* && -d $directory ]]; then
        options+=" $(cd "$directory" && printf '%s ' */job.json 2>/dev/null | sed 's|/job.json||g; s|\*||g')"
      fi
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}
complete -F _ckpt_coord ckpt-coord
