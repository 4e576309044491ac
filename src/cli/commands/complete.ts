// kv complete: prints what a shell offers at a Tab.

import { Command } from '@commander-js/extra-typings'
import type { ProgramContext } from '../command-definition.ts'

export const command = ({ program, flags }: ProgramContext) =>
  new Command('complete')
    .argument('<form>')
    .argument('[words...]')
    .action(async (form, words) => {
      const { complete } = await import('../completion/index.ts')
      await complete(program, flags(), form, words)
    })
