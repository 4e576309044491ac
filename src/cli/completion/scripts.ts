// The scripts that `kv completion SHELL` prints. They run `kv complete` and give its answer to the shell. They need
// only the shell, not the bash-completion package. They may be sourced several times, and evaluate nothing.

/** The shells that `kv completion` has a script for. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const
type Shell = (typeof SHELLS)[number]

export const script = (shell: Shell, program: string): string => SCRIPTS[shell].replaceAll('PROGRAM', program)

// compopt needs bash 4. Without it, paths are not completed, and a space follows each candidate.
const BASH = `# Completion of PROGRAM in bash: source <(PROGRAM completion bash)
_PROGRAM() {
  local line
  COMPREPLY=()
  while IFS= read -r line; do
    case $line in
      :nospace) compopt -o nospace 2>/dev/null ;;
      :files) compopt -o default 2>/dev/null ;;
      :directories) compopt -o dirnames 2>/dev/null ;;
      '='*) COMPREPLY+=("\${line#=}") ;;
    esac
  done < <(PROGRAM complete bash -- "\${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
}
complete -F _PROGRAM PROGRAM
`

const ZSH = `#compdef PROGRAM
# Completion of PROGRAM in zsh: source <(PROGRAM completion zsh)
_PROGRAM() {
  local line tab=$'\\t' paths=
  local -a values shown options
  for line in "\${(@f)$(PROGRAM complete words -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}"; do
    case $line in
      :nospace) options=(-S '') ;;
      :files) paths=_files ;;
      :directories) paths='_files -/' ;;
      '='*)
        line=\${line#=}
        values+=("\${line%%$tab*}")
        shown+=("\${line/$tab/  -- }") ;;
    esac
  done
  if [[ -n $paths ]]; then
    \${=paths}
  else
    compadd "\${options[@]}" -l -d shown -a values
  fi
}
if [[ \${funcstack[1]} = _PROGRAM ]]; then
  _PROGRAM "$@"
else
  (( \${+functions[compdef]} )) || { autoload -Uz compinit && compinit }
  compdef _PROGRAM PROGRAM
fi
`

const FISH = `# Completion of PROGRAM in fish: PROGRAM completion fish | source
function __PROGRAM_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l plain (string unescape -- "$current")
    or set plain "$current"
    for line in (PROGRAM complete words -- $words[2..-1] "$plain" 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path "$current"
            case ':directories'
                __fish_complete_directories "$current"
            case '=*'
                string sub --start 2 -- $line
        end
    end
end
complete --command PROGRAM --erase
complete --command PROGRAM --no-files --arguments '(__PROGRAM_complete)'
`

const SCRIPTS: Readonly<Record<Shell, string>> = { bash: BASH, zsh: ZSH, fish: FISH }
