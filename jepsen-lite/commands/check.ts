import type { CommandUnknownOpts } from '@commander-js/extra-typings'
import { Failure } from '../exit-codes.ts'

export function add(program: CommandUnknownOpts): void {
  program
    .command('check')
    .description('check recorded histories')
    .argument('<path...>', 'files, or directories of them')
    .action(() => {
      throw new Failure('the checker is being built')
    })
}
