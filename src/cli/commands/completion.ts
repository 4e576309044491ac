// kv completion SHELL: prints a script, which runs the hidden `kv complete` at each Tab.

import { Argument, Command } from '@commander-js/extra-typings'
import { PROGRAM } from '../../local/program-name.ts'
import { withExamples } from '../command-definition.ts'
import { SHELLS, script } from '../completion/scripts.ts'
import { write } from '../terminal/output.ts'

export const command = () =>
  withExamples(new Command('completion'), [
    'source <(kv completion bash)',
    'source <(kv completion zsh)',
    'kv completion fish | source',
  ])
    .description('print a completion script')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action((shell) => write(script(shell, PROGRAM)))
